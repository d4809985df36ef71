import type { ReplayTicket } from './auth/caller.js'
import { StaleSession } from './auth/stale-session.js'
import type { AuthenticatedRequest, MountedEndpoint } from './endpoint.js'
import { ApiError } from './errors.js'
import type { IdentityKey } from './keys/identity-key.js'

export interface OperatorOptions {
  /** The node's own: whoever can read its key file is its operator. */
  readonly identityKey: IdentityKey
  /** Remembers a request, so that the same bytes count once. */
  readonly admit: (replay: ReplayTicket) => Promise<'fresh' | 'replayed' | 'unknown'>
}

/**
 * Closes calls to everybody but the operator, who signs them with the node's own key. That they are on a loopback port is
 * not enough: other users of the machine reach it, and so does, by a name that it was made to resolve, any page in a
 * browser.
 *
 * Their errors, before those of the call: 401 as everywhere, 403 ERR_NOT_OPERATOR.
 *
 * @throws TypeError for a call that anybody might make
 */
export function onlyForOperator(
  endpoints: readonly MountedEndpoint[],
  { identityKey, admit }: OperatorOptions
): MountedEndpoint[] {
  return endpoints.map(endpoint => {
    if (!endpoint.authenticated) throw new TypeError(`${endpoint.path} must be authenticated`)
    return {
      ...endpoint,
      async handler(request: AuthenticatedRequest) {
        if (request.caller.identityKey !== identityKey) {
          throw new ApiError(403, 'ERR_NOT_OPERATOR', "This call must be signed with the node's own key.")
        }
        const verdict = await admit(request.caller.replay)
        if (verdict !== 'fresh') throw new StaleSession(verdict)
        return endpoint.handler(request)
      }
    }
  })
}
