import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { PrivateKey, ProtoWallet, SignedMessage } from '@bsv/sdk'
import { expect } from 'chai'
import { compactToDer, derToCompact } from '../../src/curve/der.js'
import { loadCurve } from '../../src/curve/load.js'
import { ANYONE_PUBLIC_KEY, KeyDeriver } from '../../src/keys/key-deriver.js'
import { signPortably, verifyPortableSignature } from '../../src/keys/portable-signature.js'

interface Vector {
  readonly id: string
  readonly signer: string
  readonly signedText: string
  readonly invoiceNumber: string
  readonly blobHex: string
  readonly base64: string
}

const IDS = [
  'origin-signature',
  'sender-authorization',
  'permission',
  'acknowledgement',
  'host-attestation-brc104',
  'host-attestation-authrite'
]
const vectors: Vector[] = JSON.parse(
  readFileSync(new URL('../vectors/wire.json', import.meta.url), 'utf8')
).vectors.filter((vector: Vector) => IDS.includes(vector.id))

const curve = loadCurve()
const keys = new Map(
  ['22', '33', '44'].map(byte => {
    const deriver = new KeyDeriver(curve, Buffer.from(byte.repeat(32), 'hex'))
    return [deriver.identityKey, deriver]
  })
)
const signer = new KeyDeriver(curve, Buffer.from('33'.repeat(32), 'hex'))
const TEXT = '["peerserv message",1]'

describe('portable signatures', () => {
  it('has all the vectors', () => {
    expect(vectors.map(vector => vector.id)).to.have.members(IDS)
  })

  for (const vector of vectors) {
    describe(`vector ${vector.id}`, () => {
      const blob = Buffer.from(vector.blobHex, 'hex')

      it('verifies, and is made of the same bytes here', () => {
        expect(blob.toString('base64')).to.equal(vector.base64)
        expect(verify(vector.signer, vector.signedText, vector.base64)).to.equal(true)
        const der = keys
          .get(vector.signer)!
          .sign(Buffer.from(vector.signedText, 'utf8'), vector.invoiceNumber, ANYONE_PUBLIC_KEY)
        expect(blob.subarray(70).toString('hex')).to.equal(der.toString('hex'))
      })

      it('fails with one bit of any byte changed', () => {
        for (let at = 0; at < blob.length; at++) {
          const changed = Buffer.from(blob)
          changed[at]! ^= 1
          expect(verify(vector.signer, vector.signedText, changed.toString('base64')), `byte ${at}`).to.equal(
            false
          )
        }
      })

      it('fails for another signer and another text', () => {
        for (const other of keys.keys()) {
          expect(verify(other, vector.signedText, vector.base64)).to.equal(other === vector.signer)
        }
        for (const text of ['', `${vector.signedText} `, vector.signedText.replace('1', '2')]) {
          expect(verify(vector.signer, text, vector.base64)).to.equal(false)
        }
      })

      it('fails with the high s twin of its signature', () => {
        const compact = Buffer.from(derToCompact(blob.subarray(70))!)
        const n = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
        const s = n - BigInt(`0x${compact.toString('hex', 32)}`)
        const der = compactToDer(Buffer.from(compact.toString('hex', 0, 32) + s.toString(16), 'hex'))
        const twin = Buffer.concat([blob.subarray(0, 70), der]).toString('base64')
        expect(verify(vector.signer, vector.signedText, twin)).to.equal(false)
      })
    })
  }

  it('signs what it verifies, differently each time', () => {
    const text = '["peerserv message",1,"é 😀"]'
    const made = Array.from({ length: 50 }, () => signPortably(signer, text))
    expect(new Set(made).size).to.equal(50)
    for (const signature of made) expect(verify(signer.identityKey, text, signature)).to.equal(true)
  })

  it('takes what a BRC-100 wallet makes, and the wallet what is made here', async () => {
    const protocolID: [2, string] = [2, 'peerserv proof']
    const wallet = new ProtoWallet(PrivateKey.fromHex('33'.repeat(32)))
    const keyId = createHash('sha256').update('key id').digest()
    const data = [...Buffer.from(TEXT, 'utf8')]
    const { signature } = await wallet.createSignature({
      protocolID,
      keyID: keyId.toString('base64'),
      counterparty: 'anyone',
      data
    })
    expect(verify(signer.identityKey, TEXT, assembled(keyId, Buffer.from(signature)))).to.equal(true)

    const blob = Buffer.from(signPortably(signer, TEXT), 'base64')
    const { valid } = await new ProtoWallet('anyone').verifySignature({
      protocolID,
      keyID: blob.toString('base64', 38, 70),
      counterparty: signer.identityKey,
      signature: [...blob.subarray(70)],
      data
    })
    expect(valid).to.equal(true)
  })

  it('fails for the protocol of BRC-77, whose layout it has', () => {
    const data = [...Buffer.from(TEXT, 'utf8')]
    const foreign = SignedMessage.sign(data, PrivateKey.fromHex('33'.repeat(32)))
    expect(SignedMessage.verify(data, foreign)).to.equal(true)
    expect(foreign.slice(0, 4)).to.deep.equal([0x42, 0x42, 0x33, 0x01])
    const signature = Buffer.from(foreign).toString('base64')
    expect(verify(signer.identityKey, TEXT, signature)).to.equal(false)
  })

  it('fails where the DER is not strict, though r and s are right', () => {
    const blob = Buffer.from(signPortably(signer, TEXT), 'base64')
    const der = blob.subarray(70)
    const r = der.subarray(2, 4 + der[3]!)
    const s = der.subarray(4 + der[3]!)
    const padded = Buffer.concat([Buffer.of(0x02, s[1]! + 1, 0), s.subarray(2)])
    const other = [
      Buffer.concat([Buffer.of(0x30, r.length + padded.length), r, padded]),
      Buffer.concat([Buffer.of(0x30, 0x81, r.length + s.length), r, s]),
      Buffer.concat([Buffer.of(0x30, r.length + s.length + 1), r, s, Buffer.of(0)]),
      Buffer.concat([der, Buffer.of(0)])
    ]
    expect(verify(signer.identityKey, TEXT, blob.toString('base64'))).to.equal(true)
    for (const bad of other) {
      const signature = Buffer.concat([blob.subarray(0, 70), bad]).toString('base64')
      expect(verify(signer.identityKey, TEXT, signature), bad.toString('hex')).to.equal(false)
    }
  })

  it('fails for other spellings of the same bytes', () => {
    // This one is padded, and has a character that base64 and base64url spell differently.
    const { base64, signer: by, signedText } = vectors.find(vector => vector.id === 'origin-signature')!
    expect(base64).to.match(/[+/].*[^=]=$/)
    expect(verify(by, signedText, base64)).to.equal(true)
    const bytes = Buffer.from(base64, 'base64')
    const unusedBits = `${base64.slice(0, -2)}x=`
    expect(Buffer.from(unusedBits, 'base64').equals(bytes)).to.equal(true)
    const spellings = [
      unusedBits,
      base64.slice(0, -1),
      `${base64}=`,
      `${base64}\n`,
      ` ${base64}`,
      `${base64.slice(0, 80)}\n${base64.slice(80)}`,
      base64.replaceAll('+', '-').replaceAll('/', '_'),
      bytes.toString('hex'),
      bytes.toString('latin1')
    ]
    for (const spelling of spellings) expect(verify(by, signedText, spelling), spelling).to.equal(false)
  })

  it('fails, and does not throw, for everything else', () => {
    const valid = signPortably(signer, TEXT)
    const values: unknown[] = [
      undefined,
      null,
      0,
      true,
      {},
      [valid],
      Buffer.from(valid, 'base64'),
      { toString: () => valid, length: valid.length },
      '',
      'A'.repeat(104),
      '='.repeat(192),
      '\u0000'.repeat(120),
      '\ud800'.repeat(120),
      valid.slice(0, -4),
      valid.slice(4),
      valid.repeat(100_000)
    ]
    for (const value of values) expect(verify(signer.identityKey, TEXT, value)).to.equal(false)
  })

  it('fails, and does not throw, for a signer that is no key', () => {
    const offCurve = `02${'5'.padStart(64, '0')}`
    const blob = Buffer.from(signPortably(signer, TEXT), 'base64')
    Buffer.from(offCurve, 'hex').copy(blob, 4)
    for (const by of [offCurve, '', 'zz', signer.identityKey.toUpperCase().slice(1)]) {
      expect(verify(by, TEXT, blob.toString('base64')), by).to.equal(false)
    }
  })
})

function verify(by: string, text: string, signature: unknown): boolean {
  return verifyPortableSignature(curve, by, text, signature)
}

function assembled(keyId: Uint8Array, der: Uint8Array): string {
  const version = Buffer.from('42423301', 'hex')
  return Buffer.concat([version, signer.publicKey, Buffer.of(0), keyId, der]).toString('base64')
}
