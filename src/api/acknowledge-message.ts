import { StaleSession } from '../auth/stale-session.js'
import type { LocalContext } from '../context.js'
import type { AuthenticatedEndpoint } from '../endpoint.js'
import { parseMessageIds } from '../message.js'

/**
 * POST /acknowledgeMessage (BRC-33): the caller has received these messages; they are deleted.
 *
 * Body: `{messageIds: [string | integer, …]}`, 1 to 1,000. Answers `{status, acknowledged}`: how many there were. What is
 * gone already, or somebody else's, is no error and changes nothing.
 *
 * Errors: 400 ERR_MESSAGE_ID_REQUIRED, ERR_INVALID_MESSAGE_ID, ERR_TOO_MANY_MESSAGE_IDS.
 */
export const acknowledgeMessage: AuthenticatedEndpoint<LocalContext> = {
  method: 'POST',
  path: '/acknowledgeMessage',
  authenticated: true,
  async handler(request, { clock, storedMessages }) {
    const { caller } = request
    const messageIds = parseMessageIds(request.json())
    const { verdict, acknowledged } = await storedMessages.acknowledge({
      replay: caller.replay,
      recipient: caller.identityKeyBytes,
      messageIds,
      now: clock.now()
    })
    if (verdict !== 'fresh') throw new StaleSession(verdict)
    return { body: { status: 'success', acknowledged } }
  }
}
