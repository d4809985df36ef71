import { createHash, hash } from 'node:crypto'
import { Pauses } from './pauses.js'

/** Parts that are shorter together are copied and hashed in one call, which spares making an object. */
const SHORT = 4_096
const STEP = 262_144

/** SHA-256 of the parts one after the other. */
export function sha256(...parts: readonly Uint8Array[]): Buffer {
  let length = 0
  for (const part of parts) length += part.length
  if (length <= SHORT || parts.length === 1) {
    return hash('sha256', parts.length === 1 ? parts[0]! : Buffer.concat(parts, length), 'buffer')
  }
  const digest = createHash('sha256')
  for (const part of parts) digest.update(part)
  return digest.digest()
}

/** As `sha256`, of bytes and the UTF-8 of texts; others have their turn in between where the parts are long. */
export async function sha256InTurns(...parts: readonly (Uint8Array | string)[]): Promise<Buffer> {
  const digest = createHash('sha256')
  const pauses = new Pauses()
  for (const part of parts) {
    for (let at = 0; at < part.length; ) {
      const step = typeof part === 'string' ? wholeCharacters(part, at) : part.subarray(at, at + STEP)
      digest.update(step)
      at += step.length
      await pauses.after(step.length)
    }
  }
  return digest.digest()
}

/** A step of a text, which ends behind a character and not in its middle. */
function wholeCharacters(text: string, from: number): string {
  const last = text.charCodeAt(from + STEP - 1)
  return text.slice(from, from + STEP - (last >= 0xd800 && last < 0xdc00 ? 1 : 0))
}
