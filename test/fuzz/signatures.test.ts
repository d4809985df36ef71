import { PublicKey, Signature } from '@bsv/sdk'
import { expect } from 'chai'
import fc from 'fast-check'
import { compactToDer, derToCompact } from '../../src/curve/der.js'
import { loadCurve } from '../../src/curve/load.js'
import { parseIdentityKey } from '../../src/keys/identity-key.js'
import { verifyPortableSignature } from '../../src/keys/portable-signature.js'
import { anyJson, describeFuzz, inputs, mutatedBytes, mutatedText, timely } from '../support/fuzz.js'
import { host, sender, stranger } from '../support/origin-parties.js'
import { portable } from '../support/origin-portable.js'
import { sha256 } from '../support/phip-token-builder.js'

const curves = [loadCurve('native'), loadCurve('webassembly')]
const [curve] = curves
const TEXT = '["peerserv message",1]'

describeFuzz('fuzz: DER signatures', () => {
  const genuine = ['a', 'b', 'c', 'd'].map(text =>
    sender.sign(Buffer.from(text), '2-fuzz test-1', host.publicKey)
  )
  const integer = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 34 }),
    fc.constantFrom(Buffer.of(0), Buffer.alloc(33, 1))
  )
  const made = fc
    .tuple(integer, integer)
    .map(([r, s]) =>
      Buffer.concat([Buffer.of(0x30, r.length + s.length + 4, 2, r.length), r, Buffer.of(2, s.length), s])
    )
  const bytes = fc.oneof(mutatedBytes(fc.constantFrom(...genuine)), made, fc.uint8Array({ maxLength: 80 }))

  it('are read in one form only, and to the same numbers as @bsv/sdk reads', () => {
    fc.assert(
      fc.property(bytes, input => {
        const compact = timely(() => derToCompact(input))
        if (compact === undefined) return
        expect(compactToDer(compact).equals(input)).to.equal(true)
        const { r, s } = Signature.fromDER([...input])
        expect(Buffer.from(compact).toString('hex')).to.equal(r.toHex(32) + s.toHex(32))
      }),
      inputs()
    )
  })

  it('are good or not, whichever implementation of the curve is asked', () => {
    const digest = sha256(Buffer.from('a'))
    const key = host.counterpartyPublicKey(sender.publicKey, '2-fuzz test-1')
    fc.assert(
      fc.property(fc.oneof(mutatedBytes(fc.constant(genuine[0]!)), fc.constant(genuine[0]!)), input => {
        const compact = derToCompact(input)
        if (compact === undefined) return
        const answers = curves.map(one => timely(() => one.verify(digest, compact, key)))
        expect(answers).to.deep.equal(new Array(2).fill(genuine[0]!.equals(input)))
      }),
      inputs()
    )
  })
})

describeFuzz('fuzz: portable signatures', () => {
  const genuine = portable(sender, TEXT, 'fuzz')
  const bytes = Buffer.from(genuine, 'base64')
  const texts = fc.oneof(
    { weight: 4, arbitrary: mutatedBytes(fc.constant(bytes)).map(changed => changed.toString('base64')) },
    { weight: 2, arbitrary: mutatedText(fc.constant(genuine)) },
    { weight: 1, arbitrary: anyJson() }
  )

  it('are the one that was made, or none', () => {
    expect(verifyPortableSignature(curve!, sender.identityKey, TEXT, genuine)).to.equal(true)
    fc.assert(
      fc.property(texts, fc.constantFrom(sender, host, stranger), (signature, by) => {
        const isGood = timely(() => verifyPortableSignature(curve!, by.identityKey, TEXT, signature))
        expect(isGood).to.equal(signature === genuine && by === sender)
      }),
      inputs()
    )
  })

  it('speak for one text', () => {
    fc.assert(
      fc.property(fc.oneof(mutatedText(fc.constant(TEXT)), fc.string({ unit: 'binary' })), text => {
        const isGood = timely(() => verifyPortableSignature(curve!, sender.identityKey, text, genuine))
        expect(isGood).to.equal(text === TEXT)
      }),
      inputs()
    )
  })
})

describeFuzz('fuzz: identity keys', () => {
  const compressed = sender.identityKey
  const uncompressed = String(PublicKey.fromString(compressed).encode(false, 'hex'))
  const keys = fc.oneof(
    mutatedText(fc.constantFrom(compressed, uncompressed, compressed.toUpperCase())),
    mutatedBytes(fc.constantFrom(Buffer.from(compressed, 'hex'), Buffer.from(uncompressed, 'hex'))).map(
      bytes => bytes.toString('hex')
    ),
    anyJson()
  )

  it('are the points that @bsv/sdk finds, in one spelling', () => {
    fc.assert(
      fc.property(keys, text => {
        const key = timely(() => parseIdentityKey(curve!, text))
        if (key === undefined) return
        expect(key).to.match(/^0[23][0-9a-f]{64}$/)
        expect(PublicKey.fromString(String(text).toLowerCase()).toString()).to.equal(key)
        expect(parseIdentityKey(curve!, key)).to.equal(key)
      }),
      inputs()
    )
  })
})
