import { hash, randomBytes } from 'node:crypto'
import { type IdentityKey, identityKeyBytes, parseIdentityKey } from '../keys/identity-key.js'
import { envelopeId } from '../names.js'
import { authFailed, sessionNotFound, unauthorized } from './auth-errors.js'
import { decodeBase64 } from './base64.js'
import { AUTH_VERSION, type AuthContext, authInvoiceNumber } from './brc104.js'
import type { Caller } from './caller.js'
import { answerHandshake, signatureBytes } from './handshake.js'
import { sessionTime } from './session-epoch.js'
import { checkSessionNonce, NONCE_LEAST, NONCE_MOST, type Session } from './session-nonce.js'

/** A general message whose sender is proven. */
export interface ProvenMessage {
  readonly caller: Caller
  /** Exactly what was signed. */
  readonly payload: Buffer
}

/** A client may begin several handshakes at once, one for each message it sends before the first answer. */
const SESSIONS_AT_MOST = 32

/**
 * BRC-103 over one socket: the messages are the handshake's as JSON, and general messages with a payload of bytes. Its
 * sessions live in this object and count on no other socket, for as long as the socket does.
 */
export class SocketAuthentication {
  readonly #auth: AuthContext
  /** By this node's nonce, oldest first. */
  readonly #sessions = new Map<string, Session>()
  #identityKey: IdentityKey | undefined
  /** The one in which the client spoke last: he is answered in it. */
  #current: Session | undefined

  constructor(auth: AuthContext) {
    this.#auth = auth
  }

  /** Whose socket it is; undefined before the first handshake. Proven only once `verify` has returned. */
  get identityKey(): IdentityKey | undefined {
    return this.#identityKey
  }

  /**
   * Answers a handshake message with one to be sent back.
   *
   * @throws ApiError 401 for one that is malformed or comes from another identity than the first one
   */
  shakeHands(message: Readonly<Record<string, unknown>>): object {
    const { body } = answerHandshake(message, this.#auth)
    const { initialNonce } = body as { readonly initialNonce?: string }
    if (message.messageType !== 'initialRequest' || initialNonce === undefined) return body
    const identityKey = parseIdentityKey(this.#auth.curve, message.identityKey)
    this.#identityKey ??= identityKey
    if (identityKey === undefined || identityKey !== this.#identityKey)
      throw unauthorized('This socket belongs to another identity key.')
    const session = checkSessionNonce(this.#auth.keys, initialNonce, identityKey, sessionTime(this.#auth))
    if (session === undefined) throw sessionNotFound()
    this.#sessions.set(initialNonce, session)
    const [oldest] = this.#sessions.keys()
    if (this.#sessions.size > SESSIONS_AT_MOST && oldest !== undefined) this.#sessions.delete(oldest)
    return body
  }

  /**
   * Proves who sent a general message, and that it is for this socket.
   *
   * @throws ApiError 401
   */
  verify(message: Readonly<Record<string, unknown>>): ProvenMessage {
    const { nonce, yourNonce } = message
    const session = typeof yourNonce === 'string' ? this.#sessions.get(yourNonce) : undefined
    const identityKey = this.#identityKey
    if (session === undefined || identityKey === undefined) throw sessionNotFound()
    if (message.version !== AUTH_VERSION) throw unauthorized(`Member version must be "${AUTH_VERSION}".`)
    if (parseIdentityKey(this.#auth.curve, message.identityKey) !== identityKey) {
      throw authFailed('The session belongs to another identity key.')
    }
    if (typeof nonce !== 'string' || decodeBase64(nonce, NONCE_LEAST, NONCE_MOST) === undefined) {
      throw unauthorized(`Member nonce must be base64 of ${NONCE_LEAST} to ${NONCE_MOST} bytes.`)
    }
    const payload = bytesOf(message.payload)
    const signature = signatureBytes(message.signature)
    if (payload === undefined || signature === undefined) {
      throw unauthorized('Members payload and signature must be arrays of bytes.')
    }
    const keyID = `${nonce} ${String(yourNonce)}`
    const sender = identityKeyBytes(identityKey)
    const digest = hash('sha256', payload, 'buffer')
    if (!this.#auth.keys.verifyDigest(digest, signature, authInvoiceNumber(keyID), sender)) {
      throw authFailed('The signature does not fit this message.')
    }
    this.#current = session
    const id = envelopeId(identityKey, 'brc103', keyID, payload)
    return {
      payload,
      caller: {
        identityKey,
        identityKeyBytes: sender,
        scheme: 'brc103',
        envelope: {
          id,
          sender: identityKey,
          format: 'brc103',
          keyID,
          signedBytes: payload,
          signature,
          carriesAuthorization: false
        },
        replay: {
          digest: id.subarray(0, 16),
          issuedAt: session.issuedAt,
          // The session outlives it, but then the message's name still tells a repeat.
          expiresAt: Math.max(session.expiresAt, sessionTime(this.#auth))
        }
      }
    }
  }

  /** A general message to the client, in the session in which he spoke last; undefined before he has. */
  sign(payload: Buffer): object | undefined {
    const session = this.#current
    if (session === undefined || this.#identityKey === undefined) return undefined
    const { keys } = this.#auth
    const nonce = randomBytes(32).toString('base64')
    const digest = hash('sha256', payload, 'buffer')
    const invoiceNumber = authInvoiceNumber(`${nonce} ${session.initialNonce}`)
    const signature = keys.signDigest(digest, invoiceNumber, identityKeyBytes(this.#identityKey))
    return {
      version: AUTH_VERSION,
      messageType: 'general',
      identityKey: keys.identityKey,
      nonce,
      yourNonce: session.initialNonce,
      payload: [...payload],
      signature: [...signature]
    }
  }
}

/** Number arrays are how the stock client writes bytes; their size is bounded by that of a frame. */
function bytesOf(value: unknown): Buffer | undefined {
  if (!Array.isArray(value)) return undefined
  const bytes = Buffer.allocUnsafe(value.length)
  for (let i = 0; i < bytes.length; i++) {
    const byte: unknown = value[i]
    if (typeof byte !== 'number' || !Number.isInteger(byte) || byte < 0 || byte > 255) return undefined
    bytes[i] = byte
  }
  return bytes
}
