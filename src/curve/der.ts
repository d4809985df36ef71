import { isScalar } from './order.js'

const SEQUENCE = 0x30
const INTEGER = 0x02
/** Two integers of one byte each. */
const SHORTEST = 8
/** Two integers of 32 bytes, each behind the zero byte that keeps it positive. */
const LONGEST = 72

/**
 * DER form of an ECDSA signature.
 *
 * @param signature compact, 64 bytes: r ‖ s, big endian
 * @returns 8 to 72 bytes
 * @throws RangeError unless there are 64 bytes with r and s in 1…n−1
 */
export function compactToDer(signature: Uint8Array): Buffer {
  if (signature.length !== 64 || !isScalar(signature, 0) || !isScalar(signature, 32)) {
    throw new RangeError('not a compact signature')
  }
  const rLength = integerLength(signature, 0)
  const sLength = integerLength(signature, 32)
  const der = Buffer.allocUnsafe(6 + rLength + sLength)
  der[0] = SEQUENCE
  der[1] = 4 + rLength + sLength
  writeInteger(der, 2, rLength, signature, 32)
  writeInteger(der, 4 + rLength, sLength, signature, 64)
  return der
}

/**
 * Compact form of a DER signature, strictly: the only bytes taken for r and s are those `compactToDer` writes for them
 * (as BIP-66 demands: short lengths, minimal positive integers, nothing behind), with r and s in 1…n−1. A high s
 * passes here; `Curve.verify` refuses it.
 *
 * @param der any bytes
 * @returns 64 bytes, r ‖ s; undefined for anything else than a DER signature
 */
export function derToCompact(der: Uint8Array): Uint8Array | undefined {
  if (der.length < SHORTEST || der.length > LONGEST) return undefined
  if (der[0] !== SEQUENCE || der[1] !== der.length - 2) return undefined
  const compact = new Uint8Array(64)
  const sStart = readInteger(der, 2, compact, 0)
  if (sStart === undefined) return undefined
  const end = readInteger(der, sStart, compact, 32)
  return end === der.length ? compact : undefined
}

/** Bytes of the minimal positive DER integer for the 32-byte number at `start`. */
function integerLength(bytes: Uint8Array, start: number): number {
  let first = start
  while (bytes[first] === 0) first++
  return 32 - (first - start) + (bytes[first]! >= 0x80 ? 1 : 0)
}

/** Writes the last bytes of the number that ends at `numberEnd` as an integer of `length` bytes. */
function writeInteger(der: Buffer, at: number, length: number, number: Uint8Array, numberEnd: number): void {
  der[at] = INTEGER
  der[at + 1] = length
  const digits = Math.min(length, 32)
  der[at + 2] = 0 // overwritten unless it is the byte that keeps the number positive
  der.set(number.subarray(numberEnd - digits, numberEnd), at + 2 + length - digits)
}

/** Reads the integer at `at` into 32 bytes at `into`; answers where it ends, or undefined if it breaks a rule. */
function readInteger(der: Uint8Array, at: number, compact: Uint8Array, into: number): number | undefined {
  const length = der[at + 1]
  if (der[at] !== INTEGER || length === undefined || length === 0 || length > 33) return undefined
  let start = at + 2
  const end = start + length
  if (end > der.length) return undefined
  if (der[start]! >= 0x80) return undefined // negative
  if (der[start] === 0) {
    start++
    // Either the number zero or, in front of a byte that needs no sign, padding.
    if (start === end || der[start]! < 0x80) return undefined
  }
  if (end - start > 32) return undefined
  compact.set(der.subarray(start, end), into + 32 - (end - start))
  return isScalar(compact, into) ? end : undefined
}
