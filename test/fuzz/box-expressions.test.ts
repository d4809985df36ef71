import { expect } from 'chai'
import fc from 'fast-check'
import { RE2JS } from 're2js'
import { compileBoxExpression, MAX_BOX_NAME } from '../../federation/phip/box-expression.js'
import { boundSteps } from '../../federation/phip/expression-size.js'
import { syntax } from '../support/box-expressions.js'
import { describeFuzz, inputs, timely } from '../support/fuzz.js'

/** As box-expression.ts has it. */
const MAX_STEPS = 600

describeFuzz('fuzz: box expressions', () => {
  const patterns = fc.oneof(
    { weight: 4, arbitrary: syntax },
    { weight: 1, arbitrary: fc.stringMatching(/^[()|*+?a-c{}0-9,[\]\\.^$-]{0,120}$/) },
    {
      weight: 1,
      arbitrary: fc.tuple(syntax, fc.integer({ min: 1, max: 40 })).map(([text, times]) => text.repeat(times))
    },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 60 }) }
  )
  const names = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 128 }),
    fc
      .tuple(fc.constantFrom('a', 'ab', 'aA', 'é', '7-', '\u{1f642}'), fc.nat(MAX_BOX_NAME / 2))
      .map(([unit, times]) => unit.repeat(times))
  )

  it('compile to a bounded number of steps, and match as RE2 does, none above 50 ms', () => {
    fc.assert(
      fc.property(patterns, names, (pattern, name) => {
        const compiled = timely(() => compileBoxExpression(pattern), 1)
        if (!compiled.ok) {
          expect(compiled.reason).to.match(/./)
          return
        }
        expect(boundSteps(pattern)).to.be.at.most(MAX_STEPS)
        const reference = RE2JS.compile(pattern)
        expect(reference.programSize()).to.be.at.most(MAX_STEPS)
        const matches = timely(() => compiled.value.matches(name), 1)
        expect(matches).to.equal(name.length <= MAX_BOX_NAME && reference.test(name))
      }),
      inputs()
    )
  })
})
