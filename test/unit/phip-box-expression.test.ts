import { expect } from 'chai'
import fc from 'fast-check'
import { RE2JS } from 're2js'
import { compileBoxExpression, MAX_BOX_NAME } from '../../federation/phip/box-expression.js'
import { boundSteps, foldedRanges } from '../../federation/phip/expression-size.js'
import { syntax } from '../support/box-expressions.js'

const RUNS = { numRuns: 2000 }
/** Far above what the dearest expressions take on a busy machine, far below what a missing limit would cost. */
const BOUND_MS = 1500

describe('compileBoxExpression', () => {
  const names = [
    '',
    'inbox',
    'payment_inbox',
    'inbox2',
    'INBOX',
    'a',
    'aab',
    'a b',
    'in.box',
    'é',
    '🙂',
    'x\ny',
    '_',
    '0'
  ]
  const common = [
    ...[
      'inbox',
      '^inbox$',
      '^(inbox|payment_inbox)$',
      'box',
      '^in',
      'x$',
      '.*',
      '.',
      '^$',
      '^.+$',
      'a*b',
      'a+b?',
      '(a|b)+$'
    ],
    ...[
      '[a-z]+',
      '^[^a-z]+$',
      '^[a-z_]{1,64}$',
      '\\d',
      '^\\w+$',
      '\\bbox\\b',
      '\\binbox',
      'in\\.box',
      'a b',
      '[_ ]',
      '(?:in)+box'
    ],
    ...[
      '^a{2}b$',
      'a{,2}',
      '(a*)*$',
      '(a|aa)+$',
      '^(([a-z])+.)+[A-Z]([a-z])+$',
      'é',
      '[\\]]',
      '[a-]',
      '\\/',
      'all',
      'ALL|inbox'
    ]
  ]
  for (const text of common) {
    it(`finds ${text} where JavaScript does`, () => {
      const compiled = compileBoxExpression(text)
      expect(compiled.ok).to.equal(true)
      if (!compiled.ok) return
      expect(compiled.value.text).to.equal(text)
      for (const name of names) {
        expect(compiled.value.matches(name), JSON.stringify(name)).to.equal(new RegExp(text).test(name))
      }
    })
  }

  it('says why an expression is refused', () => {
    const refusals: ReadonlyArray<readonly [string, RegExp]> = [
      ['', /empty/],
      ['ALL', /ALL/],
      ['a'.repeat(257), /256 bytes/],
      ['é'.repeat(129), /256 bytes/],
      ['a\u0000', /control/],
      ['\ud800', /Unicode/],
      ['(?=a)', /RE2 syntax.*\(\?=/],
      ['(?!a)', /RE2 syntax.*\(\?!/],
      ['(?<=a)b', /RE2 syntax/],
      ['(a)\\1', /RE2 syntax.*\\1/],
      ['(', /RE2 syntax.*missing closing/],
      ['a{1000}', /repetitions/],
      ['(a{30})(?i){30}', /repetitions/],
      ['\\pL{100}', /repetitions/],
      [`(?i)[${'!-\u{1e942}'.repeat(5)}]`, /ranges/]
    ]
    for (const [text, reason] of refusals) {
      const compiled = compileBoxExpression(text)
      expect(compiled.ok, text).to.equal(false)
      if (!compiled.ok) expect(compiled.reason).to.match(reason)
    }
  })

  it('takes what is just within the limits', () => {
    for (const text of [
      'a'.repeat(256),
      'é'.repeat(128),
      '^[a-z]{1,255}$',
      '[0-9a-f]{512}',
      '\\pL{50}',
      '(?i)[a-zà-ÿ]+'
    ]) {
      expect(compileBoxExpression(text), text).to.include({ ok: true })
    }
  })

  it('keeps what it compiled', () => {
    const [first, second] = [compileBoxExpression('^kept$'), compileBoxExpression('^kept$')]
    if (first.ok && second.ok) expect(first.value).to.equal(second.value)
    else expect.fail('refused')
  })

  it('matches no name longer than it looks at', () => {
    const compiled = compileBoxExpression('a')
    if (!compiled.ok) return expect.fail(compiled.reason)
    expect(compiled.value.matches('a'.repeat(MAX_BOX_NAME))).to.equal(true)
    expect(compiled.value.matches('a'.repeat(MAX_BOX_NAME + 1))).to.equal(false)
  })

  it('answers hostile expressions and names in bounded time', () => {
    const hostile = [
      ...[
        '(a+)+$',
        '(a|a)*$',
        '(.|a|.)*(.|a|.)*(.|a|.)*x',
        '(.*a.{280})',
        '((.*)(.*)(.*)){30}',
        '(a?){250}a{40}',
        '(\\b.?){90}'
      ],
      ...[
        '(a?b?c?){60}',
        '\\pL{60}',
        '(?i)\\pL{60}',
        '(?i)(\\pL?\\W?){40}',
        '\\pL'.repeat(70),
        `(?i)${'\\pL'.repeat(70)}`
      ],
      ...[`(?i)${'[^\\PL]'.repeat(40)}`, `(?i)[${'\\PL'.repeat(60)}]`, `(?i)[${'!-\u{1e942}'.repeat(4)}]`],
      ...[
        '(?:'.repeat(60) + ')*'.repeat(40),
        '('.repeat(128) + ')'.repeat(128),
        'x*'.repeat(128),
        '(a|'.repeat(60) + ')'.repeat(60)
      ],
      ...[
        '((((a{1000}){1000}){1000}){1000}){1000}',
        'a{1000}'.repeat(36),
        '((a?){1000}b){1000}',
        '(?i)(k{9}){999999999999999999}'
      ]
    ]
    const names = ['a', 'ab', 'aé', 'a🙂b c', '\ud800'].map(unit => unit.repeat(MAX_BOX_NAME / unit.length))
    for (const text of hostile) {
      const start = performance.now()
      const compiled = compileBoxExpression(text)
      if (compiled.ok) for (const name of names) compiled.value.matches(name)
      expect(performance.now() - start, text).to.be.below(BOUND_MS)
    }
  })

  it('answers any text, and any name', () => {
    const text = fc.oneof(syntax, fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }))
    fc.assert(
      fc.property(text, fc.string({ unit: 'binary' }), (expression, name) => {
        const start = performance.now()
        const compiled = compileBoxExpression(expression)
        if (compiled.ok) expect(compiled.value.matches(name)).to.equal(RE2JS.compile(expression).test(name))
        else expect(compiled.reason).to.be.a('string')
        expect(performance.now() - start).to.be.below(BOUND_MS)
      }),
      RUNS
    )
  })
})

describe('boundSteps', () => {
  const known = [
    '(a{30})(?i){30}',
    'a(?i){900}',
    '[+-[:](?:a{40}){20}[:]',
    '[]{9}]{30}',
    '\\Qa{b\\E{70}',
    '()*',
    '(){0,40}',
    '(?i)'
  ]
  for (const text of known) {
    it(`is no less than the program of ${text}`, () => {
      expect(boundSteps(text)).to.be.at.least(RE2JS.compile(text).programSize())
    })
  }

  it('is no less than the program that RE2 compiles', () => {
    let compiled = 0
    fc.assert(
      fc.property(syntax, text => {
        const bound = boundSteps(text)
        if (bound > 5000) return // not to be compiled; it is refused
        const program = compileOrNothing(text)
        if (program === undefined) return
        compiled++
        expect(bound).to.be.at.least(program.programSize())
      }),
      { numRuns: 20_000 }
    )
    expect(compiled).to.be.above(1000)
  })

  it('is near the program of a simple expression', () => {
    for (const text of ['^(inbox|payment_inbox)$', '^[a-z0-9_-]{1,64}$', 'inbox', '[0-9a-f]{66}', '.*']) {
      expect(boundSteps(text)).to.be.below(RE2JS.compile(text).programSize() + 10)
    }
  })
})

describe('foldedRanges', () => {
  it('counts ranges beyond ASCII where case is ignored', () => {
    expect(foldedRanges('(?i)[a-z]')).to.equal(0)
    expect(foldedRanges('[!-\u{1e942}]')).to.equal(0)
    expect(foldedRanges('(?i)[!-\u{1e942}]')).to.equal(1)
    expect(foldedRanges('(?si:[!-\\x{1e942}à-ÿ])')).to.equal(2)
  })
})

function compileOrNothing(text: string): RE2JS | undefined {
  try {
    return RE2JS.compile(text)
  } catch {
    return undefined
  }
}
