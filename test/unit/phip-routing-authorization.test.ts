import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import fc from 'fast-check'
import { parseSignatureMember } from '../../federation/phip/anyone-signature.js'
import {
  formatRoutingText,
  parseRoutingText,
  signRoutingText,
  verifyRoutingSignature
} from '../../federation/phip/routing-authorization.js'
import { brokenDer } from '../support/phip-broken-bytes.js'
import {
  curve,
  DOMAIN,
  highS,
  operator,
  otherOperator,
  otherRecipient,
  recipient
} from '../support/phip-token-builder.js'

interface Vector {
  readonly id: string
  readonly message: string
  readonly recipient: string
  readonly signature: string
  readonly authorizeRoutingBody: { readonly message: string; readonly signature: string }
}

const RUNS = { numRuns: 2000 }
const vectors: Vector[] = JSON.parse(
  readFileSync(new URL('../vectors/wire.json', import.meta.url), 'utf8')
).vectors.filter(({ id }: Vector) => id.startsWith('phip-recipient-signature-'))
const HOST = operator.identityKey
const TEXT = `${HOST} ${DOMAIN} ALL`

describe('routing authorizations', () => {
  it('has the vectors', () => {
    expect(vectors.map(({ id }) => id)).to.have.members([
      'phip-recipient-signature-all',
      'phip-recipient-signature-regex'
    ])
  })

  for (const vector of vectors) {
    it(`makes and verifies ${vector.id}`, () => {
      const parsed = parseRoutingText(curve, vector.message, 'main')
      if (!parsed.ok) return expect.fail(parsed.reason)
      expect(formatRoutingText(parsed.value)).to.equal(vector.message)
      expect(signRoutingText(recipient, vector.message).toString('hex')).to.equal(vector.signature)
      const signature = parseSignatureMember(vector.authorizeRoutingBody.signature)!
      expect(verifyRoutingSignature(curve, vector.recipient, vector.message, signature)).to.equal(true)
    })
  }
})

describe('parseRoutingText', () => {
  it('divides at the first two spaces only', () => {
    for (const boxExpression of ['.*', 'a', ' ', ' a  b ', 'ALL ', ' ALL', 'all', 'é']) {
      const text = `${HOST} ${DOMAIN} ${boxExpression}`
      const value = { hostKey: HOST, domain: DOMAIN, boxExpression }
      expect(parseRoutingText(curve, text, 'main')).to.deep.equal({ ok: true, value })
    }
    const value = { hostKey: HOST, domain: DOMAIN, boxExpression: undefined }
    expect(parseRoutingText(curve, TEXT, 'main')).to.deep.equal({ ok: true, value })
  })

  it('goes by the network', () => {
    const text = `${HOST} localhost:3000 ALL`
    expect(parseRoutingText(curve, text, 'local')).to.include({ ok: true })
    expect(parseRoutingText(curve, text, 'test')).to.include({ ok: false })
  })

  const refused: readonly string[] = [
    '',
    ' ',
    '  ',
    '   ',
    HOST,
    `${HOST} `,
    `${HOST} ${DOMAIN}`,
    `${HOST} ${DOMAIN} `,
    `${HOST}  ALL`,
    ` ${TEXT}`,
    `${HOST}  ${DOMAIN} ALL`,
    `${HOST.toUpperCase()} ${DOMAIN} ALL`,
    `${HOST.slice(0, -1)} ${DOMAIN} ALL`,
    `${HOST}0 ${DOMAIN} ALL`,
    `05${HOST.slice(2)} ${DOMAIN} ALL`,
    `02${'0'.repeat(63)}5 ${DOMAIN} ALL`,
    `04${HOST.slice(2).repeat(2)} ${DOMAIN} ALL`,
    `${HOST} ${DOMAIN.toUpperCase()} ALL`,
    `${HOST} ${DOMAIN}. ALL`,
    `${HOST} https://${DOMAIN} ALL`,
    `${HOST} ${DOMAIN}:443 ALL`,
    `${HOST}\t${DOMAIN}\tALL`,
    `${HOST} ${DOMAIN} ALL\n`,
    `${HOST} ${DOMAIN} (`,
    `${HOST} ${DOMAIN} (?=a)`,
    `${HOST} ${DOMAIN} ${'a'.repeat(257)}`,
    `${HOST} ${DOMAIN} \ud800`,
    `\ufeff${TEXT}`,
    `${TEXT}${' '.repeat(100_000)}`,
    'a '.repeat(100_000)
  ]
  for (const [index, text] of refused.entries()) {
    it(`refuses ${index}: ${JSON.stringify(text.slice(0, 120))}`, () => {
      const parsed = parseRoutingText(curve, text, 'main')
      expect(parsed.ok).to.equal(false)
      if (!parsed.ok) expect(parsed.reason).to.match(/\w/)
    })
  }

  it('answers any text; what it takes has one spelling', () => {
    const part = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom(HOST, otherOperator.identityKey, DOMAIN, 'a.b', 'ALL', '.*', '')
    )
    fc.assert(
      fc.property(fc.array(part, { maxLength: 5 }), parts => {
        const text = parts.join(' ')
        const parsed = parseRoutingText(curve, text, 'main')
        if (parsed.ok) expect(formatRoutingText(parsed.value)).to.equal(text)
      }),
      RUNS
    )
  })
})

describe('verifyRoutingSignature', () => {
  const signature = signRoutingText(recipient, TEXT)

  it('is true for this recipient, text and signature only', () => {
    expect(verifyRoutingSignature(curve, recipient.identityKey, TEXT, signature)).to.equal(true)
    expect(verifyRoutingSignature(curve, otherRecipient.identityKey, TEXT, signature)).to.equal(false)
    expect(verifyRoutingSignature(curve, recipient.identityKey, `${TEXT} `, signature)).to.equal(false)
    expect(verifyRoutingSignature(curve, recipient.identityKey, TEXT, highS(signature))).to.equal(false)
    expect(verifyRoutingSignature(curve, 'no key', TEXT, signature)).to.equal(false)
    expect(verifyRoutingSignature(curve, `02${'0'.repeat(64)}`, TEXT, signature)).to.equal(false)
    for (const [name, bytes] of brokenDer(signature)) {
      expect(verifyRoutingSignature(curve, recipient.identityKey, TEXT, bytes), name).to.equal(false)
    }
  })

  it('answers any bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.uint8Array({ maxLength: 80 }), (text, bytes) => {
        expect(verifyRoutingSignature(curve, recipient.identityKey, text, bytes)).to.equal(false)
      }),
      RUNS
    )
  })
})

describe('parseSignatureMember', () => {
  const signature = signRoutingText(recipient, TEXT)
  const hex = signature.toString('hex')

  it('reads hex, base64 and an array of numbers', () => {
    for (const value of [hex, hex.toUpperCase(), signature.toString('base64'), [...signature]]) {
      expect(Buffer.from(parseSignatureMember(value)!).equals(signature)).to.equal(true)
    }
  })

  it('refuses what is none of these', () => {
    const refused: readonly unknown[] = [
      ...[undefined, null, true, 0, 48, {}, '', ' ', [], [[...signature]], { ...signature }, signature],
      ...[
        `${hex}0`,
        `0x${hex}`,
        ` ${hex}`,
        `${hex}\n`,
        hex.slice(2),
        hex.repeat(2),
        '30'.repeat(7),
        '30'.repeat(73)
      ],
      ...[
        signature.toString('base64').replace(/=*$/, '\n'),
        `${signature.toString('base64')}=`,
        '!'.repeat(96)
      ],
      ...[
        [...signature, 256],
        [...signature.subarray(1), -1],
        [0x30, ...new Array(70).fill(1.5)],
        [...signature].map(String)
      ],
      ...[
        [0x30, ...new Array(70).fill(Number.NaN)],
        new Array(71),
        new Array(1_000_000).fill(0x30),
        '30'.repeat(1_000_000)
      ]
    ]
    for (const value of refused) expect(parseSignatureMember(value)).to.equal(undefined)
  })

  it('reads every signature in each encoding, and answers any value', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 64 }), fc.jsonValue(), (data, value) => {
        const der = recipient.sign(data, '1-any protocol-1', operator.publicKey)
        for (const encoded of [der.toString('hex'), der.toString('base64'), [...der]]) {
          expect(Buffer.from(parseSignatureMember(encoded)!).equals(der)).to.equal(true)
        }
        const parsed = parseSignatureMember(value)
        if (parsed !== undefined) expect(parsed.length).to.be.within(8, 72)
      }),
      RUNS
    )
  })
})
