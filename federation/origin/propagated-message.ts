import type { Curve } from '../../src/curve/curve.js'
import { badRequest } from '../../src/errors.js'
import { type IdentityKey, parseIdentityKey } from '../../src/keys/identity-key.js'
import { isObject } from '../../src/message.js'
import type { SignedMessageFormat } from '../../src/names.js'

/** Given once by a sender to a host: "this host may vouch for my requests" (protocol section 4, 2). */
export interface SenderAuthorization {
  readonly hostKey: IdentityKey
  /** Milliseconds. */
  readonly given: number
  readonly expires: number
  /** Portable, the sender's. */
  readonly signature: string
}

/** A host's word for one envelope: "I authenticated this request of this sender". */
export interface HostAttestation {
  /** Milliseconds. */
  readonly receivedAt: number
  /** Portable, the host's. */
  readonly signature: string
}

/** The body of POST /propagateMessage (BRC-34; members beside its four: protocol section 4). */
export interface PropagatedMessage {
  readonly originalSender: IdentityKey
  /** 32 bytes. */
  readonly keyLinkage: Buffer
  /** The exact signed bytes. */
  readonly signedMessage: Buffer
  /** DER. */
  readonly senderSignature: Buffer
  /** Undefined from a plain BRC-34 host. */
  readonly signedMessageFormat: SignedMessageFormat | undefined
  readonly keyID: string
  /** Undefined: all that were signed. */
  readonly recipients: readonly IdentityKey[] | undefined
  readonly senderAuthorization: SenderAuthorization | undefined
  readonly hostAttestation: HostAttestation | undefined
  /** Milliseconds; when the network first saw a sealed message, as the forwarding host says. */
  readonly firstSeen: number | undefined
}

const FORMATS: readonly string[] = ['brc104', 'brc103', 'authrite']
/** The longest that a session nonce of any scheme needs, with room. */
const KEY_ID_CHARACTERS = 2_000

/**
 * Parses the form of a /propagateMessage body; what it claims is judged by proof.ts.
 *
 * @throws ApiError 400 ERR_INVALID_PROPAGATION naming the member that is wrong
 */
export function parsePropagatedMessage(
  curve: Curve,
  recipientsAtMost: number,
  body: unknown
): PropagatedMessage {
  if (!isObject(body)) throw invalid('The body', 'a JSON object')
  const format = body.signedMessageFormat
  if (format !== undefined && (typeof format !== 'string' || !FORMATS.includes(format))) {
    throw invalid('"signedMessageFormat"', `one of ${FORMATS.join(', ')}`)
  }
  const keyID = body.keyID ?? ''
  if (typeof keyID !== 'string' || keyID.length > KEY_ID_CHARACTERS) throw invalid('"keyID"', 'a string')
  return {
    originalSender: identityKey(curve, body.originalSender, '"originalSender"'),
    keyLinkage: hex(body.keyLinkage, '"keyLinkage"', 32, 32),
    signedMessage: base64(body.signedMessage, '"signedMessage"'),
    senderSignature: hex(body.senderSignature, '"senderSignature"', 8, 72),
    signedMessageFormat: format as SignedMessageFormat | undefined,
    keyID,
    recipients: recipients(curve, recipientsAtMost, body.recipients),
    senderAuthorization: senderAuthorization(curve, body.senderAuthorization),
    hostAttestation: hostAttestation(body.hostAttestation),
    firstSeen: body.firstSeen === undefined ? undefined : time(body.firstSeen, '"firstSeen"')
  }
}

/** Parses the members that a sender gives with POST /authorizeSending, or that a peer passes on. */
export function parseAuthorizationTerms(
  body: Record<string, unknown>
): Pick<SenderAuthorization, 'given' | 'expires' | 'signature'> {
  return {
    given: time(body.given, '"given"'),
    expires: time(body.expires, '"expires"'),
    signature: text(body.signature, '"signature"')
  }
}

function senderAuthorization(curve: Curve, value: unknown): SenderAuthorization | undefined {
  if (value === undefined || value === null) return undefined
  if (!isObject(value))
    throw invalid('"senderAuthorization"', 'an object {hostKey, given, expires, signature}')
  return {
    hostKey: identityKey(curve, value.hostKey, '"senderAuthorization.hostKey"'),
    ...parseAuthorizationTerms(value)
  }
}

function hostAttestation(value: unknown): HostAttestation | undefined {
  if (value === undefined || value === null) return undefined
  if (!isObject(value)) throw invalid('"hostAttestation"', 'an object {receivedAt, signature}')
  return {
    receivedAt: time(value.receivedAt, '"hostAttestation.receivedAt"'),
    signature: text(value.signature, '"hostAttestation.signature"')
  }
}

function recipients(curve: Curve, atMost: number, value: unknown): IdentityKey[] | undefined {
  if (value === undefined || value === null) return undefined
  if (!Array.isArray(value) || value.length === 0 || value.length > atMost) {
    throw invalid('"recipients"', `an array of 1 to ${atMost} identity keys`)
  }
  const keys = value.map(key => identityKey(curve, key, '"recipients"'))
  if (new Set(keys).size !== keys.length) throw invalid('"recipients"', 'without repetitions')
  return keys
}

function identityKey(curve: Curve, value: unknown, member: string): IdentityKey {
  const key = parseIdentityKey(curve, value)
  if (key === undefined) throw invalid(member, 'an identity key of 66 hex characters')
  return key
}

function hex(value: unknown, member: string, fewest: number, most: number): Buffer {
  if (typeof value === 'string' && value.length >= fewest * 2 && value.length <= most * 2) {
    if (/^(?:[0-9a-f]{2})+$/i.test(value)) return Buffer.from(value, 'hex')
  }
  throw invalid(member, fewest === most ? `${most} bytes in hex` : `${fewest} to ${most} bytes in hex`)
}

function base64(value: unknown, member: string): Buffer {
  if (typeof value === 'string' && value !== '') {
    const bytes = Buffer.from(value, 'base64')
    if (bytes.toString('base64') === value) return bytes
  }
  throw invalid(member, 'canonical base64 of the exact signed bytes')
}

function time(value: unknown, member: string): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number
  throw invalid(member, 'an integer: milliseconds since 1970')
}

function text(value: unknown, member: string): string {
  if (typeof value === 'string') return value
  throw invalid(member, 'a portable signature in base64')
}

function invalid(member: string, right: string) {
  return badRequest('ERR_INVALID_PROPAGATION', `${member} must be ${right}.`)
}
