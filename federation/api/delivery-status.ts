import { StaleSession } from '../../src/auth/stale-session.js'
import type { AuthenticatedEndpoint } from '../../src/endpoint.js'
import { identityKeyFromBytes } from '../../src/keys/identity-key.js'
import { parseMessageIds, shownMessageId } from '../../src/message.js'
import type { FederationContext } from '../context.js'
import { deliveryStatus as readStatus } from '../storage/delivery-status.js'

/**
 * POST /deliveryStatus (protocol section 7): where the messages are that the caller sent through this node to other hosts.
 *
 * Body: `{messageIds: [string | integer, …]}`, 1 to 1,000, as /sendMessage answered them. Answers `{status, deliveries:
 * [{messageId, recipient, host, state, attempts, skipped, nextAttemptAt, lastAnswer, createdAt, finishedAt}]}`, at most
 * 1,000; `state` is `pending`, `delivered`, `refused` or `expired`; `skipped` where a pending one lets others of its lane go
 * first; times in ms, null where there is none. A message without deliveries (local, or parked) has no entry.
 *
 * Errors: 400 ERR_MESSAGE_ID_REQUIRED, ERR_INVALID_MESSAGE_ID, ERR_TOO_MANY_MESSAGE_IDS.
 */
export const deliveryStatus: AuthenticatedEndpoint<FederationContext> = {
  method: 'POST',
  path: '/deliveryStatus',
  authenticated: true,
  async handler(request, { database }) {
    const { caller } = request
    const messageIds = parseMessageIds(request.json())
    const rows = await readStatus(database, caller.replay, caller.identityKeyBytes, messageIds)
    const { verdict } = rows[0]!
    if (verdict !== 'fresh') throw new StaleSession(verdict)
    const deliveries = rows.flatMap(row => {
      if (row.message_id === null || row.recipient === null) return []
      return {
        messageId: shownMessageId(row.message_id),
        recipient: identityKeyFromBytes(row.recipient),
        host: row.domain,
        state: row.state,
        attempts: row.attempts,
        skipped: row.state === 'pending' && row.skipped === true,
        nextAttemptAt: row.state === 'pending' ? row.next_attempt_at : null,
        lastAnswer: row.last_answer,
        createdAt: row.created_at,
        finishedAt: row.finished_at
      }
    })
    return { body: { status: 'success', deliveries } }
  }
}
