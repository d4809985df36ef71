import fc from 'fast-check'
import { ApiError } from '../../src/errors.js'

/*
 * How parsers are fed with what nobody meant them to read. FUZZ_RUNS is the number of inputs for each (2,000 where it is not
 * set, which is what `npm test` has time for).
 */

const { FUZZ_RUNS = '' } = process.env
const isNightly = FUZZ_RUNS !== ''
const RUNS = isNightly ? Number(FUZZ_RUNS) : 2_000
if (!Number.isSafeInteger(RUNS) || RUNS < 1) throw new Error(`FUZZ_RUNS is "${FUZZ_RUNS}"`)

/** No input may keep a parser busy for longer, ms. */
const LONGEST = 50
/** Milliseconds of the whole file. */
const PATIENCE = isNightly ? 6 * 60 * 60_000 : 120_000

/** A group of properties; each may take its time in nightly runs. */
export function describeFuzz(title: string, body: () => void): void {
  describe(title, function () {
    this.timeout(PATIENCE)
    body()
  })
}

/** @param share of the runs that an ordinary run has time for, where inputs are dear */
export function inputs(share = 1): { numRuns: number } {
  return { numRuns: isNightly ? RUNS : Math.max(1, Math.floor(RUNS * share)) }
}

/**
 * Runs a parser. In nightly runs it must answer within 50 ms, of this process, since the machine may be busy with
 * something else; and as garbage may be collected meanwhile, a slow input has two more chances.
 *
 * @param chances 1 for what remembers its answers
 */
export function timely<T>(run: () => T, chances = 3): T {
  const answer = timed(run)
  if (isNightly && answer.milliseconds > LONGEST) {
    let fastest = answer.milliseconds
    for (let more = chances - 1; more > 0; more--) fastest = Math.min(fastest, timed(run).milliseconds)
    if (fastest > LONGEST) throw new Error(`took ${fastest} ms`)
  }
  if ('error' in answer) throw answer.error
  return answer.value
}

function timed<T>(run: () => T): { milliseconds: number } & ({ value: T } | { error: unknown }) {
  const begin = performance.now()
  const before = process.cpuUsage()
  const milliseconds = (): number => {
    const { user, system } = process.cpuUsage(before)
    return Math.min(performance.now() - begin, (user + system) / 1_000)
  }
  try {
    const value = run()
    return { value, milliseconds: milliseconds() }
  } catch (error) {
    return { error, milliseconds: milliseconds() }
  }
}

/** What the parser answers, or its refusal; anything else that it throws is thrown on. */
export function answerOrRefusal<T>(run: () => T): { answer: T } | { refusal: ApiError } {
  try {
    return { answer: timely(run) }
  } catch (error) {
    return { refusal: refusalOf(error) }
  }
}

export async function laterAnswerOrRefusal<T>(
  run: () => Promise<T>
): Promise<{ answer: T } | { refusal: ApiError }> {
  try {
    return { answer: await run() }
  } catch (error) {
    return { refusal: refusalOf(error) }
  }
}

/** Only a typed error of the 4xx says that the input is to blame. */
function refusalOf(error: unknown): ApiError {
  if (!(error instanceof ApiError)) throw error
  if (error.httpStatus < 400 || error.httpStatus > 499) throw error
  if (!/^(ERR_[A-Z0-9_]+|UNAUTHORIZED)$/.test(error.code)) throw error
  return error
}

/** Some bytes, changed in a few places. */
export function mutatedBytes(from: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Buffer> {
  const change = fc.record({
    kind: fc.constantFrom('flip', 'set', 'insert', 'remove', 'repeat', 'cut', 'swap'),
    at: fc.nat(),
    length: fc.integer({ min: 1, max: 40 }),
    byte: fc.oneof(fc.constantFrom(0, 0x22, 0x5b, 0x5c, 0x7b, 0x7f, 0x80, 0xfd, 0xff), fc.nat(255))
  })
  return fc.tuple(from, fc.array(change, { minLength: 1, maxLength: 4 })).map(([bytes, changes]) => {
    let buffer = Buffer.from(bytes)
    for (const { kind, at: place, length, byte } of changes) {
      const at = place % (buffer.length + 1)
      const [head, piece, tail] = [
        buffer.subarray(0, at),
        buffer.subarray(at, at + length),
        buffer.subarray(at + length)
      ]
      if (kind === 'flip') buffer = Buffer.concat([head, piece.map(old => old ^ byte), tail])
      else if (kind === 'set') buffer = Buffer.concat([head, Buffer.alloc(piece.length, byte), tail])
      else if (kind === 'insert') buffer = Buffer.concat([head, Buffer.alloc(length, byte), piece, tail])
      else if (kind === 'remove') buffer = Buffer.concat([head, tail])
      else if (kind === 'repeat') buffer = Buffer.concat([head, piece, piece, piece, tail])
      else if (kind === 'cut') buffer = Buffer.from(head)
      else buffer = Buffer.concat([tail, piece, head])
    }
    return buffer
  })
}

/** A text of ASCII, changed in a few places; other characters come in, too. */
export function mutatedText(from: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const odd = fc.constantFrom(
    '\u0000',
    '\n',
    ' ',
    '=',
    '-',
    '_',
    '+',
    '/',
    'é',
    '\u3061',
    '\ud800',
    '\u{1f642}',
    '0x',
    '\\',
    '"'
  )
  return fc.oneof(
    mutatedBytes(from.map(text => Buffer.from(text, 'latin1'))).map(bytes => bytes.toString('latin1')),
    fc.tuple(from, fc.nat(), fc.nat(2), odd).map(([text, place, gone, piece]) => {
      const at = place % (text.length + 1)
      return text.slice(0, at) + piece + text.slice(at + gone)
    })
  )
}

/** Whatever JSON can say, and what nobody says by chance. */
export function anyJson(): fc.Arbitrary<unknown> {
  return fc.oneof(
    fc.constantFrom<unknown>(
      null,
      true,
      0,
      -0,
      -1,
      1.5,
      2 ** 53,
      -(2 ** 53),
      1e300,
      '',
      ' ',
      '0',
      'null',
      '[object Object]',
      '__proto__',
      'constructor',
      'x'.repeat(300),
      '\u202e',
      '\u0000'
    ),
    fc.constantFrom<unknown>(
      [],
      {},
      [null],
      [[]],
      [{}],
      { length: -1 },
      { toString: null },
      JSON.parse('{"then":{}}'),
      { valueOf: 'x' }
    ),
    fc.integer().map(number => number),
    fc.string({ unit: 'binary', maxLength: 80 }),
    fc.jsonValue({ maxDepth: 3 })
  )
}

/** JSON values of some shape, with members removed, exchanged or replaced. */
export function mutatedJson(from: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  const change = fc.record({
    kind: fc.constantFrom('remove', 'replace', 'replace', 'text', 'array', 'json', 'double'),
    place: fc.nat(),
    value: anyJson(),
    text: fc.tuple(fc.nat(), fc.nat(3), fc.string({ maxLength: 3 }))
  })
  return fc.tuple(from, fc.array(change, { minLength: 1, maxLength: 3 })).map(([value, changes]) => {
    let changed = structuredClone(value)
    for (const {
      kind,
      place,
      value: other,
      text: [at, gone, piece]
    } of changes) {
      changed = changeAt(changed, place, old => {
        if (kind === 'replace') return structuredClone(other)
        if (kind === 'array') return [old]
        if (kind === 'json') return JSON.stringify(old)
        if (kind === 'double') return Array.isArray(old) ? [...old, ...old] : JSON.stringify([old, old])
        if (kind === 'remove') return undefined
        if (typeof old !== 'string') return structuredClone(other)
        const from = at % (old.length + 1)
        return old.slice(0, from) + piece + old.slice(from + gone)
      })
    }
    return changed
  })
}

/** Changes one of the values inside, or the whole, by a number that says which. */
function changeAt(value: unknown, place: number, change: (old: unknown) => unknown): unknown {
  const places: [container: Record<string, unknown>, name: string][] = []
  const collect = (inside: unknown): void => {
    if (typeof inside !== 'object' || inside === null || places.length > 200) return
    const container = inside as Record<string, unknown>
    for (const name of Object.keys(container)) {
      places.push([container, name])
      collect(container[name])
    }
  }
  collect(value)
  const found = places[place % (places.length + 1)]
  if (found === undefined) return change(value)
  const [container, name] = found
  const changed = change(container[name])
  if (changed !== undefined) container[name] = changed
  else if (Array.isArray(container)) container.splice(Number(name), 1)
  else delete container[name]
  return value
}
