import { isUtf8 } from 'node:buffer'
import { REQUEST_ID_LENGTH, type SignedHeader } from './preimage.js'
import { isPath, isQuery } from './request-target.js'

/** A request as its sender signed it. */
export interface SignedRequest {
  /** 32 bytes. */
  readonly requestId: Buffer
  readonly method: string
  /** As signed: nothing decoded, nothing collapsed. */
  readonly path: string
  /** With its leading `?`; empty for none. */
  readonly query: string
  readonly headers: readonly SignedHeader[]
  /** A view of the parsed bytes; undefined for none. */
  readonly body: Buffer | undefined
}

/** A method as HTTP has them (RFC 9110 section 5.6.2, without the rarer punctuation). */
const METHOD = /^[A-Za-z0-9-]{1,32}$/
const MOST_HEADERS = 256

/**
 * Parses the bytes of a BRC-104 request signature. Strict, so that two nodes never read the same bytes differently:
 * every length in its shortest form, text valid UTF-8, headers sorted and each at most once, nothing after the end.
 *
 * @returns undefined for anything else; work is linear in the length
 */
export function parseRequestPreimage(bytes: Uint8Array): SignedRequest | undefined {
  const reader = new PreimageReader(bytes)
  const requestId = reader.bytes(REQUEST_ID_LENGTH)
  const method = reader.text()
  const path = reader.text()
  const query = reader.text()
  const headers = reader.headers()
  const body = reader.optional()
  if (reader.failed || !reader.atEnd) return undefined
  if (method === undefined || !METHOD.test(method)) return undefined
  if (path === undefined || !isPath(path)) return undefined
  if (query !== undefined && !isQuery(query)) return undefined
  return { requestId, method, path, query: query ?? '', headers, body }
}

const NONE = Buffer.alloc(0)

/** Reads on from where it is; once something does not fit, `failed` stays true and every result is empty. */
class PreimageReader {
  readonly #buffer: Buffer
  #at = 0
  failed = false

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get atEnd(): boolean {
    return this.#at === this.#buffer.length
  }

  bytes(length: number): Buffer {
    if (this.failed || length > this.#buffer.length - this.#at) return this.#fail()
    this.#at += length
    return this.#buffer.subarray(this.#at - length, this.#at)
  }

  /** Bytes after their length; undefined for length -1. */
  optional(): Buffer | undefined {
    const length = this.#length()
    return length === -1 ? undefined : this.bytes(length)
  }

  text(): string | undefined {
    const bytes = this.optional()
    if (bytes === undefined) return undefined
    if (!isUtf8(bytes)) this.failed = true
    return bytes.toString()
  }

  headers(): SignedHeader[] {
    const count = this.#length()
    if (count < 0 || count > MOST_HEADERS) this.failed = true
    const headers: SignedHeader[] = []
    let previous = ''
    while (!this.failed && headers.length < count) {
      const name = this.text()
      const value = this.text()
      if (name === undefined || value === undefined || name <= previous) this.failed = true
      else headers.push({ name, value })
      previous = name ?? previous
    }
    return headers
  }

  /** A VarInt in its shortest form; -1 for nine bytes of ff. Longer than 4 GiB does not occur. */
  #length(): number {
    const first = this.bytes(1)[0] ?? 0
    if (first < 0xfd) return first
    if (first === 0xfd) return this.#atLeast(0xfd, this.bytes(2).length === 2 ? this.#last(2) : 0)
    if (first === 0xfe) return this.#atLeast(0x10000, this.bytes(4).length === 4 ? this.#last(4) : 0)
    if (!this.bytes(8).every(byte => byte === 0xff)) this.failed = true
    return -1
  }

  #last(length: number): number {
    return this.#buffer.readUIntLE(this.#at - length, length)
  }

  #atLeast(least: number, length: number): number {
    if (length < least) this.failed = true
    return length
  }

  #fail(): Buffer {
    this.failed = true
    return NONE
  }
}
