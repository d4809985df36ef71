import { StaleSession } from '../../src/auth/stale-session.js'
import type { AuthenticatedEndpoint } from '../../src/endpoint.js'
import { badRequest } from '../../src/errors.js'
import { isObject } from '../../src/message.js'
import type { FederationContext } from '../context.js'
import { parseAuthorizationTerms } from '../origin/propagated-message.js'
import { authorizationFault, LONGEST_AUTHORIZATION } from '../origin/sender-authorization.js'
import { saveSenderAuthorization } from '../storage/authorizations.js'

const DAY = 24 * 60 * 60 * 1000

/**
 * POST /authorizeSending (protocol section 4, 2): the caller lets this host vouch for his requests to other hosts.
 *
 * Body: `{given, expires, signature}`: ms, at most 90 days apart, and the caller's portable signature over
 * `JSON.stringify(["peerserv sender", 1, <this host's key>, given, expires])`. Clients renew it. Answers `{status, expires}`.
 *
 * Errors: 400 ERR_INVALID_AUTHORIZATION, ERR_SIGNATURE_INVALID.
 */
export const authorizeSending: AuthenticatedEndpoint<FederationContext> = {
  method: 'POST',
  path: '/authorizeSending',
  authenticated: true,
  async handler(request, { curve, clock, keys, database }) {
    const { caller } = request
    const body = request.json()
    if (!isObject(body)) throw badRequest('ERR_INVALID_AUTHORIZATION', 'The body must be an object.')
    const terms = parseAuthorizationTerms(body)
    const fault = authorizationFault(curve, caller.identityKey, { hostKey: keys.identityKey, ...terms })
    if (fault === 'sender-authorization-period') {
      throw badRequest(
        'ERR_INVALID_AUTHORIZATION',
        `"expires" must lie after "given", by at most ${LONGEST_AUTHORIZATION / DAY} days.`
      )
    }
    if (fault !== undefined) {
      throw badRequest(
        'ERR_SIGNATURE_INVALID',
        `The signature must be the caller's portable signature over ["peerserv sender",1,"${keys.identityKey}",given,expires].`
      )
    }
    if (terms.expires <= clock.now()) {
      throw badRequest('ERR_INVALID_AUTHORIZATION', 'The authorization has expired already.')
    }
    const verdict = await saveSenderAuthorization(database, caller.replay, caller.identityKeyBytes, terms)
    if (verdict !== 'fresh') throw new StaleSession(verdict)
    return { body: { status: 'success', expires: terms.expires } }
  }
}
