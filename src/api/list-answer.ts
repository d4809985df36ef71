import { shownMessageId } from '../message.js'
import { Pauses } from '../pauses.js'
import { paymentJson } from '../payments/stored-payment.js'
import type { ShownMessage } from '../storage/messages.js'

/** Text of this many characters becomes bytes at once. */
const PIECE = 262_144

/** What stands behind the messages of a list. */
export interface ListEnd {
  readonly hasMore: boolean
  readonly nextCursor?: string | undefined
  /** These three where an offset was asked for. */
  readonly limit?: number
  readonly offset?: number
  readonly nextOffset?: number | null
}

/**
 * The JSON of a list. It is written piece by piece, and only what may hold anything is escaped: most of what a list
 * costs is in here.
 *
 * @param isAsSent as of `messageJson`
 */
export async function listAnswer(
  messages: readonly ShownMessage[],
  end: ListEnd,
  isAsSent = false
): Promise<Buffer> {
  const pieces: Buffer[] = []
  const pauses = new Pauses()
  let text = '{"status":"success","messages":['
  let separator = ''
  for (const message of messages) {
    text += separator
    separator = ','
    for (const part of message.payment === null
      ? [messageJson(message, isAsSent)]
      : paidMessageJson(message, isAsSent)) {
      text += part
      if (text.length < PIECE) continue
      const piece = Buffer.from(text)
      pieces.push(piece)
      text = ''
      await pauses.after(piece.length)
    }
  }
  text += `],${JSON.stringify(end).slice(1)}`
  const last = Buffer.from(text)
  return pieces.length === 0 ? last : Buffer.concat([...pieces, last])
}

/**
 * A message as clients read it: every spelling of its members that they look for.
 *
 * @param isAsSent the reader takes the body as it is, whatever is in it
 */
export function messageJson(row: ShownMessage, isAsSent = false): string {
  if (row.payment !== null) return [...paidMessageJson(row, isAsSent)].join('')
  const { body } = row
  // Stock clients take a member "message" for the body (@bsv/message-box-client, listMessages): wrapped, it is one.
  const shown = JSON.stringify(row.wrapped && !isAsSent ? JSON.stringify({ message: body }) : body)
  return `${beforeBody(row)}${shown}${behindBody(row)}`
}

/**
 * The same of one that was paid for: its body is the JSON of `{message, payment}`, as stock clients look for payments; as
 * sent, the payment stands beside it.
 */
function* paidMessageJson(row: ShownMessage, isAsSent: boolean): Generator<string> {
  const body = JSON.stringify(row.body)
  if (isAsSent) {
    yield `${beforeBody(row)}${body},"payment":`
    yield* paymentJson(row.payment!)
    yield behindBody(row)
    return
  }
  yield `${beforeBody(row)}"${inString(`{"message":${body},"payment":`)}`
  for (const piece of paymentJson(row.payment!)) yield inString(piece)
  yield `}"${behindBody(row)}`
}

/** Text as it stands between the quotes of a JSON string. */
function inString(text: string): string {
  return JSON.stringify(text).slice(1, -1)
}

function beforeBody(row: ShownMessage): string {
  return `{"messageId":${JSON.stringify(shownMessageId(row.shown_id))},"body":`
}

function behindBody(row: ShownMessage): string {
  const time = `"${new Date(row.created_at).toISOString()}"`
  const proof = row.proof === null ? '' : `,"proof":${JSON.stringify(row.proof)}`
  const hiddenBy = row.hidden_by === undefined ? '' : `,"acknowledgedBy":"${row.hidden_by}"`
  return `,"sender":"${row.sender}","createdAt":${time},"created_at":${time},"updatedAt":${time},"updated_at":${time},"envelopeId":"${row.name}","origin":"${row.origin}"${proof}${hiddenBy}}`
}
