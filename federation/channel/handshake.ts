import { randomBytes } from 'node:crypto'
import type { Clock } from '../../src/context.js'
import { parseJson } from '../../src/json.js'
import { type IdentityKey, identityKeyBytes } from '../../src/keys/identity-key.js'
import type { KeyDeriver } from '../../src/keys/key-deriver.js'
import type { Answer } from './exchange.js'
import { type OutboundDoor, PEER_ANSWER_BYTES, type Timeouts } from './guarded-fetch.js'
import { OutboundError } from './outbound-error.js'
import { PeerError } from './peer-error.js'

export const AUTH_VERSION = '0.1'
/** BRC-103's protocol `[2, 'auth message signature']` as the beginning of an invoice number (BRC-43). */
export const AUTH_INVOICE = '2-auth message signature-'

/** What two parties need to sign requests and answers of each other (BRC-103). */
export interface PeerSession {
  /** What the peer proved to have. */
  readonly peerKey: IdentityKey
  readonly peerKeyBytes: Uint8Array
  /** Base64, as sent. */
  readonly ownNonce: string
  /** Base64, as received. */
  readonly peerNonce: string
  /** After this it is not used any more, ms since 1970. */
  readonly expiresAt: number
}

export interface HandshakeOptions {
  readonly door: OutboundDoor
  readonly keys: KeyDeriver
  readonly clock: Clock
}

/** Deployed servers keep a session for an hour. */
const SESSION_MILLISECONDS = 50 * 60_000
/** Without padding in base64, as servers decode the two nonces joined. */
const NONCE_BYTES = 48
const COMPRESSED_KEY = /^0[23][0-9a-f]{64}$/
/** Together with a request nonce of 44 characters and a blank at most the 800 of a key id (BRC-43). */
const PEER_NONCE = /^[A-Za-z0-9+/]{16,733}={0,2}$/
/** DER. */
const SHORTEST_SIGNATURE = 8
const LONGEST_SIGNATURE = 72

/**
 * BRC-103's handshake over BRC-104 (`POST /.well-known/auth`), as the client. It tells the peer this node's key and
 * nothing else; which key is wanted is no part of it, so the caller compares.
 *
 * @param url of the peer's /.well-known/auth
 * @returns a session with the key that the peer proved to have
 * @throws PeerError `handshake-failed`; OutboundError, always `before-sent`, since no payload has left
 */
export async function shakeHands(
  options: HandshakeOptions,
  url: string,
  timeouts: Partial<Timeouts> = {}
): Promise<PeerSession> {
  const { door, keys, clock } = options
  const startedAt = clock.now()
  const ownNonce = randomBytes(NONCE_BYTES).toString('base64')
  const request = {
    version: AUTH_VERSION,
    messageType: 'initialRequest',
    identityKey: keys.identityKey,
    initialNonce: ownNonce,
    requestedCertificates: { certifiers: [], types: {} }
  }
  const answer = await beforePayload(
    door.request({
      url: url,
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: Buffer.from(JSON.stringify(request)),
      maximumAnswerBytes: PEER_ANSWER_BYTES,
      timeouts
    })
  )
  const { identityKey, initialNonce, signature } = parseInitialResponse(answer, ownNonce)
  const peerKeyBytes = identityKeyBytes(identityKey)
  const signed = Buffer.from(ownNonce + initialNonce, 'base64')
  if (!keys.verify(signed, signature, `${AUTH_INVOICE}${ownNonce} ${initialNonce}`, peerKeyBytes)) {
    throw failed(answer, 'the signature does not verify')
  }
  return {
    peerKey: identityKey,
    peerKeyBytes,
    ownNonce,
    peerNonce: initialNonce,
    expiresAt: startedAt + SESSION_MILLISECONDS
  }
}

interface InitialResponse {
  readonly identityKey: IdentityKey
  readonly initialNonce: string
  readonly signature: Uint8Array
}

function parseInitialResponse(answer: Answer, ownNonce: string): InitialResponse {
  if (answer.status !== 200) throw failed(answer, `status ${answer.status}`)
  const { version, messageType, identityKey, initialNonce, yourNonce, signature } = parseObject(answer)
  if (version !== AUTH_VERSION) throw failed(answer, 'another version')
  if (messageType !== 'initialResponse') throw failed(answer, 'not an initialResponse')
  if (yourNonce !== ownNonce) throw failed(answer, 'for another nonce')
  if (typeof identityKey !== 'string' || !COMPRESSED_KEY.test(identityKey))
    throw failed(answer, 'no identity key')
  if (typeof initialNonce !== 'string' || !PEER_NONCE.test(initialNonce)) throw failed(answer, 'no nonce')
  const der = parseBytes(signature)
  if (der === undefined) throw failed(answer, 'no signature')
  return { identityKey, initialNonce, signature: der }
}

function parseObject(answer: Answer): Record<string, unknown> {
  try {
    const value = parseJson(answer.body)
    if (typeof value === 'object' && value !== null) return { ...value }
  } catch {
    // The reason is of no use to anyone here.
  }
  throw failed(answer, 'not a JSON object')
}

/** A signature in JSON is an array of numbers. */
function parseBytes(value: unknown): Uint8Array | undefined {
  if (!Array.isArray(value) || value.length < SHORTEST_SIGNATURE || value.length > LONGEST_SIGNATURE)
    return undefined
  const isBytes = value.every(byte => Number.isInteger(byte) && byte >= 0 && byte <= 255)
  return isBytes ? Uint8Array.from(value) : undefined
}

function failed(answer: Answer, reason: string): PeerError {
  return new PeerError('handshake-failed', `handshake: ${reason}`, { answer })
}

async function beforePayload<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (!(error instanceof OutboundError)) throw error
    throw new OutboundError(error.kind, 'before-sent', `handshake: ${error.message}`, { cause: error })
  }
}
