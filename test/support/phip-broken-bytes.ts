import { derToCompact } from '../../src/curve/der.js'
import { curve } from './phip-token-builder.js'

/** Something that is not what it should be: a name for its id, and its bytes. */
export type Broken = readonly [name: string, bytes: Uint8Array]

const ORDER = 'fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141'
const FIELD_PRIME = 'fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f'

/** Bytes that are no compressed public key, made from one. */
export function brokenKeys(key: Uint8Array): Broken[] {
  const x = Buffer.from(key.subarray(1))
  const hex = Buffer.from(key).toString('hex')
  return [
    ['empty', Buffer.alloc(0)],
    ['one-byte', key.subarray(0, 1)],
    ['without-prefix', x],
    ['last-byte-missing', key.subarray(0, 32)],
    ['first-byte-doubled', Buffer.concat([key.subarray(0, 1), key])],
    ['zero-in-front', Buffer.concat([Buffer.of(0), key])],
    ['zero-behind', Buffer.concat([key, Buffer.of(0)])],
    ['twice', Buffer.concat([key, key])],
    ['uncompressed-length', Buffer.concat([Buffer.of(4), x, x])],
    ...[0x00, 0x01, 0x04, 0x05, 0x06, 0x07, 0x0a, 0x12, 0x82, 0xff].map(
      (prefix): Broken => [
        `prefix-${prefix.toString(16).padStart(2, '0')}`,
        Buffer.concat([Buffer.of(prefix), x])
      ]
    ),
    ['not-on-curve', Buffer.from(`02${'0'.repeat(63)}5`, 'hex')],
    ['x-is-zero', Buffer.from(`02${'0'.repeat(64)}`, 'hex')],
    ['x-is-field-prime', Buffer.from(`02${FIELD_PRIME}`, 'hex')],
    ['x-is-field-prime-plus-one', Buffer.from(`02${FIELD_PRIME.replace(/2f$/, '30')}`, 'hex')],
    ['all-ff', Buffer.alloc(33, 0xff)],
    ['all-zero', Buffer.alloc(33)],
    ['hex', Buffer.from(hex)],
    ['upper-case-hex', Buffer.from(hex.toUpperCase())],
    ['base64', Buffer.from(Buffer.from(key).toString('base64'))],
    ['reversed', Buffer.from(key).reverse()]
  ]
}

/** Bytes that are no strict DER signature, made from one. */
export function brokenDer(der: Uint8Array): Broken[] {
  const compact = Buffer.from(derToCompact(der)!)
  const r = integer(compact.subarray(0, 32))
  const s = integer(compact.subarray(32))
  const zero = Buffer.of(0)
  const order = Buffer.from(`00${ORDER}`, 'hex')
  const whole = Buffer.from(der)
  const body = whole.subarray(2)
  return [
    ['empty', Buffer.alloc(0)],
    ['one-byte', whole.subarray(0, 1)],
    ['first-byte-missing', whole.subarray(1)],
    ['last-byte-missing', whole.subarray(0, -1)],
    ['last-ten-bytes-missing', whole.subarray(0, -10)],
    ['zero-behind', Buffer.concat([whole, zero])],
    ['sighash-byte-behind', Buffer.concat([whole, Buffer.of(0x41)])],
    ['zero-in-front', Buffer.concat([zero, whole])],
    ['twice', Buffer.concat([whole, whole])],
    ['tag-31', Buffer.concat([Buffer.of(0x31, body.length), body])],
    ['tag-00', Buffer.concat([Buffer.of(0x00, body.length), body])],
    ['length-one-more', Buffer.concat([Buffer.of(0x30, body.length + 1), body])],
    ['length-one-less', Buffer.concat([Buffer.of(0x30, body.length - 1), body])],
    ['long-form-length', Buffer.concat([Buffer.of(0x30, 0x81, body.length), body])],
    ['indefinite-length', Buffer.concat([Buffer.of(0x30, 0x80), body, Buffer.of(0, 0)])],
    ['r-without-tag', sequence(r, Buffer.concat([Buffer.of(0x02, s.length), s]))],
    ['r-tag-03', sequence(Buffer.of(0x03, r.length), r, Buffer.of(0x02, s.length), s)],
    ['s-tag-03', sequence(Buffer.of(0x02, r.length), r, Buffer.of(0x03, s.length), s)],
    ['r-padded', integers(Buffer.concat([zero, r]), s)],
    ['s-padded', integers(r, Buffer.concat([zero, s]))],
    ['both-padded', integers(Buffer.concat([zero, r]), Buffer.concat([zero, s]))],
    ['r-negative', integers(Buffer.concat([Buffer.of(0x80), r.subarray(-31)]), s)],
    ['s-negative', integers(r, Buffer.concat([Buffer.of(0xff), s.subarray(-31)]))],
    ['r-empty', integers(Buffer.alloc(0), s)],
    ['s-empty', integers(r, Buffer.alloc(0))],
    ['r-zero', integers(zero, s)],
    ['s-zero', integers(r, zero)],
    ['r-is-order', integers(order, s)],
    ['s-is-order', integers(r, order)],
    ['r-of-33-bytes', integers(Buffer.concat([Buffer.of(1), r.subarray(-32)]), s)],
    ['s-of-33-bytes', integers(r, Buffer.concat([Buffer.of(1), s.subarray(-32)]))],
    ['three-integers', sequence(body, Buffer.of(0x02, 1, 1))],
    ['one-integer', sequence(Buffer.of(0x02, r.length), r)],
    ['sequence-in-sequence', sequence(whole)],
    ['compact', compact],
    ['compact-with-recovery-byte', Buffer.concat([Buffer.of(0x1f), compact])],
    ['hex', Buffer.from(whole.toString('hex'))],
    ['base64', Buffer.from(whole.toString('base64'))],
    ['zeros', Buffer.alloc(70)]
  ]
}

/** Opcodes that have no place where they are put. */
export const STRAY_OPCODES: readonly Broken[] = [
  ['op-0', Buffer.of(0x00)],
  ['push-without-data', Buffer.of(0x4b)],
  ['push-of-one-byte', Buffer.of(0x01, 0x61)],
  ['pushdata1-cut', Buffer.of(0x4c)],
  ['pushdata2-cut', Buffer.of(0x4d, 0xff)],
  ['pushdata4', Buffer.of(0x4e, 1, 0, 0, 0, 0x61)],
  ['op-1negate', Buffer.of(0x4f)],
  ['op-reserved', Buffer.of(0x50)],
  ['op-1', Buffer.of(0x51)],
  ['op-nop', Buffer.of(0x61)],
  ['op-verify', Buffer.of(0x69)],
  ['op-return', Buffer.of(0x6a)],
  ['op-2drop', Buffer.of(0x6d)],
  ['op-drop', Buffer.of(0x75)],
  ['op-nip', Buffer.of(0x77)],
  ['op-codeseparator', Buffer.of(0xab)],
  ['op-checksig', Buffer.of(0xac)],
  ['op-ff', Buffer.of(0xff)]
]

/** Bytes that are no UTF-8. */
export const BROKEN_UTF8: readonly Broken[] = [
  ['continuation-alone', Buffer.from('80', 'hex')],
  ['byte-ff', Buffer.from('ff', 'hex')],
  ['overlong-zero', Buffer.from('c080', 'hex')],
  ['overlong-letter', Buffer.from('c1a1', 'hex')],
  ['lone-surrogate', Buffer.from('eda080', 'hex')],
  ['surrogate-pair', Buffer.from('eda0bdedb880', 'hex')],
  ['above-10ffff', Buffer.from('f4908080', 'hex')],
  ['cut-off', Buffer.from('e282', 'hex')],
  ['latin-1', Buffer.from('62fc636865722e6465', 'hex')],
  ['utf-16', Buffer.from('\ufeffa.b', 'utf16le')]
]

const N = BigInt(`0x${ORDER}`)

/**
 * A signature over a digest that nobody made, and the key it verifies under: the public key plus an offset. Only
 * h + r·o matters to ECDSA under an additive tweak, so whoever may choose the offset needs no private key.
 */
export function forge(publicKey: Uint8Array, digest: Uint8Array): { compact: Buffer; childKey: Uint8Array } {
  const a = 0xa11ceen
  const b = 0xb0bn
  const commitment = curve.addToPublicKey(curve.sharedPoint(scalar(b), publicKey), scalar(a))
  const r = mod(number(commitment.subarray(1)))
  const s = mod(r * inverse(b))
  const offset = mod(a * inverse(b) - number(digest) * inverse(r))
  const compact = Buffer.concat([scalar(r), scalar(s > N / 2n ? N - s : s)])
  return { compact, childKey: curve.addToPublicKey(publicKey, scalar(offset)) }
}

function inverse(value: bigint): bigint {
  let [result, base, exponent] = [1n, mod(value), N - 2n]
  for (; exponent > 0n; exponent >>= 1n) {
    if ((exponent & 1n) === 1n) result = mod(result * base)
    base = mod(base * base)
  }
  return result
}

function mod(value: bigint): bigint {
  return ((value % N) + N) % N
}

function number(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
}

function scalar(value: bigint): Buffer {
  return Buffer.from(value.toString(16).padStart(64, '0'), 'hex')
}

function integers(r: Uint8Array, s: Uint8Array): Buffer {
  return sequence(Buffer.of(0x02, r.length), r, Buffer.of(0x02, s.length), s)
}

function sequence(...parts: Uint8Array[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.of(0x30, body.length), body])
}

/** Digits of the minimal positive integer. */
function integer(number: Uint8Array): Buffer {
  let start = 0
  while (number[start] === 0) start++
  const digits = number.subarray(start)
  return Buffer.concat([Buffer.from(digits[0]! >= 0x80 ? [0] : []), digits])
}
