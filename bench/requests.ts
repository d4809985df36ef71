import { randomBytes } from 'node:crypto'
import type { Connections, Session, SignedRequest } from './client.js'

/** A node, and users with sessions at it. */
export interface Target {
  readonly connections: Connections
  readonly users: readonly Session[]
}

/** A request that says what it is about. */
export interface SendRequest extends SignedRequest {
  readonly recipient: Session
  readonly messageBox: string
  readonly messageId: string
}

const FILLER = 'The quick brown fox jumps over the lazy dog 0123456789. '
/** Of a message's body, unless something else is measured. */
export const MESSAGE_BYTES = 300

export function textOf(bytes: number): string {
  return FILLER.repeat(Math.ceil(bytes / FILLER.length)).slice(0, bytes)
}

/** Of a box that nobody has. */
export function newName(): string {
  return `bench-${randomBytes(8).toString('hex')}`
}

export function sendRequest(
  sender: Session,
  recipient: Session,
  messageBox: string,
  body: string
): SendRequest {
  const messageId = randomBytes(16).toString('hex')
  const message = { recipient: recipient.client.identityKey, messageBox, messageId, body }
  return { ...sender.sign('/sendMessage', { message }), recipient, messageBox, messageId }
}

/** Everybody sends to everybody in turn. */
export function sendRequests(
  senders: readonly Session[],
  recipients: readonly Session[],
  messageBox: string,
  count: number,
  bytes = MESSAGE_BYTES
): SendRequest[] {
  const body = textOf(bytes)
  return Array.from({ length: count }, (_, i) => {
    const sender = senders[i % senders.length]!
    const recipient = recipients[(i + 1 + Math.floor(i / senders.length)) % recipients.length]!
    return sendRequest(sender, recipient, messageBox, body)
  })
}

export function acknowledgeRequest({ recipient, messageId }: SendRequest): SignedRequest {
  return recipient.sign('/acknowledgeMessage', { messageIds: [messageId] })
}

export function listRequests(users: readonly Session[], messageBox: string, count: number): SignedRequest[] {
  return Array.from({ length: count }, (_, i) =>
    users[i % users.length]!.sign('/listMessages', { messageBox })
  )
}
