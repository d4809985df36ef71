import { StaleSession } from '../auth/stale-session.js'
import type { LocalContext } from '../context.js'
import type { AuthenticatedEndpoint } from '../endpoint.js'
import { badRequest } from '../errors.js'
import { parseRuleName } from '../permissions/rule.js'
import { shownPermission } from '../permissions/shown.js'
import { findPermission } from '../storage/permissions.js'

/**
 * GET /permissions/get: one rule of the caller.
 *
 * Query: `messageBox`, `sender` (absent: the rule for everybody). Answers `{status, description, permission: {sender,
 * messageBox, recipientFee, status, createdAt, updatedAt, …}}`, or null where there is no rule of just that name.
 *
 * Errors: 400 ERR_MISSING_PARAMETERS, ERR_INVALID_MESSAGE_BOX, ERR_INVALID_PUBLIC_KEY.
 */
export const getPermission: AuthenticatedEndpoint<LocalContext> = {
  method: 'GET',
  path: '/permissions/get',
  authenticated: true,
  async handler({ caller, query }, { curve, database }) {
    const messageBox = query.get('messageBox') ?? query.get('message_box')
    if (messageBox === null) throw badRequest('ERR_MISSING_PARAMETERS', 'The query needs "messageBox".')
    const name = parseRuleName(curve, { messageBox, sender: query.get('sender') })
    const { verdict, permission } = await findPermission(
      database,
      caller.replay,
      caller.identityKeyBytes,
      name
    )
    if (verdict !== 'fresh') throw new StaleSession(verdict)
    return {
      body: {
        status: 'success',
        description: permission === undefined ? 'There is no such rule.' : 'This is the rule.',
        permission: permission === undefined ? null : shownPermission(permission)
      }
    }
  }
}
