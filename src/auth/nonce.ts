import { randomFillSync } from 'node:crypto'

/** The generator is asked for this many bytes at once: asking costs more than what comes. */
const pool = Buffer.allocUnsafe(8_192)
let next = pool.length

/**
 * Random bytes for what is sent openly and must never repeat: nonces. Not for keys, since the bytes of the next nonces
 * lie in memory before they are used.
 *
 * @param length at most 64
 */
export function randomNonce(length: number): Buffer {
  if (next + length > pool.length) {
    randomFillSync(pool)
    next = 0
  }
  next += length
  return Buffer.from(pool.subarray(next - length, next))
}
