import { readFileSync } from 'node:fs'
import { LockingScript, PrivateKey, PublicKey, PushDrop as SdkPushDrop } from '@bsv/sdk'
import { expect } from 'chai'
import fc from 'fast-check'
import { createTokenScript, signTokenSpend, TOKEN_INVOICES } from '../../federation/phip/token.js'
import { TokenVerifier, verifyTokenScript } from '../../federation/phip/verify-token.js'
import { ANYONE_PUBLIC_KEY, anyonePublicKey, KeyDeriver } from '../../src/keys/key-deriver.js'
import { isSpentBy } from '../support/phip-spend.js'
import {
  BOXES,
  curve,
  DOMAIN,
  operator,
  otherOperator,
  recipient,
  tokenScript
} from '../support/phip-token-builder.js'

interface WireVector {
  readonly id: string
}

interface TokenVector extends WireVector {
  readonly invoiceNumber: string
  readonly lockPosition: 'before' | 'after'
  readonly lockingPublicKey: string
  readonly fields: readonly string[]
  readonly fieldSignature: string
  readonly script: string
}

interface DerivationVector extends WireVector {
  readonly rootIdentityKey: string
  readonly invoiceNumber: string
  readonly childPublic: string
}

const RUNS = { numRuns: 2000 }
const wire: WireVector[] = JSON.parse(
  readFileSync(new URL('../vectors/wire.json', import.meta.url), 'utf8')
).vectors
const tokens = wire.filter(({ id }) => id.startsWith('phip-token-')) as TokenVector[]
const derivations = wire.filter(({ id }) => id.startsWith('derive-phip-')) as DerivationVector[]
const authorization = (box = 'ALL'): Buffer =>
  recipient.sign(
    Buffer.from(`${operator.identityKey} ${DOMAIN} ${box}`),
    '1-phip authorization-1',
    ANYONE_PUBLIC_KEY
  )

describe('PHIP tokens', () => {
  it('has the vectors', () => {
    expect(tokens.map(({ id }) => id)).to.have.members([
      'phip-token-no-regex',
      'phip-token-regex',
      'phip-token-uppercase',
      'phip-token-no-regex-lock-after'
    ])
    expect(derivations).to.have.length(3)
  })

  for (const vector of derivations) {
    it(`derives the key of ${vector.id}`, () => {
      const root = Buffer.from(vector.rootIdentityKey, 'hex')
      expect(hex(anyonePublicKey(curve, root, vector.invoiceNumber))).to.equal(vector.childPublic)
    })
  }

  for (const vector of tokens) {
    it(`verifies ${vector.id}`, () => {
      const [, operatorKey, domain, recipientKey, recipientSignature, boxExpression] = vector.fields
      const verification = verifyTokenScript(curve, Buffer.from(vector.script, 'hex'), 'main')
      if (!verification.ok) return expect.fail(verification.check)
      const { token } = verification
      expect({ ...token, recipientSignature: hex(token.recipientSignature) }).to.deep.equal({
        operatorKey,
        domain,
        recipient: recipientKey,
        recipientSignature,
        boxExpression,
        invoiceNumber: vector.invoiceNumber
      })
    })
  }

  for (const vector of tokens.filter(({ id }) => ['phip-token-no-regex', 'phip-token-regex'].includes(id))) {
    it(`writes ${vector.id}`, () => {
      const [, , domain, recipientKey, recipientSignature, boxExpression] = vector.fields
      const script = createTokenScript(operator, {
        domain: domain!,
        recipient: recipientKey!,
        recipientSignature: Buffer.from(recipientSignature!, 'hex'),
        boxExpression
      })
      expect(hex(script)).to.equal(vector.script)
    })
  }

  it('is read by the SDK, and locked to a key that its operator alone has', () => {
    const script = createTokenScript(operator, {
      domain: DOMAIN,
      recipient: recipient.identityKey,
      recipientSignature: authorization(BOXES),
      boxExpression: BOXES
    })
    const { fields, lockingPublicKey } = SdkPushDrop.decode(LockingScript.fromBinary([...script]))
    expect(fields.slice(0, -1).map(field => hex(Uint8Array.from(field)))).to.deep.equal([
      hex(Buffer.from('PHIP')),
      operator.identityKey,
      hex(Buffer.from(DOMAIN)),
      recipient.identityKey,
      hex(authorization(BOXES)),
      hex(Buffer.from(BOXES))
    ])
    const derived = PublicKey.fromString(operator.identityKey).deriveChild(new PrivateKey(1), '2-phip-1')
    expect(lockingPublicKey.toString()).to.equal(derived.toString())
  })

  it('keeps no hold on the script it was read from', () => {
    const script = tokenScript({ box: BOXES })
    const verification = verifyTokenScript(curve, script, 'main')
    script.fill(0)
    if (!verification.ok) return expect.fail(verification.check)
    expect(hex(verification.token.recipientSignature)).to.equal(hex(authorization(BOXES)))
    expect(verification.token.boxExpression).to.equal(BOXES)
  })
})

describe('signTokenSpend', () => {
  it('spends a token under the invoice number it is locked with', () => {
    for (const invoice of TOKEN_INVOICES) {
      for (const position of ['before', 'after'] as const) {
        const script = tokenScript({ invoice, position, box: BOXES })
        expect(isSpentBy(script, digest => signTokenSpend(operator, digest, invoice))).to.equal(true)
        const other = TOKEN_INVOICES.find(name => name !== invoice)!
        expect(isSpentBy(script, digest => signTokenSpend(operator, digest, other))).to.equal(false)
      }
    }
  })

  it('is of no use to another operator, the recipient or anyone', () => {
    const script = tokenScript({})
    const anyone = new KeyDeriver(curve, Buffer.from('01'.padStart(64, '0'), 'hex'))
    for (const keys of [otherOperator, recipient, anyone]) {
      expect(isSpentBy(script, digest => signTokenSpend(keys, digest))).to.equal(false)
      expect(isSpentBy(script, digest => keys.signDigest(digest, '2-phip-1', operator.publicKey))).to.equal(
        false
      )
    }
    expect(() => signTokenSpend(operator, new Uint8Array(31))).to.throw(RangeError)
  })
})

describe('verifyTokenScript', () => {
  it('refuses a valid token with any one byte changed, added or missing', () => {
    const valid = [tokenScript({}), tokenScript({ box: BOXES, position: 'after' })]
    const how = fc.constantFrom('change', 'add', 'remove')
    fc.assert(
      fc.property(
        fc.constantFrom(...valid),
        how,
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (script, change, place, value) => {
          const at = place % script.length
          const changed = Buffer.concat([
            script.subarray(0, at),
            Buffer.from(change === 'remove' ? [] : [script[at]! ^ value]),
            script.subarray(change === 'add' ? at : at + 1)
          ])
          expect(verifyTokenScript(curve, changed, 'main').ok).to.equal(false)
        }
      ),
      RUNS
    )
  })

  it('refuses a valid token with any part of it cut out, repeated or exchanged', () => {
    const valid = [
      tokenScript({}),
      tokenScript({ box: BOXES, position: 'after' }),
      tokenScript({ operator: otherOperator })
    ]
    const script = fc.constantFrom(...valid)
    fc.assert(
      fc.property(script, script, fc.nat(), fc.nat(), (one, other, from, to) => {
        const spliced = Buffer.concat([one.subarray(0, from % one.length), other.subarray(to % other.length)])
        fc.pre(!valid.some(token => token.equals(spliced)))
        expect(verifyTokenScript(curve, spliced, 'main').ok).to.equal(false)
      }),
      RUNS
    )
  })

  it('answers any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000, size: 'max' }), script => {
        expect(verifyTokenScript(curve, script, 'main')).to.include({ ok: false, check: 'script' })
      }),
      RUNS
    )
  })
})

describe('TokenVerifier', () => {
  it('answers as verifyTokenScript, and remembers what is valid', () => {
    const verifier = new TokenVerifier(curve, 'main')
    const script = tokenScript({ box: BOXES })
    const first = verifier.verify(script)
    expect(first).to.deep.equal(verifyTokenScript(curve, script, 'main'))
    expect(verifier.verify(new Uint8Array(script))).to.equal(first)
    const refused = tokenScript({ operator: otherOperator, lockingKey: operator.publicKey })
    expect(verifier.verify(refused)).to.include({ ok: false, check: 'locking-key' })
    expect(verifier.verify(refused)).not.to.equal(verifier.verify(refused))
  })

  it('forgets the longest unused beyond its capacity', () => {
    const verifier = new TokenVerifier(curve, 'main', 2)
    const scripts = ['a.org', 'b.org', 'c.org'].map(domain => tokenScript({ domain }))
    const first = verifier.verify(scripts[0]!)
    for (const script of scripts) verifier.verify(script)
    const again = verifier.verify(scripts[0]!)
    expect(again).to.deep.equal(first)
    expect(again).not.to.equal(first)
    expect(verifier.verify(scripts[0]!)).to.equal(again)
  })
})

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
