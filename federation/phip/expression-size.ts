/** What `\p{…}` counts, since one step of it may hold hundreds of ranges. */
const UNICODE_CLASS = 8

/** An empty group, or the frame of the program. */
const EMPTY = 3

const FLAGS = /\(\?[A-Za-z-]*\)/y
const REPETITION = /\{(\d+)(,(\d*))?\}/y
const UNICODE_ESCAPE = /^\\[pP]/
const CLASS_ESCAPE = /^\\[pPdDsSwW]/
const BRACED_ESCAPE = /\\[pPx]\{[^}]*\}/y
/** A class range whose upper end is not ASCII, or is written as an escape that may not be. */
const WIDE_RANGE = /-(?:\P{ASCII}|\\x)/gu
const IGNORES_CASE = /\(\?[A-Za-z]*i/

/** One open group: what its closed alternatives and terms cost, and the term a repetition would apply to. */
interface Group {
  sum: number
  last: number
}

/**
 * An upper bound for the steps of the program that RE2 syntax compiles to, found without compiling it: a repetition
 * is a copy of its body for each count, so that a few characters make hundreds of thousands of steps.
 *
 * @param text an expression, valid or not; the answer for an invalid one means nothing
 * @returns steps; a Unicode class counts as eight
 */
export function boundSteps(text: string): number {
  const open: Group[] = []
  let group: Group = { sum: EMPTY, last: 0 }
  const term = (cost: number): void => {
    group.sum += group.last
    group.last = cost
  }

  let at = 0
  while (at < text.length) {
    const character = text[at]!
    if (character === '\\') {
      at = readEscape(text, at, term)
    } else if (character === '[') {
      const end = classEnd(text, at)
      term(1 + UNICODE_CLASS * count(text.slice(at, end), /\\[pP]/g))
      at = end
    } else if (character === '(') {
      // Flags alone are no term: a repetition behind them applies to what stands before them.
      const flags = matchAt(FLAGS, text, at)
      if (flags === undefined) {
        open.push(group)
        group = { sum: EMPTY, last: 0 }
      }
      at += flags?.[0].length ?? 1
    } else if (character === ')') {
      const closed: number = group.sum + group.last
      group = open.pop() ?? group
      term(closed)
      at++
    } else if (character === '|') {
      term(2)
      term(0)
      at++
    } else if (character === '*' || character === '+' || character === '?') {
      group.last += 2
      at++
    } else {
      const repetition = character === '{' ? matchAt(REPETITION, text, at) : undefined
      if (repetition === undefined) term(1)
      else group.last = repeated(group.last, repetition)
      at += repetition?.[0].length ?? 1
    }
  }
  for (const outer of open) group.sum += outer.sum + outer.last
  return group.sum + group.last
}

/**
 * How many class ranges beyond ASCII are folded because the expression ignores case somewhere. RE2 looks at each code
 * point of such a range, up to 125,000, while it parses.
 */
export function foldedRanges(text: string): number {
  return IGNORES_CASE.test(text) ? count(text, WIDE_RANGE) : 0
}

/** Reads the escape at `at` as one or more terms; answers where it ends. */
function readEscape(text: string, at: number, term: (cost: number) => void): number {
  if (text[at + 1] === 'Q') {
    const close = text.indexOf('\\E', at + 2)
    const end = close === -1 ? text.length : close
    for (let index = at + 2; index < end; index++) term(1)
    return close === -1 ? end : close + 2
  }
  const end = characterEnd(text, at)
  term(UNICODE_ESCAPE.test(text.slice(at, end)) ? UNICODE_CLASS : 1)
  return end
}

/** Where the class that begins at `at` ends. What a range ends with is a character even if it is a bracket. */
function classEnd(text: string, at: number): number {
  const start = text[at + 1] === '^' ? at + 2 : at + 1
  let index = start
  while (index < text.length && (text[index] !== ']' || index === start)) {
    const named = text.startsWith('[:', index) ? text.indexOf(':]', index) : -1
    if (named !== -1) {
      index = named + 2
      continue
    }
    const isClass = CLASS_ESCAPE.test(text.slice(index, index + 2))
    index = characterEnd(text, index)
    if (!isClass && text[index] === '-' && text[index + 1] !== ']') index = characterEnd(text, index + 1)
  }
  return index + 1
}

/** Where the character or the escape at `at` ends. */
function characterEnd(text: string, at: number): number {
  if (text[at] !== '\\') return at + 1
  const braced = matchAt(BRACED_ESCAPE, text, at)
  if (braced !== undefined) return at + braced[0].length
  // The letter of \pL belongs to the class.
  return at + (UNICODE_ESCAPE.test(text.slice(at, at + 2)) ? 3 : 2)
}

/** What a term costs with a repetition behind it: optional copies and the endless last one need a step more each. */
function repeated(cost: number, [, least, comma, most]: RegExpExecArray): number {
  const required = Number(least)
  if (comma === undefined) return 1 + Math.max(1, required) * cost
  return 1 + (most ? Math.max(1, Number(most)) : required + 1) * (cost + 1)
}

function count(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0
}

function matchAt(sticky: RegExp, text: string, at: number): RegExpExecArray | undefined {
  sticky.lastIndex = at
  return sticky.exec(text) ?? undefined
}
