import type { Parameter } from './parameters.js'

/*
 * The messages of Postgres's extended query protocol that a prepared statement needs, all of one request in one piece
 * (https://www.postgresql.org/docs/current/protocol-message-formats.html).
 */

const PARSE = 0x50
const BIND = 0x42
const TEXT = 0
const BINARY = 1
const ABSENT = 0xffffffff

/** Describe of the unnamed portal. */
const DESCRIBE = Buffer.from('4400000006' + '5000', 'hex')
/** Execute of the unnamed portal without a limit of rows, and Sync. */
const EXECUTE = Buffer.from('4500000009' + '00' + '00000000' + '5300000004', 'hex')

/** Bytes from this length on are sent from where they lie; copying shorter ones costs less than another piece. */
const LONG_BYTES = 16_384

/** Parse: prepares `text` under `name`; Postgres finds the types of the parameters. */
export function parseMessage(name: string, text: string): Buffer {
  const size = Buffer.byteLength(name) + Buffer.byteLength(text) + 2 + 2
  const writer = new PieceWriter(1 + 4 + size)
  writer.head(PARSE, size)
  writer.text(name, Buffer.byteLength(name))
  writer.byte(0)
  writer.text(text, Buffer.byteLength(text))
  writer.byte(0)
  writer.int16(0)
  return writer.pieces()[0]!
}

/**
 * Bind, Execute, Sync.
 *
 * @param isDescribed the columns of the result are known: then Postgres is not asked to describe them again
 * @returns in pieces, since long parameters are not copied
 */
export function executeMessages(
  name: string,
  parameters: readonly Parameter[],
  isDescribed: boolean
): Buffer[] {
  const lengths = parameters.map(lengthOf)
  const nameLength = Buffer.byteLength(name)
  const count = parameters.length
  let size = 1 + nameLength + 1 + 2 + 2 * count + 2 + 4 * count + 2
  let sent = 0
  parameters.forEach((parameter, i) => {
    size += lengths[i]!
    if (isLong(parameter)) sent += parameter.length
  })
  const tail = isDescribed ? 0 : DESCRIBE.length
  const writer = new PieceWriter(1 + 4 + size - sent + tail + EXECUTE.length)
  writer.head(BIND, size)
  writer.byte(0)
  writer.text(name, nameLength)
  writer.byte(0)
  writer.int16(count)
  for (const parameter of parameters) writer.int16(typeof parameter === 'object' ? BINARY : TEXT)
  writer.int16(count)
  parameters.forEach((parameter, i) => {
    writer.int32(parameter === null ? ABSENT : lengths[i]!)
    if (typeof parameter === 'string') writer.text(parameter, lengths[i]!)
    else if (isLong(parameter)) writer.piece(parameter)
    else if (parameter !== null) writer.bytes(parameter)
  })
  // The format of the results: the default one, text.
  writer.int16(0)
  if (!isDescribed) writer.bytes(DESCRIBE)
  writer.bytes(EXECUTE)
  return writer.pieces()
}

function lengthOf(parameter: Parameter): number {
  if (parameter === null) return 0
  return typeof parameter === 'string' ? Buffer.byteLength(parameter) : parameter.length
}

function isLong(parameter: Parameter): parameter is Buffer {
  return typeof parameter === 'object' && parameter !== null && parameter.length >= LONG_BYTES
}

/** Fills a buffer that is large enough from the start, with other buffers in between. */
class PieceWriter {
  readonly #pieces: Buffer[] = []
  readonly #buffer: Buffer
  #from = 0
  #at = 0

  constructor(size: number) {
    this.#buffer = Buffer.allocUnsafe(size)
  }

  head(type: number, size: number): void {
    this.byte(type)
    this.int32(size + 4)
  }

  byte(value: number): void {
    this.#buffer[this.#at++] = value
  }

  int16(value: number): void {
    this.#at = this.#buffer.writeUInt16BE(value, this.#at)
  }

  int32(value: number): void {
    this.#at = this.#buffer.writeUInt32BE(value, this.#at)
  }

  text(text: string, length: number): void {
    // As many bytes as characters: ASCII, which is copied faster than it is encoded.
    if (length === text.length) this.#buffer.write(text, this.#at, 'latin1')
    else this.#buffer.write(text, this.#at, 'utf8')
    this.#at += length
  }

  bytes(bytes: Buffer): void {
    this.#buffer.set(bytes, this.#at)
    this.#at += bytes.length
  }

  piece(bytes: Buffer): void {
    this.#pieces.push(this.#buffer.subarray(this.#from, this.#at), bytes)
    this.#from = this.#at
  }

  pieces(): Buffer[] {
    return [...this.#pieces, this.#buffer.subarray(this.#from, this.#at)]
  }
}
