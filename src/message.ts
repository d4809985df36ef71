import type { Limits } from './config.js'
import type { Curve } from './curve/curve.js'
import { ApiError, badRequest } from './errors.js'
import { type IdentityKey, parseIdentityKey } from './keys/identity-key.js'
import { parseMessageBody } from './message-body.js'
import { type Payment, parsePayment } from './payments/payment.js'

/** Reports about deliveries; only the node writes there (protocol section 6). */
export const DELIVERY_REPORTS = 'delivery_reports'

/** Times of a message further ahead than this, ms, are an error (protocol section 2). */
export const CLOCK_TOLERANCE = 10 * 60 * 1000

const MESSAGE_BOX_BYTES = 128
const MESSAGE_ID_BYTES = 256
const MESSAGE_IDS_AT_MOST = 1_000

/** The `message` of a /sendMessage request, as every host reads the same signed bytes. */
export interface Message {
  readonly messageBox: string
  /** As text: an object body is its JSON. */
  readonly body: string
  /** Base64 of the ciphertext, where the body is sealed. */
  readonly ciphertext: string | undefined
  /** A stock client would take the body's member `message` for the body. */
  readonly wrapped: boolean
  /** Milliseconds; what the sender's own signatures speak of. */
  readonly createdAt: number | undefined
  /** In the order of the request. */
  readonly recipients: readonly MessageRecipient[]
  /** An error where it can't be read, to be told if something is due; undefined where nothing is to be paid with. */
  readonly payment: Payment | ApiError | undefined
  /** payment.tx, as bytes, as it is or as JSON, if there is one: a message that brings another payment is no repeat. */
  readonly paymentTransaction: string | Uint8Array | undefined
}

export interface MessageRecipient {
  readonly recipient: IdentityKey
  /** As the client chose it, an integer as its digits; undefined: this host assigns one. */
  readonly messageId: string | undefined
  /** The sender's portable signature for this recipient (protocol section 4, 1). */
  readonly signature: string | undefined
}

/**
 * Parses the body of a /sendMessage request: BRC-33, and what deployed clients send beside it.
 *
 * @param request the parsed JSON
 * @throws ApiError 400, 403 ERR_RESERVED_MESSAGEBOX or 413 with the codes of docs/errors.md
 */
export function parseMessage(curve: Curve, limits: Limits, request: unknown): Message {
  if (!isObject(request) || request.message === undefined || request.message === null) {
    throw badRequest('ERR_MESSAGE_REQUIRED', 'The request needs a member "message" with the message.')
  }
  const message = request.message
  if (!isObject(message)) throw badRequest('ERR_INVALID_MESSAGE', '"message" must be an object.')
  const recipients = parseRecipients(curve, limits, message)
  const messageBox = parseMessageBox(message.messageBox)
  if (messageBox === DELIVERY_REPORTS) {
    throw new ApiError(403, 'ERR_RESERVED_MESSAGEBOX', `Only a node writes to the box "${DELIVERY_REPORTS}".`)
  }
  const messageIds = parseSentMessageIds(message.messageId, recipients.length)
  const { body, wrapped, ciphertext } = parseMessageBody(message.body, limits)
  const createdAt = parseCreatedAt(message.createdAt)
  const signatures = parseSignatures(message, recipients.length)
  if (signatures.some(signature => signature !== undefined)) {
    if (createdAt === undefined) {
      throw badRequest('ERR_CREATED_AT_REQUIRED', 'A signed message states "createdAt", in milliseconds.')
    }
    if (typeof message.body !== 'string') {
      throw badRequest('ERR_INVALID_MESSAGE_BODY', 'The body of a signed message must be a string.')
    }
  }
  const payment = parsePayment(request.payment)
  return {
    messageBox,
    body,
    wrapped,
    ciphertext,
    createdAt,
    recipients: recipients.map((recipient, i) => ({
      recipient,
      messageId: messageIds[i],
      signature: signatures[i]
    })),
    payment,
    paymentTransaction: paymentTransaction(payment, request.payment)
  }
}

/**
 * Parses the name of a message box: a string that is not blank, without control characters or blanks at its ends, at
 * most 128 bytes of UTF-8.
 */
export function parseMessageBox(value: unknown): string {
  if (value === undefined || value === null || value === '') {
    throw badRequest('ERR_MESSAGEBOX_REQUIRED', 'The name of a message box is missing ("messageBox").')
  }
  if (typeof value !== 'string') throw badRequest('ERR_INVALID_MESSAGEBOX', '"messageBox" must be a string.')
  if (value.trim() !== value || /\p{Cc}/u.test(value)) {
    throw badRequest(
      'ERR_INVALID_MESSAGEBOX',
      'The name of a message box has no blanks at its ends and no control characters.'
    )
  }
  if (Buffer.byteLength(value) > MESSAGE_BOX_BYTES) {
    throw badRequest(
      'ERR_MESSAGEBOX_TOO_LARGE',
      `The name of a message box has at most ${MESSAGE_BOX_BYTES} bytes.`
    )
  }
  return value
}

/**
 * Parses a message id as clients send it: a string of 1 to 256 bytes, or a safe integer, which means its digits.
 *
 * @returns undefined for anything else
 */
export function parseMessageId(value: unknown): string | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? String(value) : undefined
  if (typeof value !== 'string' || value.trim() === '') return undefined
  return Buffer.byteLength(value) <= MESSAGE_ID_BYTES ? value : undefined
}

/**
 * Parses the body `{messageIds: […]}` of calls about several messages: 1 to 1,000 ids.
 *
 * @throws ApiError 400 ERR_MESSAGE_ID_REQUIRED, ERR_INVALID_MESSAGE_ID, ERR_TOO_MANY_MESSAGE_IDS
 */
export function parseMessageIds(body: unknown): string[] {
  const ids = isObject(body) ? body.messageIds : undefined
  if (ids === undefined || ids === null || (Array.isArray(ids) && ids.length === 0)) {
    throw badRequest('ERR_MESSAGE_ID_REQUIRED', 'The body must be {"messageIds": […]} with at least one id.')
  }
  if (!Array.isArray(ids)) throw badRequest('ERR_INVALID_MESSAGE_ID', '"messageIds" must be an array.')
  if (ids.length > MESSAGE_IDS_AT_MOST) {
    throw badRequest('ERR_TOO_MANY_MESSAGE_IDS', `At most ${MESSAGE_IDS_AT_MOST} ids in one call.`)
  }
  return ids.map((id: unknown) => {
    const messageId = parseMessageId(id)
    if (messageId === undefined) {
      throw badRequest('ERR_INVALID_MESSAGE_ID', 'An id is a string of 1 to 256 bytes or a safe integer.')
    }
    return messageId
  })
}

/** An id of digits only is shown as an integer (protocol section 2). */
export function isIntegerId(messageId: string): boolean {
  return /^\d+$/.test(messageId)
}

/** A shown id as JSON has it: ids of digits only are integers. */
export function shownMessageId(shownId: string): string | number {
  return isIntegerId(shownId) ? Number(shownId) : shownId
}

/** The text that a sender signs portably, so that no host has to be trusted (protocol section 4, 1). */
export function signedMessageText(
  recipient: IdentityKey,
  messageBox: string,
  messageId: string | undefined,
  body: string,
  createdAt: number
): string {
  return JSON.stringify(['peerserv message', 1, recipient, messageBox, messageId ?? null, body, createdAt])
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function parseRecipients(curve: Curve, limits: Limits, message: Record<string, unknown>): IdentityKey[] {
  const single = message.recipient === '' ? undefined : (message.recipient ?? undefined)
  const several = message.recipients ?? undefined
  if (several !== undefined && !Array.isArray(several)) {
    throw badRequest('ERR_INVALID_RECIPIENT', '"recipients" must be an array of identity keys.')
  }
  const one = single === undefined ? [] : Array.isArray(single) ? single : [single]
  const named: unknown[] = several ?? one
  if (named.length === 0) {
    throw badRequest('ERR_RECIPIENT_REQUIRED', 'The message needs a "recipient": an identity key.')
  }
  if (named.length > limits.recipientsPerSend) {
    throw badRequest(
      'ERR_TOO_MANY_RECIPIENTS',
      `A message has at most ${limits.recipientsPerSend} recipients.`
    )
  }
  const keys = named.map(key => parseRecipient(curve, key))
  if (new Set(keys).size !== keys.length) {
    throw badRequest('ERR_DUPLICATE_RECIPIENT', 'A recipient is named twice.')
  }
  if (several !== undefined && one.length > 0) {
    const other = one.map(key => parseRecipient(curve, key))
    if (other.length !== keys.length || other.some((key, i) => key !== keys[i])) {
      throw badRequest('ERR_INVALID_RECIPIENT', '"recipient" and "recipients" name different people.')
    }
  }
  return keys
}

function parseRecipient(curve: Curve, value: unknown): IdentityKey {
  const key = parseIdentityKey(curve, value)
  if (key === undefined) {
    throw badRequest(
      'ERR_INVALID_RECIPIENT_KEY',
      'A recipient must be an identity key: 33 bytes of a compressed secp256k1 public key as 66 hex characters.'
    )
  }
  return key
}

function parseSentMessageIds(value: unknown, count: number): (string | undefined)[] {
  if (value === undefined || value === null) return new Array(count).fill(undefined)
  const values: unknown[] = Array.isArray(value) ? value : [value]
  if (values.length !== count) {
    throw badRequest(
      'ERR_MESSAGEID_COUNT_MISMATCH',
      `There are ${count} recipients and ${values.length} message ids.`
    )
  }
  return values.map(id => {
    const messageId = parseMessageId(id)
    if (messageId === undefined) {
      throw badRequest(
        'ERR_INVALID_MESSAGEID',
        `A message id is a string of 1 to ${MESSAGE_ID_BYTES} bytes or a safe integer.`
      )
    }
    return messageId
  })
}

function parseCreatedAt(value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    throw badRequest('ERR_INVALID_CREATED_AT', '"createdAt" must be an integer: milliseconds since 1970.')
  }
  return value as number
}

function parseSignatures(message: Record<string, unknown>, count: number): (string | undefined)[] {
  const { signature = null, signatures = null } = message
  if (signature === null && signatures === null) return new Array(count).fill(undefined)
  const values: unknown[] = signatures === null ? [signature] : Array.isArray(signatures) ? signatures : []
  if (values.length !== count || (signature !== null && signatures !== null && signature !== values[0])) {
    throw badRequest(
      'ERR_INVALID_SIGNATURE',
      '"signature" is for one recipient; for several, "signatures" has one for each, in their order.'
    )
  }
  return values.map(value => {
    if (value === null) return undefined
    if (typeof value !== 'string') throw badRequest('ERR_INVALID_SIGNATURE', 'A signature is base64 text.')
    return value
  })
}

function paymentTransaction(
  payment: Payment | ApiError | undefined,
  stated: unknown
): string | Uint8Array | undefined {
  if (payment !== undefined && !(payment instanceof ApiError)) return payment.transaction
  if (!isObject(stated) || stated.tx === undefined || stated.tx === null) return undefined
  if (Buffer.isBuffer(stated.tx)) return stated.tx
  // It may be long, and as JSON a text would only be copied.
  return typeof stated.tx === 'string' ? stated.tx : JSON.stringify(stated.tx)
}
