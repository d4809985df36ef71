import { isAscii, isUtf8 } from 'node:buffer'
import { type ApiError, badRequest } from './errors.js'

/** What a document may cost whoever reads it. */
export interface JsonLimits {
  /** Containers inside each other; `[]` has depth 1. */
  readonly depth: number
  /** Members of all objects together, and as many objects and arrays. */
  readonly members: number
  /** Commas, between members or elements, outside of strings; any number where absent. */
  readonly elements?: number
}

/** For request bodies: the largest honest one is a payment whose transactions are arrays of numbers. */
export const REQUEST_JSON_LIMITS: JsonLimits = { depth: 32, members: 1_000 }

const QUOTE = 0x22
const COMMA = 0x2c
const BACKSLASH = 0x5c
const LOWER_U = 0x75
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** Longest piece of the document that is repeated in a description. */
const EXCERPT = 64

/**
 * Parses strict JSON: UTF-8 without byte order mark, no member twice in one object (names compared after
 * unescaping), no member `__proto__`, no NUL and no lone surrogate in any string, within the limits. What passes is
 * read alike by every JSON parser, and can be stored as UTF-8 text.
 *
 * Work is linear in the length, and the limits are checked before any value is built. Numbers are JavaScript's:
 * whether one is an integer is for the caller to say.
 *
 * @throws ApiError 400 ERR_INVALID_JSON, saying what is wrong and at which character
 */
export function parseJson(bytes: Uint8Array, limits: JsonLimits = REQUEST_JSON_LIMITS): unknown {
  if (bytes.length === 0) throw invalid('it is empty')
  const text = decode(bytes)
  checkStructure(text, limits)
  try {
    return JSON.parse(text)
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : 'malformed')
  }
}

function decode(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  // One byte a character: half the memory, and much the faster way.
  if (isAscii(buffer)) return buffer.toString('latin1')
  if (!isUtf8(buffer)) throw invalid('it is not UTF-8')
  return buffer.toString('utf8')
}

/**
 * Checks what JSON.parse does not. It need only be right about well-formed text: the grammar is checked by
 * JSON.parse afterwards, and a document has to pass both.
 */
function checkStructure(text: string, limits: JsonLimits): void {
  /** The open containers: the names seen so far in an object, undefined for an array. */
  const open: (Set<string> | undefined)[] = []
  const ends = new StringEnds(text)
  let members = 0
  let containers = 0
  let elements = limits.elements ?? Number.POSITIVE_INFINITY
  let nameComes = false
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE: {
        const end = ends.after(at + 1)
        if (nameComes) {
          nameComes = false
          members++
          if (members > limits.members) throw invalid(`it has more than ${limits.members} members`, at)
          checkName(text, at, end, open.at(-1))
        }
        at = end
        break
      }
      case COMMA:
        nameComes = open.at(-1) !== undefined
        if (--elements < 0) throw invalid(`it has more than ${limits.elements} elements`, at)
        break
      case OPEN_OBJECT:
      case OPEN_ARRAY:
        nameComes = text.charCodeAt(at) === OPEN_OBJECT
        open.push(nameComes ? new Set() : undefined)
        containers++
        if (open.length > limits.depth) throw invalid(`it is nested deeper than ${limits.depth}`, at)
        if (containers > limits.members) {
          throw invalid(`it has more than ${limits.members} objects and arrays`, at)
        }
        break
      case CLOSE_OBJECT:
      case CLOSE_ARRAY:
        open.pop()
        nameComes = false
        break
    }
  }
}

/** @param quote index of the opening quote; `end` that of the closing one */
function checkName(text: string, quote: number, end: number, names: Set<string> | undefined): void {
  let name = text.slice(quote + 1, end)
  if (name.includes('\\')) name = unescapeName(text.slice(quote, end + 1), quote)
  if (name === '__proto__') throw invalid('a member is named __proto__', quote)
  if (names?.has(name)) throw invalid(`member ${excerpt(name)} occurs twice in one object`, quote)
  names?.add(name)
}

function unescapeName(literal: string, at: number): string {
  try {
    return String(JSON.parse(literal))
  } catch {
    throw invalid('malformed member name', at)
  }
}

/** Finds where strings end; most have no escape, and those are skipped at the speed of a memory search. */
class StringEnds {
  readonly #text: string
  /** The first backslash at or after the last place asked for. */
  #backslash = -1

  constructor(text: string) {
    this.#text = text
  }

  /**
   * @param from index after the opening quote; never less than at the call before
   * @returns index of the closing quote; the length of the text if there is none
   */
  after(from: number): number {
    if (this.#backslash < from) this.#backslash = indexOrEnd(this.#text, '\\', from)
    const quote = indexOrEnd(this.#text, '"', from)
    return quote < this.#backslash ? quote : endOfEscapedString(this.#text, from)
  }
}

function indexOrEnd(text: string, sought: string, from: number): number {
  const at = text.indexOf(sought, from)
  return at < 0 ? text.length : at
}

function endOfEscapedString(text: string, from: number): number {
  let at = from
  while (at < text.length) {
    const unit = text.charCodeAt(at)
    if (unit === QUOTE) return at
    if (unit !== BACKSLASH) at++
    else if (text.charCodeAt(at + 1) !== LOWER_U) at += 2
    else at = endOfUnicodeEscape(text, at)
  }
  return text.length
}

/**
 * Valid UTF-8 holds neither a raw NUL that JSON would allow nor a lone surrogate, so only escapes can bring them.
 *
 * @param at index of the backslash
 * @returns index after the escape, or after the second one of a surrogate pair
 */
function endOfUnicodeEscape(text: string, at: number): number {
  const unit = unitAt(text, at + 2)
  if (unit === 0) throw invalid('a string contains NUL', at)
  if (unit < 0xd800 || unit > 0xdfff) return at + 6
  const isPair =
    unit < 0xdc00 &&
    text.charCodeAt(at + 6) === BACKSLASH &&
    text.charCodeAt(at + 7) === LOWER_U &&
    isLowSurrogate(unitAt(text, at + 8))
  if (!isPair) throw invalid('a string contains a lone surrogate', at)
  return at + 12
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff
}

/** The UTF-16 unit written as four hex digits; anything for what are no digits, which JSON.parse refuses. */
function unitAt(text: string, at: number): number {
  return (
    (digit(text, at) << 12) | (digit(text, at + 1) << 8) | (digit(text, at + 2) << 4) | digit(text, at + 3)
  )
}

function digit(text: string, at: number): number {
  const unit = text.charCodeAt(at)
  return unit <= 0x39 ? unit - 0x30 : (unit | 0x20) - 0x57
}

function excerpt(text: string): string {
  return JSON.stringify(text.length > EXCERPT ? `${text.slice(0, EXCERPT)}…` : text)
}

function invalid(what: string, at?: number): ApiError {
  const where = at === undefined ? '' : ` (at character ${at})`
  return badRequest('ERR_INVALID_JSON', `The body is not strict JSON: ${what}${where}.`)
}
