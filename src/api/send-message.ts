import type { LocalContext } from '../context.js'
import type { AuthenticatedEndpoint } from '../endpoint.js'
import { parseJsonInTurns } from '../json-in-turns.js'
import { takeLegacyMessage } from '../legacy-repeat.js'
import { authriteSendRequest } from '../live-send.js'
import { takeMessage } from '../sending.js'

/**
 * POST /sendMessage (BRC-33; members beside its three as deployed clients send them).
 *
 * Body: `{message: {recipient | recipients, messageBox, body, messageId?, createdAt?, signature? | signatures?}, payment?}`.
 * Answers, after the commit, `{status, message, results: [{recipient, messageId, delivery, forwardable}]}`; `delivery` is
 * `local`, `forwarding` or `parked` (protocol section 6). All recipients or none.
 *
 * Errors: 400 with the codes of docs/errors.md; 403 ERR_BLOCKED, ERR_ORIGIN_UNPROVABLE, ERR_RESERVED_MESSAGEBOX; 409
 * ERR_DUPLICATE_MESSAGE, ERR_RECIPIENT_ELSEWHERE; 413 ERR_MESSAGE_BODY_TOO_LARGE; 429 ERR_RATE_LIMITED, with the recipients
 * (all or none is counted), ERR_SENDER_QUOTA_EXCEEDED; 507 ERR_INBOX_QUOTA_EXCEEDED.
 */
export const sendMessage: AuthenticatedEndpoint<LocalContext> = {
  method: 'POST',
  path: '/sendMessage',
  authenticated: true,
  async handler(request, context) {
    const { caller } = request
    const body = await parseJsonInTurns(request.body)
    const results = await (caller.scheme === 'authrite'
      ? takeLegacyMessage(context, caller, authriteSendRequest(body))
      : takeMessage(context, caller, body))
    return {
      body: {
        status: 'success',
        message: `Your message has been sent to ${results.length} recipient(s).`,
        results
      }
    }
  }
}
