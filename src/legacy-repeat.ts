import type { Caller } from './auth/caller.js'
import type { LocalContext } from './context.js'
import { ApiError } from './errors.js'
import { parseMessage } from './message.js'
import type { Acceptance } from './message-boxes.js'
import { clientMessageIdKey } from './names.js'
import { takeMessage } from './sending.js'
import { findSentText } from './storage/sent-texts.js'

/**
 * As `takeMessage`, for clients on top of authrite-js (Tokenator): they send a live message on the socket as it is, and at
 * once again over HTTP, under the same id, as its JSON. Where it is a text, the second copy has quotes around it and is the
 * same message all the same.
 */
export async function takeLegacyMessage(
  context: LocalContext,
  caller: Caller,
  request: unknown
): Promise<Acceptance[]> {
  try {
    return await takeMessage(context, caller, request)
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'ERR_DUPLICATE_MESSAGE') throw error
    const repeat = await repeatOfText(context, caller, request)
    if (repeat === undefined) throw error
    return [repeat]
  }
}

async function repeatOfText(
  { curve, config, database }: LocalContext,
  { identityKey }: Caller,
  request: unknown
): Promise<Acceptance | undefined> {
  const { recipients, messageBox, body } = parseMessage(curve, config.limits, request)
  const [{ recipient, messageId } = {}, second] = recipients
  const text = quotedText(body)
  if (recipient === undefined || messageId === undefined || second !== undefined || text === undefined) {
    return undefined
  }
  const idKey = clientMessageIdKey(recipient, identityKey, messageBox, messageId)
  const sent = await findSentText(database, idKey, text)
  return sent && { recipient, messageId, ...sent }
}

/** The text that a body is the JSON of. */
function quotedText(body: string): string | undefined {
  if (!body.startsWith('"')) return undefined
  try {
    const text: unknown = JSON.parse(body)
    return typeof text === 'string' ? text : undefined
  } catch {
    return undefined
  }
}
