import { hash } from 'node:crypto'
import type { Limits } from '../../src/config.js'
import type { Curve } from '../../src/curve/curve.js'
import { derToCompact } from '../../src/curve/der.js'
import { ApiError } from '../../src/errors.js'
import { type IdentityKey, identityKeyBytes } from '../../src/keys/identity-key.js'
import { verifyPortableSignature } from '../../src/keys/portable-signature.js'
import { CLOCK_TOLERANCE, type Message, type MessageRecipient, signedMessageText } from '../../src/message.js'
import { envelopeId, messageName, type SignedMessageFormat } from '../../src/names.js'
import type { PropagatedMessage } from './propagated-message.js'
import { type AttestationCheck, attestationFault } from './sender-authorization.js'
import { type ParseSigned, readSignedMessage } from './signed-message.js'

/*
 * What makes a propagated message credible (protocol section 4). The key linkage of BRC-34 must hold, but proves nothing:
 * it can be made to fit any message from the sender's public key alone.
 */

/** The check that failed, as `check` in the refusal. */
export type OriginCheck =
  | 'key-linkage'
  | 'signed-message'
  | 'recipients'
  | 'signature'
  | AttestationCheck
  | 'no-proof'
  /** The body's ciphertext was sent by its recipient himself. */
  | 'reflected'
  /** The sender is known to have sent the body's ciphertext to another box. */
  | 'boxed-again'
  /** The recipient takes no sealed body without further proof into this box. */
  | 'unsealed-only'
  /** The sender's authorization is older than the end of his last token at that host. */
  | 'sender-authorization-void'

export type Origin = 'signature' | 'home-host' | 'sealed'

export interface ProvenRecipient extends MessageRecipient {
  readonly name: Buffer
  readonly verdict: ProvenOrigin | Refusal
}

export interface ProvenOrigin {
  readonly ok: true
  readonly origin: Origin
  /** Milliseconds; what the message's life is counted from. */
  readonly time: number
}

export interface Refusal {
  readonly ok: false
  readonly httpStatus: 400 | 403 | 425
  readonly code: 'ERR_ORIGIN_UNPROVEN' | 'ERR_MESSAGE_EXPIRED' | 'ERR_MESSAGE_EARLY'
  readonly check?: OriginCheck
}

export interface ProvenMessage {
  readonly message: Message
  readonly envelopeId: Buffer
  readonly format: SignedMessageFormat
  readonly recipients: readonly ProvenRecipient[]
}

/** 403: nothing here shows that the sender sent this. */
export function originUnproven(check: OriginCheck): ApiError {
  return new ApiError(
    403,
    'ERR_ORIGIN_UNPROVEN',
    "Nothing proves that the stated sender sent this message: it needs his own signature, his home host's attestation under his authorization, or a sealed body.",
    { check }
  )
}

/**
 * Judges a propagated message by itself, without looking at what this host knows of its recipients.
 *
 * @param now ms
 * @param parse absent: at once, however long it is
 * @throws ApiError 403 ERR_ORIGIN_UNPROVEN where the request as a whole is worth nothing, and as readSignedMessage
 */
export function judgeOrigin(
  curve: Curve,
  limits: Limits,
  propagated: PropagatedMessage,
  now: number,
  parse?: ParseSigned
): ProvenMessage {
  if (!linkageHolds(curve, propagated)) throw originUnproven('key-linkage')
  const signed = readSignedMessage(
    curve,
    limits,
    propagated.signedMessage,
    propagated.signedMessageFormat,
    parse
  )
  if (signed === undefined) throw originUnproven('signed-message')
  const { message, format } = signed
  const wanted = propagated.recipients
  const recipients = message.recipients.filter(({ recipient }) => wanted?.includes(recipient) ?? true)
  if (wanted !== undefined && recipients.length !== wanted.length) throw originUnproven('recipients')
  const id = envelopeId(propagated.originalSender, format, propagated.keyID, propagated.signedMessage)
  const attested = attestationOf(curve, propagated, id)
  return {
    message,
    envelopeId: id,
    format,
    recipients: recipients.map(recipient =>
      judgeRecipient(curve, limits, propagated, message, recipient, id, attested, now)
    )
  }
}

/** BRC-34: the signature verifies under the sender's key plus the offset. */
function linkageHolds(curve: Curve, propagated: PropagatedMessage): boolean {
  const signature = derToCompact(propagated.senderSignature)
  if (signature === undefined) return false
  try {
    const key = curve.addToPublicKey(identityKeyBytes(propagated.originalSender), propagated.keyLinkage)
    return curve.verify(hash('sha256', propagated.signedMessage, 'buffer'), signature, key)
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}

/** When the home host received the request, or why its word does not count. */
function attestationOf(
  curve: Curve,
  propagated: PropagatedMessage,
  id: Buffer
): number | AttestationCheck | undefined {
  const { senderAuthorization, hostAttestation } = propagated
  if (senderAuthorization === undefined || hostAttestation === undefined) return undefined
  const fault = attestationFault(curve, propagated.originalSender, id, senderAuthorization, hostAttestation)
  return fault ?? hostAttestation.receivedAt
}

function judgeRecipient(
  curve: Curve,
  limits: Limits,
  propagated: PropagatedMessage,
  message: Message,
  recipient: MessageRecipient,
  id: Buffer,
  attested: number | AttestationCheck | undefined,
  now: number
): ProvenRecipient {
  const sender = propagated.originalSender
  const signedText = validSignedText(curve, sender, message, recipient)
  const name = messageName(sender, message.messageBox, message.ciphertext, signedText, id)
  let proven: ProvenOrigin | undefined
  if (signedText !== undefined) proven = { ok: true, origin: 'signature', time: message.createdAt! }
  else if (typeof attested === 'number') proven = { ok: true, origin: 'home-host', time: attested }
  else if (message.ciphertext !== undefined) {
    // Absent or ahead, it is first seen now: only its ciphertext says anything.
    proven = { ok: true, origin: 'sealed', time: Math.min(propagated.firstSeen ?? now, now) }
  }
  if (proven === undefined) {
    const check = attested ?? (recipient.signature === undefined ? 'no-proof' : 'signature')
    return { ...recipient, name, verdict: refusal(403, 'ERR_ORIGIN_UNPROVEN', check as OriginCheck) }
  }
  if (proven.time > now + CLOCK_TOLERANCE) {
    return { ...recipient, name, verdict: refusal(425, 'ERR_MESSAGE_EARLY') }
  }
  if (proven.time + limits.timeToLive * 1000 <= now) {
    return { ...recipient, name, verdict: refusal(400, 'ERR_MESSAGE_EXPIRED') }
  }
  return { ...recipient, name, verdict: proven }
}

function validSignedText(
  curve: Curve,
  sender: IdentityKey,
  message: Message,
  { recipient, messageId, signature }: MessageRecipient
): string | undefined {
  if (signature === undefined || message.createdAt === undefined) return undefined
  const text = signedMessageText(recipient, message.messageBox, messageId, message.body, message.createdAt)
  return verifyPortableSignature(curve, sender, text, signature) ? text : undefined
}

function refusal(httpStatus: Refusal['httpStatus'], code: Refusal['code'], check?: OriginCheck): Refusal {
  return { ok: false, httpStatus, code, ...(check === undefined ? {} : { check }) }
}
