import type { Caller } from './auth/caller.js'
import { StaleSession } from './auth/stale-session.js'
import type { LocalContext } from './context.js'
import { ApiError } from './errors.js'
import { parseMessage } from './message.js'
import { type Acceptance, acceptSentMessage } from './message-boxes.js'
import { admitRequest } from './storage/replays.js'

/**
 * Takes a message however it came, over HTTP or a socket: every check is here or behind. Resolves after the commit.
 *
 * @param request what a /sendMessage request has as its body, parsed
 * @returns one entry per recipient, in the order of the request
 * @throws StaleSession for a replay; ApiError as /sendMessage
 */
export async function takeMessage(
  context: LocalContext,
  caller: Caller,
  request: unknown
): Promise<Acceptance[]> {
  const message = parseMessage(context.curve, context.config.limits, request)
  const { identityKey } = caller
  const recipients = message.recipients.map(({ recipient }) => recipient)
  const blocked = recipients.filter(recipient => context.operatorLists.blocksIdentity(recipient))
  if (blocked.length > 0) {
    throw context.operatorLists.refusalOfRecipients(blocked)
  }
  await context.rates.sends(identityKey, recipients).catch(error => refuseForGood(context, caller, error))
  return acceptSentMessage(context, caller, message).catch(error => {
    if (error instanceof StaleSession) context.rates.undoSends(identityKey, recipients)
    return refuseForGood(context, caller, error)
  })
}

const PASSING = new Set(['ERR_RATE_LIMITED', 'ERR_MESSAGE_EARLY'])

/**
 * What is too much or too early now would be taken later: then it has to be signed and sent anew. Of whom the operator
 * blocks, authenticate.ts says so.
 */
async function refuseForGood(context: LocalContext, { replay }: Caller, error: unknown): Promise<never> {
  const passes = error instanceof ApiError && PASSING.has(error.code)
  const verdict = passes ? await admitRequest(context.database, replay) : 'fresh'
  if (verdict !== 'fresh') throw new StaleSession(verdict)
  throw error
}
