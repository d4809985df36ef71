import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { LockingScript, PushDrop as SdkPushDrop } from '@bsv/sdk'
import { expect } from 'chai'
import { decodePushDrop } from '../../federation/phip/push-drop.js'
import { TOKEN_CHECKS, verifyTokenScript } from '../../federation/phip/verify-token.js'
import { verifyWithdrawalScript, WITHDRAWAL_CHECKS } from '../../federation/phip/withdrawal.js'
import { derToCompact } from '../../src/curve/der.js'
import { curve } from '../support/phip-token-builder.js'
import { type PhipVectors, phipVectors } from '../support/phip-variants.js'

const vectors: PhipVectors = JSON.parse(
  readFileSync(new URL('../vectors/phip-tokens.json', import.meta.url), 'utf8')
)
const { valid, invalid, withdrawals } = vectors

describe('test/vectors/phip-tokens.json', () => {
  it('is what its generator makes', () => {
    // Compared as text first: a deep comparison of this size takes a second, and a difference in it cannot be read.
    const [file, made] = [vectors, phipVectors()].map(all => JSON.stringify(all))
    if (file !== made) expect(vectors).to.deep.equal(phipVectors())
  })

  it('has many, each once, and every check', () => {
    expect(invalid.length).to.be.at.least(500)
    const all = [...valid, ...invalid, ...withdrawals.valid, ...withdrawals.invalid]
    expect(new Set(all.map(({ id }) => id)).size).to.equal(all.length)
    expect(new Set(invalid.map(({ network, script }) => network + script)).size).to.equal(invalid.length)
    expect(new Set(invalid.map(({ check }) => check))).to.deep.equal(new Set(TOKEN_CHECKS))
    expect(new Set(withdrawals.invalid.map(({ check }) => check))).to.deep.equal(new Set(WITHDRAWAL_CHECKS))
  })

  for (const check of TOKEN_CHECKS) {
    it(`refuses tokens for ${check}`, () => {
      for (const { id, what, network, script } of invalid.filter(vector => vector.check === check)) {
        const verification = verifyTokenScript(curve, bytes(script), network)
        expect(verification, `${id}: ${what}`).to.include({ ok: false, check })
      }
    })
  }

  it('takes the valid tokens', () => {
    for (const { id, what, network, script, content } of valid) {
      const verification = verifyTokenScript(curve, bytes(script), network)
      if (!verification.ok) return expect.fail(`${id}: ${what}: ${verification.check}`)
      const { token } = verification
      expect({
        ...token,
        recipientSignature: hex(token.recipientSignature),
        boxExpression: token.boxExpression ?? null
      }).to.deep.equal(content)
    }
  })

  it('has valid tokens that the SDK reads alike', () => {
    for (const { id, script, position } of valid) {
      const { fields, lockingPublicKey } = SdkPushDrop.decode(LockingScript.fromHex(script), position)
      const decoded = decodePushDrop(bytes(script))
      expect(
        fields.map(field => hex(Uint8Array.from(field))),
        id
      ).to.deep.equal(decoded?.fields.map(hex))
      expect(lockingPublicKey.toString()).to.equal(hex(decoded!.lockingKey))
    }
  })

  it('has tokens with moved bytes under a signature that is good for the joined fields', () => {
    const moved = invalid.filter(({ id }) => id.includes('bytes-moved'))
    expect(moved.length).to.be.above(30)
    for (const { id, script } of moved) {
      const { fields, lockingKey } = decodePushDrop(bytes(script))!
      const digest = createHash('sha256')
        .update(Buffer.concat(fields.slice(0, -1)))
        .digest()
      expect(curve.verify(digest, derToCompact(fields.at(-1)!)!, lockingKey), id).to.equal(true)
    }
  })

  for (const check of WITHDRAWAL_CHECKS) {
    it(`refuses withdrawals for ${check}`, () => {
      for (const { id, what, network, script } of withdrawals.invalid.filter(
        vector => vector.check === check
      )) {
        const verification = verifyWithdrawalScript(curve, bytes(script), network)
        expect(verification, `${id}: ${what}`).to.include({ ok: false, check })
      }
    })
  }

  it('takes the valid withdrawals', () => {
    for (const { id, network, script, content } of withdrawals.valid) {
      const verification = verifyWithdrawalScript(curve, bytes(script), network)
      if (!verification.ok) return expect.fail(`${id}: ${verification.check}`)
      const { withdrawal } = verification
      expect({ ...withdrawal, signature: hex(withdrawal.signature) }).to.deep.equal(content)
    }
  })

  it('takes no token for a withdrawal, and no withdrawal for a token', () => {
    for (const { script, network } of valid) {
      expect(verifyWithdrawalScript(curve, bytes(script), network)).to.include({
        ok: false,
        check: 'identifier'
      })
    }
    for (const { script, network } of withdrawals.valid) {
      expect(verifyTokenScript(curve, bytes(script), network)).to.include({ ok: false, check: 'identifier' })
    }
  })
})

function bytes(text: string): Buffer {
  return Buffer.from(text, 'hex')
}

function hex(data: Uint8Array): string {
  return Buffer.from(data).toString('hex')
}
