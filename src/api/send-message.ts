import type { Caller } from '../auth/caller.js'
import { StaleSession } from '../auth/stale-session.js'
import type { LocalContext } from '../context.js'
import type { AuthenticatedEndpoint } from '../endpoint.js'
import { ApiError } from '../errors.js'
import { parseMessage } from '../message.js'
import { acceptSentMessage } from '../message-boxes.js'
import { admitRequest } from '../storage/replays.js'

/**
 * POST /sendMessage (BRC-33; members beside its three as deployed clients send them).
 *
 * Body: `{message: {recipient | recipients, messageBox, body, messageId?, createdAt?, signature? | signatures?}, payment?}`.
 * Answers, after the commit, `{status, message, results: [{recipient, messageId, delivery, forwardable}]}`; `delivery` is
 * `local`, `forwarding` or `parked` (protocol section 6). All recipients or none.
 *
 * Errors: 400 with the codes of docs/errors.md; 403 ERR_BLOCKED, ERR_ORIGIN_UNPROVABLE, ERR_RESERVED_MESSAGEBOX; 409
 * ERR_DUPLICATE_MESSAGE; 413 ERR_MESSAGE_BODY_TOO_LARGE; 429 ERR_RATE_LIMITED, with the recipients (all or none is counted);
 * 507 ERR_INBOX_QUOTA_EXCEEDED.
 */
export const sendMessage: AuthenticatedEndpoint<LocalContext> = {
  method: 'POST',
  path: '/sendMessage',
  authenticated: true,
  async handler(request, context) {
    const message = parseMessage(context.curve, context.config.limits, request.json())
    const { identityKey } = request.caller
    const recipients = message.recipients.map(({ recipient }) => recipient)
    const blocked = recipients.filter(recipient => context.operatorLists.blocksIdentity(recipient))
    if (blocked.length > 0) throw context.operatorLists.refusalOfRecipients(blocked)
    await context.rates
      .sends(identityKey, recipients)
      .catch(error => refuseForGood(context, request.caller, error))
    const results = await acceptSentMessage(context, request.caller, message).catch(error => {
      if (error instanceof StaleSession) context.rates.undoSends(identityKey, recipients)
      return refuseForGood(context, request.caller, error)
    })
    return {
      body: {
        status: 'success',
        message: `Your message has been sent to ${results.length} recipient(s).`,
        results
      }
    }
  }
}

/** What is too much or too early now would be taken later: then it has to be signed and sent anew. */
async function refuseForGood(context: LocalContext, { replay }: Caller, error: unknown): Promise<never> {
  const passes = error instanceof ApiError && (error.httpStatus === 429 || error.code === 'ERR_MESSAGE_EARLY')
  const verdict = passes ? await admitRequest(context.database, replay) : 'fresh'
  if (verdict !== 'fresh') throw new StaleSession(verdict)
  throw error
}
