import { timingSafeEqual } from 'node:crypto'
import { type IdentityKey, identityKeyBytes } from '../keys/identity-key.js'
import type { KeyDeriver } from '../keys/key-deriver.js'
import { decodeBase64 } from './base64.js'
import { randomNonce } from './nonce.js'

/*
 * BRC-103 lets a server choose its session nonce; the client only repeats it. So this nonce is the whole session:
 *
 *   offset  bytes   content
 *        0      1   01 for BRC-103, 02 for Authrite
 *        1      6   time of issue, ms since 1970, big endian
 *        7     16   random
 *       23  16–128  the client's initial nonce
 *     last     32   MAC over the client's identity key (33 bytes) and everything before
 *
 * Every process with the node's key accepts it, and a handshake leaves nothing behind.
 */
const ISSUED_AT = 1
const ISSUED_LENGTH = 6
const RANDOM_AT = 7
const RANDOM_LENGTH = 16
const INITIAL_NONCE_AT = RANDOM_AT + RANDOM_LENGTH
const MAC_LENGTH = 32
const MAC_PURPOSE = 'session nonce'

/** Shortest and longest nonce of a client, bytes. */
export const NONCE_LEAST = 16
export const NONCE_MOST = 128
const LEAST = INITIAL_NONCE_AT + NONCE_LEAST + MAC_LENGTH
const MOST = INITIAL_NONCE_AT + NONCE_MOST + MAC_LENGTH

/** How long a session of BRC-103 lasts, ms. */
export const SESSION_LIFE = 3_600_000
const DAY = 24 * 60 * 60 * 1000

/** What tells the sessions of one scheme from those of another: neither counts for the other. */
export interface SessionKind {
  /** The first byte. */
  readonly layout: number
  /** ms. */
  readonly life: number
}

const BRC103_SESSIONS: SessionKind = { layout: 1, life: SESSION_LIFE }
/** Clients of Authrite never shake hands a second time. */
export const AUTHRITE_SESSIONS: SessionKind = { layout: 2, life: 90 * DAY }

/** How far a time of issue may lie ahead: clocks of two processes, or of the database, differ. */
const AHEAD = 300_000

export interface Session {
  /** Base64, as the client sent it: every reply names it. */
  readonly initialNonce: string
  /** Milliseconds since 1970. */
  readonly issuedAt: number
  readonly expiresAt: number
}

/**
 * @param session.initialNonce canonical base64 of 16 to 128 bytes
 * @returns base64 of 87 to 199 bytes
 * @throws RangeError if the initial nonce is not of that form
 */
export function mintSessionNonce(
  keys: KeyDeriver,
  session: { readonly identityKey: IdentityKey; readonly initialNonce: string; readonly issuedAt: number },
  { layout }: SessionKind = BRC103_SESSIONS
): string {
  const initialNonce = decodeBase64(session.initialNonce, NONCE_LEAST, NONCE_MOST)
  if (initialNonce === undefined) throw new RangeError('the initial nonce is not base64 of 16 to 128 bytes')
  const nonce = Buffer.allocUnsafe(INITIAL_NONCE_AT + initialNonce.length + MAC_LENGTH)
  nonce[0] = layout
  nonce.writeUIntBE(session.issuedAt, ISSUED_AT, ISSUED_LENGTH)
  randomNonce(RANDOM_LENGTH).copy(nonce, RANDOM_AT)
  initialNonce.copy(nonce, INITIAL_NONCE_AT)
  const macAt = nonce.length - MAC_LENGTH
  mac(keys, session.identityKey, nonce.subarray(0, macAt)).copy(nonce, macAt)
  return nonce.toString('base64')
}

/**
 * Says whether this node gave this nonce to this identity key, and whether it still counts.
 *
 * @param nonce as it came, of any form
 * @param identityKey 66 lower-case hex characters; need not be a point, since no other was ever given a nonce
 * @param now milliseconds since 1970
 * @returns undefined if it is not ours, another key's, expired, or issued more than 5 minutes ahead
 */
export function checkSessionNonce(
  keys: KeyDeriver,
  nonce: string,
  identityKey: IdentityKey,
  now: number,
  { layout, life }: SessionKind = BRC103_SESSIONS
): Session | undefined {
  const bytes = decodeBase64(nonce, LEAST, MOST)
  if (bytes === undefined || bytes[0] !== layout) return undefined
  const issuedAt = bytes.readUIntBE(ISSUED_AT, ISSUED_LENGTH)
  const expiresAt = issuedAt + life
  if (now >= expiresAt || issuedAt > now + AHEAD) return undefined
  const macAt = bytes.length - MAC_LENGTH
  const expected = mac(keys, identityKey, bytes.subarray(0, macAt))
  if (!timingSafeEqual(expected, bytes.subarray(macAt))) return undefined
  return { initialNonce: bytes.toString('base64', INITIAL_NONCE_AT, macAt), issuedAt, expiresAt }
}

function mac(keys: KeyDeriver, identityKey: IdentityKey, content: Uint8Array): Buffer {
  return keys.hmac(MAC_PURPOSE, Buffer.concat([identityKeyBytes(identityKey), content]))
}
