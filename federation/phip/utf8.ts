import { isUtf8 } from 'node:buffer'

/** A code unit of a surrogate pair without the other one; such a string has no UTF-8 form. */
const LONE_SURROGATE = /\p{Surrogate}/u

/** The text that the bytes are the UTF-8 form of; undefined if they are not exactly that. */
export function strictUtf8(bytes: Uint8Array): string | undefined {
  if (!isUtf8(bytes)) return undefined
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
}

/** True if the text survives being written as UTF-8. */
export function isWellFormed(text: string): boolean {
  return !LONE_SURROGATE.test(text)
}
