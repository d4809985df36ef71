/** What was read is not what it should be; the message may be shown to whoever sent it. */
export class MalformedError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'MalformedError'
  }
}

/**
 * Reads Bitcoin's serialisation. Every read is checked against the end: the readers of @bsv/sdk answer `undefined`
 * there, so that nine bytes can keep its parsers busy until memory runs out.
 */
export class ByteReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #position = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get position(): number {
    return this.#position
  }

  get remaining(): number {
    return this.#bytes.length - this.#position
  }

  /** A view, not a copy. */
  bytes(length: number): Uint8Array {
    const start = this.#advance(length)
    return this.#bytes.subarray(start, start + length)
  }

  /** What was read since `start`, as a view. */
  since(start: number): Uint8Array {
    return this.#bytes.subarray(start, this.#position)
  }

  uint8(): number {
    return this.#view.getUint8(this.#advance(1))
  }

  uint32(): number {
    return this.#view.getUint32(this.#advance(4), true)
  }

  /** @throws MalformedError beyond 2^53 */
  uint64(): number {
    const value = this.#view.getBigUint64(this.#advance(8), true)
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new MalformedError('a number is too large')
    return Number(value)
  }

  /**
   * Bitcoin's VarInt in its shortest form. @bsv/sdk takes any form and computes ids over the shortest, so a longer one
   * would give one transaction two ids.
   */
  varInt(): number {
    const first = this.uint8()
    if (first < 0xfd) return first
    if (first === 0xfd) return this.#atLeast(0xfd, this.#view.getUint16(this.#advance(2), true))
    return first === 0xfe
      ? this.#atLeast(0x1_0000, this.uint32())
      : this.#atLeast(0x1_0000_0000, this.uint64())
  }

  /** A VarInt that counts what follows. */
  count(limit: number, what: string): number {
    const count = this.varInt()
    if (count > limit) throw new MalformedError(`more than ${limit} ${what}`)
    return count
  }

  #atLeast(least: number, value: number): number {
    if (value < least) throw new MalformedError('a number is not in its shortest form')
    return value
  }

  #advance(length: number): number {
    if (length > this.remaining) throw new MalformedError('the data ends too early')
    const start = this.#position
    this.#position += length
    return start
  }
}

/** Bitcoin's VarInt of a number below 2^32. */
export function varInt(value: number): Buffer {
  if (value < 0xfd) return Buffer.of(value)
  if (value <= 0xffff) return Buffer.of(0xfd, value & 0xff, value >> 8)
  const bytes = Buffer.alloc(5, 0xfe)
  bytes.writeUInt32LE(value, 1)
  return bytes
}
