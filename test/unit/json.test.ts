import { expect } from 'chai'
import fc from 'fast-check'
import { ApiError } from '../../src/errors.js'
import { parseJson, REQUEST_JSON_LIMITS } from '../../src/json.js'

describe('parseJson', () => {
  const refused: [what: string, document: string | Buffer, description: RegExp][] = [
    ['nothing', '', /empty/],
    ['blanks', ' \n', /strict JSON/],
    ['half a document', '{"a":', /strict JSON/],
    ['two documents', '{} {}', /strict JSON/],
    ['a trailing comma', '[1,]', /strict JSON/],
    ['single quotes', "{'a':1}", /strict JSON/],
    ['a comment', '{"a":1} // no', /strict JSON/],
    ['NaN', '{"a":NaN}', /strict JSON/],
    ['a raw line break in a string', '"a\nb"', /strict JSON/],
    ['a byte order mark', Buffer.from('\ufeff{}'), /strict JSON/],
    ['UTF-16', Buffer.from('{"a":1}', 'utf16le'), /strict JSON/],
    ['bytes that are no UTF-8', Buffer.from([0x22, 0xff, 0x22]), /not UTF-8/],
    ['an overlong NUL', Buffer.from([0x22, 0xc0, 0x80, 0x22]), /not UTF-8/],
    ['a surrogate in UTF-8', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), /not UTF-8/],
    ['a member twice', '{"a":1,"b":2,"a":1}', /"a" occurs twice in one object \(at character 13\)/],
    ['a member twice in an inner object', '[{"x":{"a":1,"a":1}}]', /"a" occurs twice/],
    ['a member twice, once escaped', '{"a":1,"\\u0061":2}', /"a" occurs twice/],
    ['a member twice after an inner object', '{"a":{"b":1},"a":{}}', /"a" occurs twice/],
    ['an empty name twice', '{"":1,"":2}', /"" occurs twice/],
    ['__proto__', '{"__proto__":{"admin":true}}', /__proto__/],
    ['__proto__, escaped', '{"a":{"\\u005f\\u005fproto\\u005f_":1}}', /__proto__/],
    ['NUL', '{"a":"x\\u0000"}', /NUL \(at character 7\)/],
    ['NUL in a name', '{"\\u0000":1}', /NUL/],
    ['a lone high surrogate', '["\\ud83d"]', /lone surrogate \(at character 2\)/],
    ['a lone low surrogate', '["\\uDE00"]', /lone surrogate/],
    ['a pair the wrong way round', '["\\ude00\\ud83d"]', /lone surrogate/],
    ['two high surrogates', '["\\ud83d\\ud83d"]', /lone surrogate/],
    ['a high surrogate before another escape', '["\\ud83d\\n\\ude00"]', /lone surrogate/],
    ['a high surrogate before a whole character', Buffer.from('["\\ud83d😀"]'), /lone surrogate/],
    ['a lone surrogate in a name', '{"\\udfff":1}', /lone surrogate/],
    ['depth 33', '['.repeat(33) + ']'.repeat(33), /deeper than 32 \(at character 32\)/],
    ['a bomb of brackets', '['.repeat(1_000_000), /deeper than 32/],
    ['1,001 members', `{${numbered(1_001, n => `"m${n}":0`)}}`, /more than 1000 members/],
    [
      '1,001 members in two objects',
      `[{${numbered(501, n => `"m${n}":0`)}},{${numbered(500, n => `"m${n}":0`)}}]`,
      /members/
    ],
    ['1,001 empty objects', `[${numbered(1_000, () => '{}')}]`, /more than 1000 objects and arrays/],
    ['1,001 empty arrays', `[${numbered(1_000, () => '[]')}]`, /more than 1000 objects and arrays/]
  ]
  for (const [what, document, description] of refused) {
    it(`refuses ${what}`, () => {
      const error = errorOf(Buffer.from(document))
      expect(error.httpStatus).to.equal(400)
      expect(error.code).to.equal('ERR_INVALID_JSON')
      expect(error.message).to.match(description)
      expect(error.message.length).to.be.below(400)
    })
  }

  const taken: [what: string, document: string][] = [
    ['a number', ' 12.5e3 '],
    ['null', 'null'],
    ['every escape', '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20AC"'],
    ['a surrogate pair, escaped', '"\\ud83d\\ude00\\uD83D\\uDE00"'],
    ['characters of one to four bytes', '"aé€😀"'],
    ['an escaped backslash before u0000', '"\\\\u0000"'],
    ['an escaped quote before structure', '{"a":"\\"}{\\",\\"a\\":","b":"{\\"a\\":1,\\"a\\":2}"}'],
    ['one name in different objects', '[{"a":1},{"a":{"a":[{"a":1}]}}]'],
    ['a value that equals a name', '{"a":"a","b":"a"}'],
    ['constructor and prototype, as own members', '{"constructor":{"prototype":1}}'],
    ['depth 32', '['.repeat(32) + ']'.repeat(32)],
    ['1,000 members', `{${numbered(1_000, n => `"m${n}":0`)}}`],
    ['numbers without number', `{"tx":[${numbered(50_000, n => String(n % 256))}]}`]
  ]
  for (const [what, document] of taken) {
    it(`takes ${what}`, () => {
      expect(parseJson(Buffer.from(document))).to.deep.equal(JSON.parse(document))
    })
  }

  it('reads only the bytes it is given of a larger buffer', () => {
    const whole = Buffer.from('xx{"a":1}yy')
    expect(parseJson(new Uint8Array(whole.buffer, whole.byteOffset + 2, 7))).to.deep.equal({ a: 1 })
  })

  it('applies the limits it is given', () => {
    expect(() => parseJson(Buffer.from('[[1]]'), { depth: 1, members: 10 })).to.throw(/deeper than 1/)
    expect(
      parseJson(Buffer.from(`{${numbered(2_000, n => `"m${n}":0`)}}`), { depth: 1, members: 2_000 })
    ).to.be.an('object')
  })

  it('reads what JSON.parse reads, where nothing is forbidden', () => {
    fc.assert(
      fc.property(documents(), fc.constantFrom(undefined, 2, '\t'), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent)
        expect(parseJson(Buffer.from(text))).to.deep.equal(JSON.parse(text))
      })
    )
  })

  it('reads every character, however it is escaped, as JSON.parse does', () => {
    const character = fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }).filter(c => c !== '\0')
    const spelled = fc
      .tuple(character, fc.boolean())
      .map(([c, isEscaped]) => (isEscaped ? unicodeEscape(c) : JSON.stringify(c).slice(1, -1)))
    fc.assert(
      fc.property(fc.array(spelled, { maxLength: 20 }), pieces => {
        const text = `"${pieces.join('')}"`
        expect(parseJson(Buffer.from(text))).to.equal(JSON.parse(text))
      })
    )
  })

  it('refuses a document in which anything forbidden is put anywhere', () => {
    const forbidden = fc.constantFrom(
      '{"a":0,"a":0}',
      '{"\\u0061":0,"a":0}',
      '"\\u0000"',
      '"\\ud800"',
      '{"__proto__":0}',
      '{"a":0,}'
    )
    fc.assert(
      fc.property(documents(), forbidden, fc.nat(), (value, piece, place) => {
        const mark = '"here it goes"'
        const text = JSON.stringify(putSomewhere(value, JSON.parse(mark), place)).replace(mark, () => piece)
        expect(errorOf(Buffer.from(text)).code).to.equal('ERR_INVALID_JSON')
      })
    )
  })

  it('answers every sequence of JSON-like bytes with a value that JSON.parse agrees with or with a typed error', () => {
    const byte = fc.constantFrom(...Buffer.from('{}[]",:\\u0d8e1a tn'))
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 40 }), bytes => {
        const buffer = Buffer.from(bytes)
        let value: unknown
        try {
          value = parseJson(buffer)
        } catch (error) {
          expect(error).to.be.instanceOf(ApiError)
          return
        }
        expect(value).to.deep.equal(JSON.parse(buffer.toString()))
      }),
      { numRuns: 2_000 }
    )
  })
})

function errorOf(bytes: Buffer): ApiError {
  try {
    parseJson(bytes)
  } catch (error) {
    if (error instanceof ApiError) return error
    throw error
  }
  throw new Error(`taken: ${bytes.toString().slice(0, 100)}`)
}

function numbered(count: number, item: (n: number) => string): string {
  return Array.from({ length: count }, (_, n) => item(n)).join(',')
}

/** Documents within the limits and without NUL, lone surrogates or `__proto__`. */
function documents(): fc.Arbitrary<unknown> {
  const text = fc.string({ unit: 'binary' }).filter(s => !s.includes('\0') && s !== '__proto__')
  return fc
    .jsonValue({ maxDepth: 5, stringUnit: 'binary' })
    .filter(value => isClean(value))
    .chain(value => fc.record({ value: fc.constant(value), text }))
}

function isClean(value: unknown): boolean {
  const text = JSON.stringify(value)
  return (
    !text.includes('\\u0000') &&
    !text.includes('__proto__') &&
    text.split(/[:{[]/).length < REQUEST_JSON_LIMITS.members
  )
}

function unicodeEscape(character: string): string {
  return Array.from(
    { length: character.length },
    (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`
  ).join('')
}

/** The value with one more element or member in one of its containers. */
function putSomewhere(value: unknown, item: unknown, place: number): unknown {
  if (Array.isArray(value)) {
    const at = place % (value.length + 1)
    const isInside = at < value.length && typeof value[at] === 'object' && value[at] !== null
    if (isInside) return value.with(at, putSomewhere(value[at], item, place >> 3))
    return value.toSpliced(at, 0, item)
  }
  if (typeof value === 'object' && value !== null) return { ...value, 'a further member': item }
  return [value, item]
}
