/*
 * The bytes that BRC-104 signs, "Request and Response Payload Serialization". Lengths are Bitcoin's VarInt (1, 3, 5
 * or 9 bytes, little endian); what is absent has length -1, which is nine bytes of ff.
 */

/** A header that is signed: lower-case name, and value as Node shows it (one character a byte). */
export interface SignedHeader {
  readonly name: string
  readonly value: string
}

export interface RequestToSign {
  /** 32 bytes. */
  readonly requestId: Uint8Array
  readonly method: string
  /** As sent, percent-encoding untouched. */
  readonly path: string
  /** With its leading `?`; empty for none. */
  readonly query: string
  /** As from `signedRequestHeaders`. */
  readonly headers: readonly SignedHeader[]
  /** The body in pieces, as it came; of no bytes for none. */
  readonly body: readonly Uint8Array[]
}

export const REQUEST_ID_LENGTH = 32
const LONGEST_VARINT = 9

/**
 * Chooses and normalises what a client signs of its request headers: `authorization`, `content-type` without
 * parameters, and `x-bsv-*` except `x-bsv-auth*`, sorted by name.
 *
 * @param rawHeaders names and values in turn, as `IncomingMessage.rawHeaders`
 * @returns undefined if one of them occurs twice: readers would differ about which one counts
 */
export function signedRequestHeaders(rawHeaders: readonly string[]): SignedHeader[] | undefined {
  const signed: SignedHeader[] = []
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase()
    const value = rawHeaders[i + 1]!
    if (name === 'content-type') signed.push({ name, value: withoutParameters(value) })
    else if (isSignedInResponse(name)) signed.push({ name, value })
  }
  signed.sort(byName)
  const isTwice = signed.some(({ name }, i) => i > 0 && signed[i - 1]!.name === name)
  return isTwice ? undefined : signed
}

/**
 * Chooses what a server signs of its response headers: `authorization` and `x-bsv-*` except `x-bsv-auth*`, sorted.
 *
 * @param headers by lower-case name
 */
export function signedResponseHeaders(headers: Readonly<Record<string, unknown>>): SignedHeader[] {
  const signed: SignedHeader[] = []
  for (const [name, value] of Object.entries(headers)) {
    if (isSignedInResponse(name)) signed.push({ name, value: String(value) })
  }
  return signed.sort(byName)
}

function isSignedInResponse(name: string): boolean {
  return name === 'authorization' || (name.startsWith('x-bsv-') && !name.startsWith('x-bsv-auth'))
}

function withoutParameters(contentType: string): string {
  const end = contentType.indexOf(';')
  return end < 0 ? contentType : contentType.slice(0, end).trim()
}

/** Byte order, which is also the order of the stock client's localeCompare for names of letters, digits and `-`. */
function byName(a: SignedHeader, b: SignedHeader): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0
}

/** The bytes a client signs; the body is their end. */
export function requestPreimage(request: RequestToSign): Buffer {
  let bodyLength = 0
  for (const piece of request.body) bodyLength += piece.length
  const parts: (string | undefined)[] = [request.method, request.path, request.query || undefined]
  const writer = new PreimageWriter(
    REQUEST_ID_LENGTH + sizeAtMost(parts, request.headers) + LONGEST_VARINT + bodyLength
  )
  writer.bytes(request.requestId)
  for (const part of parts) writer.text(part)
  writer.headers(request.headers)
  writer.length(bodyLength === 0 ? undefined : bodyLength)
  for (const piece of request.body) writer.bytes(piece)
  return writer.written()
}

/**
 * The bytes a server signs, up to the body, which follows. An empty body has length 0 here: the stock client
 * computes it so, whatever BRC-104 says.
 *
 * @param requestId of the request, 32 bytes
 * @param headers as from `signedResponseHeaders`
 */
export function responsePreimageHead(
  requestId: Uint8Array,
  status: number,
  headers: readonly SignedHeader[],
  bodyLength: number
): Buffer {
  const writer = new PreimageWriter(REQUEST_ID_LENGTH + 2 * LONGEST_VARINT + sizeAtMost([], headers))
  writer.bytes(requestId)
  writer.length(status)
  writer.headers(headers)
  writer.length(bodyLength)
  return writer.written()
}

function sizeAtMost(parts: readonly (string | undefined)[], headers: readonly SignedHeader[]): number {
  let size = LONGEST_VARINT
  for (const part of parts) size += LONGEST_VARINT + (part === undefined ? 0 : Buffer.byteLength(part))
  for (const { name, value } of headers) {
    size += 2 * LONGEST_VARINT + Buffer.byteLength(name) + Buffer.byteLength(value)
  }
  return size
}

/** Fills one buffer that is large enough from the start. */
class PreimageWriter {
  readonly #buffer: Buffer
  #at = 0

  constructor(sizeAtMost: number) {
    this.#buffer = Buffer.allocUnsafe(sizeAtMost)
  }

  bytes(bytes: Uint8Array): void {
    this.#buffer.set(bytes, this.#at)
    this.#at += bytes.length
  }

  /** @param length undefined for what is absent */
  length(length: number | undefined): void {
    const buffer = this.#buffer
    if (length === undefined) {
      buffer.fill(0xff, this.#at, this.#at + LONGEST_VARINT)
      this.#at += LONGEST_VARINT
    } else if (length < 0xfd) {
      this.#at = buffer.writeUInt8(length, this.#at)
    } else if (length <= 0xffff) {
      this.#at = buffer.writeUInt16LE(length, buffer.writeUInt8(0xfd, this.#at))
    } else {
      // Nothing that is signed here reaches 4 GiB, so the 9-byte form is never needed.
      this.#at = buffer.writeUInt32LE(length, buffer.writeUInt8(0xfe, this.#at))
    }
  }

  /** UTF-8 after its length. Header values of one character a byte become UTF-8 too: fetch signs what it was given. */
  text(text: string | undefined): void {
    if (text === undefined) {
      this.length(undefined)
      return
    }
    this.length(Buffer.byteLength(text))
    this.#at += this.#buffer.write(text, this.#at)
  }

  headers(headers: readonly SignedHeader[]): void {
    this.length(headers.length)
    for (const { name, value } of headers) {
      this.text(name)
      this.text(value)
    }
  }

  written(): Buffer {
    return this.#buffer.subarray(0, this.#at)
  }
}
