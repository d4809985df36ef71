import { LRUCache } from 'lru-cache'
import type { Curve } from '../curve/curve.js'

/** A party's long-term public key: 33 bytes compressed, as 66 lower-case hex characters. */
export type IdentityKey = string

// Needed in front of Buffer.from: that reads any character by its low byte, so that U+3061 passes for "a".
const COMPRESSED = /^0[23][0-9a-f]{64}$/
const UNCOMPRESSED = /^04[0-9a-f]{128}$/

/** Keys known to be on the curve: the same few come again and again, and looking costs a square root. */
const onCurve = new LRUCache<string, IdentityKey>({ max: 10_000 })

/**
 * Parses an identity key from outside.
 *
 * @param text what should be a string of 66 hex characters (compressed) or 130 (uncompressed), in any case
 * @returns the normal form; undefined for anything else, and for a point that is not on the curve
 */
export function parseIdentityKey(curve: Curve, text: unknown): IdentityKey | undefined {
  if (typeof text !== 'string') return undefined
  if (text.length === 66) return parseCompressed(curve, text.toLowerCase())
  if (text.length === 130) return parseUncompressed(curve, text.toLowerCase())
  return undefined
}

/** The 33 bytes of an identity key. */
export function identityKeyBytes(key: IdentityKey): Buffer {
  return Buffer.from(key, 'hex')
}

/** The identity key of 33 bytes that are known to be a public key, for instance from the database. */
export function identityKeyFromBytes(bytes: Uint8Array): IdentityKey {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}

function parseCompressed(curve: Curve, hex: string): IdentityKey | undefined {
  const known = onCurve.get(hex)
  if (known !== undefined) return known
  if (!COMPRESSED.test(hex)) return undefined
  const bytes = Buffer.from(hex, 'hex')
  if (!curve.isPublicKey(bytes)) return undefined
  // A new string: one cut out of a larger text would keep all of that text in memory as long as it is cached.
  const key = identityKeyFromBytes(bytes)
  onCurve.set(key, key)
  return key
}

function parseUncompressed(curve: Curve, hex: string): IdentityKey | undefined {
  if (!UNCOMPRESSED.test(hex)) return undefined
  try {
    return identityKeyFromBytes(curve.compress(Buffer.from(hex, 'hex')))
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}
