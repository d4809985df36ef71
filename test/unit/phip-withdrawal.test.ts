import { LockingScript, PrivateKey, PublicKey, PushDrop as SdkPushDrop } from '@bsv/sdk'
import { expect } from 'chai'
import fc from 'fast-check'
import { signRoutingText, verifyRoutingSignature } from '../../federation/phip/routing-authorization.js'
import {
  createWithdrawalScript,
  signWithdrawalSpend,
  signWithdrawalText,
  verifyWithdrawalScript,
  verifyWithdrawalSignature
} from '../../federation/phip/withdrawal.js'
import { KeyDeriver } from '../../src/keys/key-deriver.js'
import { isSpentBy } from '../support/phip-spend.js'
import {
  curve,
  DOMAIN,
  operator,
  otherRecipient,
  recipient,
  withdrawalScript
} from '../support/phip-token-builder.js'

const RUNS = { numRuns: 2000 }
const TEXT = `${operator.identityKey} ${DOMAIN} ALL`
const signature = signWithdrawalText(recipient, TEXT)
const script = createWithdrawalScript(curve, { recipient: recipient.identityKey, text: TEXT, signature })

describe('withdrawals', () => {
  it('are written and read', () => {
    expect(Buffer.from(script).toString('hex')).to.equal(withdrawalScript({}).toString('hex'))
    const verification = verifyWithdrawalScript(curve, script, 'main')
    if (!verification.ok) return expect.fail(verification.check)
    expect(verification.withdrawal).to.include({ recipient: recipient.identityKey, text: TEXT })
    expect(Buffer.from(verification.withdrawal.signature).equals(signature)).to.equal(true)
    const { hostKey, domain, boxExpression } = verification.authorization
    expect([hostKey, domain, boxExpression]).to.deep.equal([operator.identityKey, DOMAIN, undefined])
  })

  it('have four fields for the SDK, and the lock of the recipient', () => {
    const { fields, lockingPublicKey } = SdkPushDrop.decode(LockingScript.fromBinary([...script]))
    expect(fields.map(field => Buffer.from(field).toString('latin1'))).to.deep.equal(
      [Buffer.from('PHIP-WITHDRAWN'), recipient.publicKey, Buffer.from(TEXT), signature].map(field =>
        Buffer.from(field).toString('latin1')
      )
    )
    const derived = PublicKey.fromString(recipient.identityKey).deriveChild(
      new PrivateKey(1),
      '1-phip withdrawal-1'
    )
    expect(lockingPublicKey.toString()).to.equal(derived.toString())
  })

  it('are lifted by their recipient only', () => {
    expect(isSpentBy(script, digest => signWithdrawalSpend(recipient, digest))).to.equal(true)
    const anyone = new KeyDeriver(curve, Buffer.from('01'.padStart(64, '0'), 'hex'))
    for (const keys of [operator, otherRecipient, anyone]) {
      expect(isSpentBy(script, digest => signWithdrawalSpend(keys, digest))).to.equal(false)
      expect(
        isSpentBy(script, digest => keys.signDigest(digest, '1-phip withdrawal-1', recipient.publicKey))
      ).to.equal(false)
    }
  })

  it('are signed by another key than authorizations', () => {
    const { identityKey } = recipient
    expect(verifyWithdrawalSignature(curve, identityKey, TEXT, signature)).to.equal(true)
    expect(verifyRoutingSignature(curve, identityKey, TEXT, signature)).to.equal(false)
    expect(verifyWithdrawalSignature(curve, identityKey, TEXT, signRoutingText(recipient, TEXT))).to.equal(
      false
    )
    expect(verifyWithdrawalSignature(curve, otherRecipient.identityKey, TEXT, signature)).to.equal(false)
    expect(verifyWithdrawalSignature(curve, identityKey, `${TEXT}x`, signature)).to.equal(false)
  })
})

describe('verifyWithdrawalScript', () => {
  it('refuses a valid withdrawal with any one byte changed, added or missing', () => {
    const how = fc.constantFrom('change', 'add', 'remove')
    fc.assert(
      fc.property(how, fc.nat(), fc.integer({ min: 1, max: 255 }), (change, place, value) => {
        const at = place % script.length
        const changed = Buffer.concat([
          script.subarray(0, at),
          Buffer.from(change === 'remove' ? [] : [script[at]! ^ value]),
          script.subarray(change === 'add' ? at : at + 1)
        ])
        expect(verifyWithdrawalScript(curve, changed, 'main').ok).to.equal(false)
      }),
      RUNS
    )
  })

  it('answers any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000, size: 'max' }), bytes => {
        expect(verifyWithdrawalScript(curve, bytes, 'main')).to.include({ ok: false, check: 'script' })
      }),
      RUNS
    )
  })
})
