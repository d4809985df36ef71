/** n, the order of the group. */
const ORDER = Buffer.from('fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141', 'hex')
const ORDER_NUMBER = BigInt(`0x${ORDER.toString('hex')}`)

// Nothing here is for secrets: the time depends on the number.

/** True if the 32 bytes at `start` are a big-endian number in 1…n−1. */
export function isScalar(bytes: Uint8Array, start: number): boolean {
  if (!isBelowOrder(bytes, start)) return false
  for (let index = start; index < start + 32; index++) {
    if (bytes[index] !== 0) return true
  }
  return false
}

/** 32 bytes mod n: the argument itself if that is below n already. */
export function modOrder(bytes: Uint8Array): Uint8Array {
  if (isBelowOrder(bytes, 0)) return bytes
  const difference = new Uint8Array(32)
  let borrow = 0
  for (let index = 31; index >= 0; index--) {
    const digit = bytes[index]! - ORDER[index]! - borrow
    difference[index] = digit
    borrow = digit < 0 ? 1 : 0
  }
  return difference
}

/**
 * (digest + r · tweak) mod n: the digest that a signature must fit under the root key to fit under a derived one.
 *
 * @param digest 32 bytes, taken mod n
 * @param signature compact; its r is multiplied
 * @param tweak 32 bytes
 * @returns 32 bytes; undefined unless the tweak is in 0…n−1
 */
export function digestUnderRoot(
  digest: Uint8Array,
  signature: Uint8Array,
  tweak: Uint8Array
): Uint8Array | undefined {
  if (!isBelowOrder(tweak, 0)) return undefined
  const sum = (numberOf(digest) + numberOf(signature) * numberOf(tweak)) % ORDER_NUMBER
  return Buffer.from(sum.toString(16).padStart(64, '0'), 'hex')
}

/** Of the first 32 bytes. */
function numberOf(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes.buffer, bytes.byteOffset, 32).toString('hex')}`)
}

function isBelowOrder(bytes: Uint8Array, start: number): boolean {
  for (let index = 0; index < 32; index++) {
    const difference = bytes[start + index]! - ORDER[index]!
    if (difference !== 0) return difference < 0
  }
  return false
}
