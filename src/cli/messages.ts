import { systemClock } from '../context.js'
import type { IdentityKey } from '../keys/identity-key.js'
import { signPortably } from '../keys/portable-signature.js'
import { isObject, signedMessageText } from '../message.js'
import { CommandError } from './command.js'
import type { JsonObject, NodeClient } from './node-client.js'

export interface OutgoingMessage {
  readonly recipient: IdentityKey
  readonly messageBox: string
  readonly body: string
  /** Under the sender's portable signature, so that any host can hand it on (protocol section 4, 1). */
  readonly isSigned: boolean
}

export interface SentMessage {
  readonly messageId: string | number
  /** `local`, `forwarding` or `parked` (protocol section 7). */
  readonly delivery: string
}

export interface ReceivedMessage {
  readonly messageId: string | number
  readonly sender: IdentityKey
  readonly body: string
  /** What shows that it is the sender's: `local`, `signature`, `home-host` or `sealed` (protocol section 4). */
  readonly origin: string
  /** ISO 8601. */
  readonly createdAt: string
}

export interface MessagePage {
  readonly messages: readonly ReceivedMessage[]
  readonly hasMore: boolean
  /** Where the next page begins; undefined if this one is empty. */
  readonly nextCursor: string | undefined
}

/** Ids in one /acknowledgeMessage. */
const IDS_IN_ONE_CALL = 1_000

/** POST /sendMessage to one recipient; the node chooses the message's id. */
export async function sendMessage(client: NodeClient, message: OutgoingMessage): Promise<SentMessage> {
  const { recipient, messageBox, body, isSigned } = message
  const createdAt = systemClock.now()
  const text = signedMessageText(recipient, messageBox, undefined, body, createdAt)
  const proof = isSigned ? { createdAt, signature: signPortably(client.keys, text) } : {}
  const { results } = await client.post('/sendMessage', {
    message: { recipient, messageBox, body, ...proof }
  })
  const result: unknown = Array.isArray(results) ? results[0] : undefined
  if (!isObject(result) || !isMessageId(result.messageId)) throw notUnderstood('/sendMessage')
  return { messageId: result.messageId, delivery: String(result.delivery ?? 'local') }
}

/** Beyond what was asked to wait for, ms. */
const PATIENCE_MILLISECONDS = 15_000

/** POST /listMessages: one page of a box, oldest first; where there is nothing, after as many seconds at most. */
export async function listMessages(
  client: NodeClient,
  messageBox: string,
  options: {
    readonly limit?: number
    readonly cursor?: string | undefined
    readonly waitSeconds?: number
  } = {}
): Promise<MessagePage> {
  const { messages, hasMore, nextCursor } = await client.post(
    '/listMessages',
    { messageBox, ...options },
    (options.waitSeconds ?? 0) * 1000 + PATIENCE_MILLISECONDS
  )
  if (!Array.isArray(messages)) throw notUnderstood('/listMessages')
  return {
    messages: messages.map(parseMessage),
    hasMore: hasMore === true,
    nextCursor: typeof nextCursor === 'string' ? nextCursor : undefined
  }
}

/**
 * POST /acknowledgeMessage: deletes messages of this user; as many calls as it takes.
 *
 * @returns how many there were
 */
export async function acknowledgeMessages(
  client: NodeClient,
  messageIds: readonly (string | number)[]
): Promise<number> {
  let count = 0
  for (let start = 0; start < messageIds.length; start += IDS_IN_ONE_CALL) {
    const some = messageIds.slice(start, start + IDS_IN_ONE_CALL)
    const { acknowledged } = await client.post('/acknowledgeMessage', { messageIds: some })
    count += Number(acknowledged ?? 0)
  }
  return count
}

function parseMessage(message: unknown): ReceivedMessage {
  if (!isObject(message)) throw notUnderstood('/listMessages')
  const { messageId, sender, body, origin, createdAt } = message
  if (!isMessageId(messageId) || typeof sender !== 'string' || typeof body !== 'string') {
    throw notUnderstood('/listMessages')
  }
  return { messageId, sender, body: unwrapped(body), origin: String(origin), createdAt: String(createdAt) }
}

/** A node wraps a body that today's stock clients would misread, and nothing else looks like that. */
function unwrapped(body: string): string {
  if (!body.startsWith('{"message":')) return body
  try {
    const value: JsonObject = JSON.parse(body)
    return typeof value.message === 'string' ? value.message : body
  } catch {
    return body
  }
}

function isMessageId(value: unknown): value is string | number {
  return typeof value === 'string' || typeof value === 'number'
}

function notUnderstood(path: string): CommandError {
  return new CommandError('ERR_NO_NODE', `The answer to ${path} is not what a node answers.`)
}
