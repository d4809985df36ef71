import { parseJson, REQUEST_JSON_LIMITS } from './json.js'
import { Pauses } from './pauses.js'

/** What is looked for: without it a document is parsed as any other. */
const MEMBER = Buffer.from('"payment"')
/** Bytes between two thoughts of pausing. */
const STEP = 65_536
/** Reading numbers one by one costs as much as other work on so many times their bytes. */
const DEARNESS = 4
/** More than any message has: those of arrays that are not taken out. */
const MOST_ELEMENTS = 600_000

const QUOTE = 0x22
const COMMA = 0x2c
const ZERO = 0x30
const NINE = 0x39
const COLON = 0x3a
const OPEN_ARRAY = 0x5b
const BACKSLASH = 0x5c
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/**
 * As `parseJson`, for requests that may carry a payment: the bytes of a transaction as an array of numbers, or as an
 * object of them (`{"0":1,…}`, what JSON makes of a Uint8Array). A hundred milliseconds of JSON.parse for one caller would be
 * a hundred milliseconds of silence for all others, so `payment.tx` is read number by number, with turns for others in
 * between, and stands in the answer as a Buffer. Where it has another form it is left as it is.
 *
 * @throws ApiError 400 ERR_INVALID_JSON
 */
export async function parseJsonInTurns(bytes: Buffer): Promise<unknown> {
  const limits = { ...REQUEST_JSON_LIMITS, elements: MOST_ELEMENTS }
  if (!bytes.includes(MEMBER)) return parseJson(bytes, limits)
  const found = await new TransactionFinder(bytes).find()
  if (found === undefined) return parseJson(bytes, limits)
  const rest = Buffer.concat([bytes.subarray(0, found.start), Buffer.from('null'), bytes.subarray(found.end)])
  const json = parseJson(rest, limits)
  // The document has no member twice, so this is the one that was taken out.
  if (isRecord(json) && isRecord(json.payment)) json.payment.tx = found.transaction
  return json
}

interface Found {
  readonly start: number
  /** Index behind it. */
  readonly end: number
  readonly transaction: Buffer
}

/**
 * Walks through a document to the value of `tx` in `payment` at its top. Of what is no JSON it may find anything: the rest of
 * the document is parsed afterwards.
 */
class TransactionFinder {
  readonly #bytes: Buffer
  readonly #pauses = new Pauses()
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  async find(): Promise<Found | undefined> {
    const bytes = this.#bytes
    let depth = 0
    let isInPayment = false
    let pauseAt = STEP
    while (this.#at < bytes.length) {
      if (this.#at >= pauseAt) {
        await this.#pauses.after(this.#at - pauseAt + STEP)
        pauseAt = this.#at + STEP
      }
      const byte = bytes[this.#at]!
      if (byte === QUOTE) {
        const start = this.#at
        this.#skipString()
        if (depth === 1 && this.#isName(start, 'payment')) isInPayment = true
        else if (depth === 1 && this.#follows(COLON)) isInPayment = false
        else if (depth === 2 && isInPayment && this.#isName(start, 'tx')) return this.#read()
        continue
      }
      if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) depth++
      else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) depth--
      this.#at++
    }
    return undefined
  }

  /** To the byte behind the closing quote. */
  #skipString(): void {
    const bytes = this.#bytes
    let from = this.#at + 1
    for (;;) {
      const quote = bytes.indexOf(QUOTE, from)
      if (quote < 0) {
        this.#at = bytes.length
        return
      }
      let before = quote - 1
      while (bytes[before] === BACKSLASH) before--
      from = quote + 1
      if ((quote - before) % 2 === 1) {
        this.#at = from
        return
      }
    }
  }

  /** Whether the string that has just been skipped is this name of a member. */
  #isName(start: number, name: string): boolean {
    return (
      this.#at - start === name.length + 2 &&
      this.#bytes.toString('latin1', start + 1, this.#at - 1) === name &&
      this.#follows(COLON)
    )
  }

  #follows(byte: number): boolean {
    this.#skipBlanks()
    return this.#bytes[this.#at] === byte
  }

  /** The value behind the colon. */
  async #read(): Promise<Found | undefined> {
    this.#at++
    this.#skipBlanks()
    const start = this.#at
    const opening = this.#bytes[start]
    if (opening !== OPEN_ARRAY && opening !== OPEN_OBJECT) return undefined
    this.#at++
    const transaction = await this.#numbers(opening === OPEN_OBJECT)
    return transaction === undefined ? undefined : { start, end: this.#at, transaction }
  }

  /** Undefined where anything but bytes comes, for instance nothing. */
  async #numbers(areNamed: boolean): Promise<Buffer | undefined> {
    const bytes = this.#bytes
    const closing = areNamed ? CLOSE_OBJECT : CLOSE_ARRAY
    // The shortest way to write a byte is a digit and a comma.
    const values = Buffer.allocUnsafe((bytes.length - this.#at) >>> 1)
    let count = 0
    let pauseAt = this.#at + STEP
    for (;;) {
      if (this.#at >= pauseAt) {
        await this.#pauses.after(DEARNESS * (this.#at - pauseAt + STEP))
        pauseAt = this.#at + STEP
      }
      if (areNamed && !this.#skipIndex(count)) return undefined
      const value = this.#byte()
      if (value === undefined) return undefined
      values[count++] = value
      this.#skipBlanks()
      const next = bytes[this.#at++]
      if (next === closing) return Buffer.from(values.subarray(0, count))
      if (next !== COMMA) return undefined
    }
  }

  /** `"7":` where 7 is expected. */
  #skipIndex(index: number): boolean {
    this.#skipBlanks()
    const name = `"${index}"`
    const end = this.#at + name.length
    if (this.#bytes.toString('latin1', this.#at, end) !== name) return false
    this.#at = end
    this.#skipBlanks()
    return this.#bytes[this.#at++] === COLON
  }

  /** A number from 0 to 255 in the one way that JSON has for it. */
  #byte(): number | undefined {
    this.#skipBlanks()
    const bytes = this.#bytes
    const start = this.#at
    let value = 0
    for (;;) {
      const digit = bytes[this.#at]
      if (digit === undefined || digit < ZERO || digit > NINE) break
      value = value * 10 + digit - ZERO
      if (value > 255) return undefined
      this.#at++
    }
    const length = this.#at - start
    return length === 0 || (length > 1 && bytes[start] === ZERO) ? undefined : value
  }

  #skipBlanks(): void {
    const bytes = this.#bytes
    let byte = bytes[this.#at]
    while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) byte = bytes[++this.#at]
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
