import { LRUCache } from 'lru-cache'
import { RE2Set } from 're2js'
import { boundSteps, foldedRanges } from './expression-size.js'
import { accepted, type Parsed, refused } from './parsed.js'
import { isWellFormed } from './utf8.js'

/** What a routing authorization says instead of an expression; as an expression it would sign the same text. */
export const ALL_BOXES = 'ALL'
/** Longest expression, bytes of UTF-8. */
export const MAX_EXPRESSION_BYTES = 256
/** Longest box name that is looked at, UTF-16 units; an expression matches no longer one. */
export const MAX_BOX_NAME = 1024
/** Steps that an expression may compile to (see boundSteps): `[a-z]{1,255}` is just below. */
const MAX_STEPS = 600
/** Ranges beyond ASCII in an expression that ignores case. */
const MAX_FOLDED_RANGES = 4
/** What the automaton of one expression may remember, bytes. */
const AUTOMATON_BYTES = 131_072
/** Compiled expressions that are kept. */
const KEPT = 256

const CONTROL_CHARACTER = /\p{Control}/u

const compiled = new LRUCache<string, BoxExpression>({ max: KEPT })

/** A box expression, ready to test names. */
export class BoxExpression {
  readonly #set: RE2Set

  /** Use `compileBoxExpression`. */
  constructor(
    readonly text: string,
    set: RE2Set
  ) {
    this.#set = set
  }

  /** True if the expression is found anywhere in the name, in time linear in its length (BRC-34, field 6). */
  matches(box: string): boolean {
    return box.length <= MAX_BOX_NAME && this.#set.match(box).length > 0
  }
}

/**
 * Compiles the box expression of a token or an authorization, in RE2 syntax: expressions come from strangers and RE2
 * has nothing that takes more than linear time, so no lookaround and no backreferences.
 *
 * Refused are: empty, more than 256 bytes of UTF-8, the literal `ALL`, control characters (PushDrop writes one alone
 * as an opcode that @bsv/sdk does not read back, and Postgres holds no NUL), lone surrogates, syntax that RE2 does not
 * know, and what would compile to too many steps.
 */
export function compileBoxExpression(text: string): Parsed<BoxExpression> {
  const known = compiled.get(text)
  if (known !== undefined) return accepted(known)
  const objection = objectionTo(text)
  if (objection !== undefined) return refused(objection)
  // A set of one, because a set alone can be told how much memory its automaton may take.
  const set = new RE2Set(RE2Set.UNANCHORED, 0, AUTOMATON_BYTES)
  try {
    set.add(text)
  } catch (error) {
    return refused(
      `a box expression is written in RE2 syntax: ${error instanceof Error ? error.message : ''}`
    )
  }
  // Copied, because a text cut out of a larger one would keep all of that in memory.
  const expression = new BoxExpression(Buffer.from(text, 'utf8').toString('utf8'), set)
  compiled.set(expression.text, expression)
  return accepted(expression)
}

function objectionTo(text: string): string | undefined {
  if (text === '') return 'a box expression must not be empty; leave it out'
  if (text === ALL_BOXES) return 'ALL stands for no box expression'
  if (text.length > MAX_EXPRESSION_BYTES || Buffer.byteLength(text, 'utf8') > MAX_EXPRESSION_BYTES) {
    return `a box expression has at most ${MAX_EXPRESSION_BYTES} bytes`
  }
  if (CONTROL_CHARACTER.test(text)) return 'a box expression contains no control characters'
  if (!isWellFormed(text)) return 'a box expression must be well-formed Unicode'
  if (boundSteps(text) > MAX_STEPS) return 'the repetitions of this box expression are too large'
  if (foldedRanges(text) > MAX_FOLDED_RANGES)
    return 'too many character ranges in an expression that ignores case'
  return undefined
}
