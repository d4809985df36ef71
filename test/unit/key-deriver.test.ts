import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { PrivateKey, ProtoWallet, PublicKey, KeyDeriver as SdkKeyDeriver } from '@bsv/sdk'
import { expect } from 'chai'
import { compactToDer, derToCompact } from '../../src/curve/der.js'
import { loadCurve } from '../../src/curve/load.js'
import { identityKeyBytes, identityKeyFromBytes, parseIdentityKey } from '../../src/keys/identity-key.js'
import { ANYONE_PUBLIC_KEY, anyonePublicKey, KeyDeriver } from '../../src/keys/key-deriver.js'

const curve = loadCurve()
const vectors: Record<string, string>[] = JSON.parse(
  readFileSync(new URL('../vectors/wire.json', import.meta.url), 'utf8')
).vectors

const operator = deriver('11'.repeat(32))
const recipient = deriver('22'.repeat(32))
const sender = deriver('33'.repeat(32))
const server = deriver('44'.repeat(32))
const anyone = deriver('01'.padStart(64, '0'))

describe('KeyDeriver', () => {
  for (const { id, rootIdentityKey, invoiceNumber, offset, childPrivate, childPublic } of vectors) {
    if (!id?.startsWith('derive-')) continue
    it(`derives vector ${id} from every side`, () => {
      const root = [operator, recipient].find(keys => keys.identityKey === rootIdentityKey)!
      const rootPrivate = root === operator ? '11'.repeat(32) : '22'.repeat(32)
      const linkage = root.linkage(ANYONE_PUBLIC_KEY, invoiceNumber!)
      expect(hex(linkage)).to.equal(offset)
      expect(hex(curve.addToPrivateKey(bytes(rootPrivate), linkage))).to.equal(childPrivate)
      expect(hex(root.ownPublicKey(ANYONE_PUBLIC_KEY, invoiceNumber!))).to.equal(childPublic)
      expect(hex(anyone.counterpartyPublicKey(root.publicKey, invoiceNumber!))).to.equal(childPublic)
      expect(hex(anyonePublicKey(curve, root.publicKey, invoiceNumber!))).to.equal(childPublic)
      const der = root.sign(bytes('00'), invoiceNumber!, ANYONE_PUBLIC_KEY)
      const digest = createHash('sha256').update(bytes('00')).digest()
      expect(hex(derToCompact(der)!)).to.equal(hex(curve.sign(digest, bytes(childPrivate!))))
    })
  }

  for (const id of ['phip-recipient-signature-all', 'phip-recipient-signature-regex']) {
    it(`signs and verifies vector ${id}`, () => {
      const { message, invoiceNumber, signature } = vector(id)
      const data = Buffer.from(message!, 'utf8')
      expect(hex(recipient.sign(data, invoiceNumber!, ANYONE_PUBLIC_KEY))).to.equal(signature)
      expect(anyone.verify(data, bytes(signature!), invoiceNumber!, recipient.publicKey)).to.equal(true)
      expect(anyone.verify(data, bytes(signature!), invoiceNumber!, sender.publicKey)).to.equal(false)
    })
  }

  it('signs, verifies and links the BRC-104 request vector', () => {
    const { preimage, invoiceNumber, signature, keyLinkageOffset, senderChildPublicKey } = vector(
      'brc104-sendMessage-request'
    )
    const data = bytes(preimage!)
    expect(hex(sender.sign(data, invoiceNumber!, server.publicKey))).to.equal(signature)
    expect(server.verify(data, bytes(signature!), invoiceNumber!, sender.publicKey)).to.equal(true)
    expect(hex(server.linkage(sender.publicKey, invoiceNumber!))).to.equal(keyLinkageOffset)
    expect(hex(sender.linkage(server.publicKey, invoiceNumber!))).to.equal(keyLinkageOffset)
    const child = server.counterpartyPublicKey(sender.publicKey, invoiceNumber!)
    expect(hex(child)).to.equal(senderChildPublicKey)
    expect(hex(sender.ownPublicKey(server.publicKey, invoiceNumber!))).to.equal(senderChildPublicKey)
  })

  it('signs the handshake vector', () => {
    const { signedData, invoiceNumber, signatureHex } = vector('brc103-handshake')
    const der = server.sign(bytes(signedData!), invoiceNumber!, sender.publicKey)
    expect(hex(der)).to.equal(signatureHex)
  })

  it('agrees with the derivation of the SDK for 60 random pairs of keys, also beyond ASCII', () => {
    const suffixes = ['', ' ', 'é', '日本', '😀', '\u0000', 'x'.repeat(800)]
    for (let round = 0; round < 60; round++) {
      const [a, b] = [sha256(`a ${round}`), sha256(`b ${round}`)]
      const [ours, theirs] = [new KeyDeriver(curve, a), curve.publicKey(b)]
      const invoiceNumber = `2-some protocol-${round}${suffixes[round % suffixes.length]}`
      const [sdkA, sdkB] = [new PrivateKey([...a]), new PrivateKey([...b])]
      const child = sdkB.toPublicKey().deriveChild(sdkA, invoiceNumber)
      expect(hex(ours.counterpartyPublicKey(theirs, invoiceNumber))).to.equal(child.toString())
      const own = sdkA.deriveChild(sdkB.toPublicKey(), invoiceNumber).toPublicKey()
      expect(hex(ours.ownPublicKey(theirs, invoiceNumber))).to.equal(own.toString())
    }
  })

  it('makes the same signatures and linkages as a BRC-100 wallet, also towards self and anyone', async () => {
    const rootKey = '33'.repeat(32)
    const wallet = new ProtoWallet(PrivateKey.fromHex(rootKey))
    const sdk = new SdkKeyDeriver(PrivateKey.fromHex(rootKey))
    const data = [...Buffer.from('some data')]
    const counterparties = {
      self: sender.publicKey,
      anyone: ANYONE_PUBLIC_KEY,
      [server.identityKey]: server.publicKey
    }
    for (const [counterparty, publicKey] of Object.entries(counterparties)) {
      const request = { protocolID: [2, 'auth message signature'] as [2, string], keyID: 'a b', counterparty }
      const invoiceNumber = '2-auth message signature-a b'
      const { signature } = await wallet.createSignature({ ...request, data })
      const der = sender.sign(Buffer.from(data), invoiceNumber, publicKey)
      expect([...der]).to.deep.equal(signature)
      if (counterparty === 'self') continue
      const linkage = sdk.revealSpecificSecret(
        PublicKey.fromString(hex(publicKey)),
        [2, 'auth message signature'],
        'a b'
      )
      expect([...sender.linkage(publicKey, invoiceNumber)]).to.deep.equal(linkage)
    }
  })

  it('verifies only this data, this invoice number and this signer', () => {
    const data = Buffer.from('data')
    const der = sender.sign(data, '2-protocol-1', server.publicKey)
    const verify = (d: Uint8Array, s: Uint8Array, i: string, c: Uint8Array) => server.verify(d, s, i, c)
    expect(verify(data, der, '2-protocol-1', sender.publicKey)).to.equal(true)
    expect(verify(Buffer.from('Data'), der, '2-protocol-1', sender.publicKey)).to.equal(false)
    expect(verify(data, der, '2-protocol-2', sender.publicKey)).to.equal(false)
    expect(verify(data, der, '2-protocol-1', recipient.publicKey)).to.equal(false)
    expect(operator.verify(data, der, '2-protocol-1', sender.publicKey)).to.equal(false)
  })

  it('answers false to malformed signatures, keys and digests', () => {
    const digest = sha256('data')
    const der = sender.signDigest(digest, '2-protocol-1', server.publicKey)
    const key = sender.publicKey
    const verify = (d: Uint8Array, s: Uint8Array, c: Uint8Array) =>
      server.verifyDigest(d, s, '2-protocol-1', c)
    expect(verify(digest, der, key)).to.equal(true)
    expect(server.verify(Buffer.from('data'), der, '2-protocol-1', key)).to.equal(true)
    expect(verify(digest.subarray(1), der, key)).to.equal(false)
    expect(verify(digest, highS(der), key), 'high s').to.equal(false)
    for (const bad of [
      new Uint8Array(0),
      der.subarray(1),
      Buffer.concat([der, Buffer.of(0)]),
      new Uint8Array(70)
    ]) {
      expect(verify(digest, bad, key), hex(bad)).to.equal(false)
    }
    const offCurve = bytes(`02${'5'.padStart(64, '0')}`)
    for (const bad of [
      new Uint8Array(0),
      key.subarray(1),
      offCurve,
      new Uint8Array(33),
      new Uint8Array(65)
    ]) {
      expect(verify(digest, der, bad), hex(bad)).to.equal(false)
      expect(() => server.linkage(bad, '2-protocol-1'), hex(bad)).to.throw(RangeError)
      expect(() => server.sign(digest, '2-protocol-1', bad), hex(bad)).to.throw(RangeError)
    }
    expect(() => server.signDigest(digest.subarray(1), '2-protocol-1', key)).to.throw(RangeError)
  })

  it('computes a shared point once, as long as the cache holds it', () => {
    let computed = 0
    const counting = new Proxy(curve, {
      get(target, name) {
        if (name === 'sharedPoint') computed++
        const value = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      }
    })
    const keys = new KeyDeriver(counting, bytes('44'.repeat(32)), 2)
    const counts = [sender, recipient, sender, recipient, operator, recipient, sender].map(other => {
      keys.linkage(Buffer.from(other.publicKey), '2-protocol-1')
      return computed
    })
    expect(counts).to.deep.equal([1, 2, 2, 2, 3, 3, 4])
  })

  it('keeps whoever has signed something, however many others come', () => {
    const counting = loadCurve()
    let calls = 0
    const original = counting.sharedPoint.bind(counting)
    counting.sharedPoint = (privateKey, publicKey) => {
      calls++
      return original(privateKey, publicKey)
    }
    const keys = new KeyDeriver(counting, bytes('44'.repeat(32)))
    const data = bytes('00')
    const good = sender.sign(data, '2-test-1', server.publicKey)
    expect(keys.verify(data, good, '2-test-1', sender.publicKey)).to.equal(true)
    expect(calls).to.equal(1)
    for (let i = 1; i <= 1_500; i++) {
      const stranger = curve.publicKey(createHash('sha256').update(`stranger ${i}`).digest())
      keys.linkage(stranger, '2-test-1')
      expect(keys.verify(data, good, '2-test-1', stranger)).to.equal(false)
      expect(calls).to.equal(1 + i)
    }
    expect(keys.verify(data, good, '2-test-1', sender.publicKey)).to.equal(true)
    expect(calls).to.equal(1_501)
  })

  it('gives the same answers with the smallest cache', () => {
    const small = new KeyDeriver(curve, bytes('44'.repeat(32)), 1)
    for (const other of [sender, recipient, sender, operator, recipient]) {
      const expected = other.linkage(server.publicKey, '2-protocol-1')
      expect(hex(small.linkage(other.publicKey, '2-protocol-1'))).to.equal(hex(expected))
    }
  })

  it('makes MACs of its own, apart by purpose, key and data', () => {
    const data = Buffer.from('data')
    const macs = [
      server.hmac('a', data),
      server.hmac('b', data),
      sender.hmac('a', data),
      server.hmac('a', Buffer.from('Data'))
    ].map(hex)
    expect(new Set(macs).size).to.equal(4)
    expect(macs[0]).to.match(/^[0-9a-f]{64}$/)
    expect(hex(deriver('44'.repeat(32)).hmac('a', data)), 'another process').to.equal(macs[0])
  })

  it('shows no secret', () => {
    const root = bytes('5a'.repeat(32))
    const keys = new KeyDeriver(curve, root)
    keys.linkage(sender.publicKey, '2-protocol-1')
    keys.hmac('a', root)
    expect(JSON.parse(JSON.stringify(keys))).to.deep.equal({ identityKey: keys.identityKey })
    expect(Object.keys(keys)).to.have.members(['identityKey', 'publicKey'])
    expect(Reflect.ownKeys(keys)).to.have.members(['identityKey', 'publicKey'])
    const shown = inspect(keys, { showHidden: true, depth: null, maxArrayLength: null })
    expect(shown).to.contain(keys.identityKey)
    expect(shown).not.to.match(/5a5a|90, 90|rootKey|sharedPoints/i)
  })

  it('keeps its own copy of the root key, and refuses what is none', () => {
    const root = Buffer.from('44'.repeat(32), 'hex')
    const keys = new KeyDeriver(curve, root)
    root.fill(0)
    const der = keys.sign(root, '2-protocol-1', sender.publicKey)
    expect(hex(der)).to.equal(hex(server.sign(root, '2-protocol-1', sender.publicKey)))
    for (const bad of ['', '00'.repeat(32), 'ff'.repeat(32), '11'.repeat(31), '11'.repeat(33)]) {
      expect(() => new KeyDeriver(curve, bytes(bad)), bad).to.throw(RangeError)
    }
  })
})

describe('identity keys', () => {
  const key = sender.identityKey
  const uncompressed = new PrivateKey([...bytes('33'.repeat(32))])
    .toPublicKey()
    .encode(false, 'hex') as string

  it('takes 66 and 130 characters in any case and normalises them', () => {
    for (const text of [key, key.toUpperCase(), uncompressed, uncompressed.toUpperCase(), key]) {
      expect(parseIdentityKey(curve, text)).to.equal(key)
    }
  })

  const refused: [name: string, value: unknown][] = [
    ['nothing', undefined],
    ['null', null],
    ['a number', 2],
    ['an array', [key]],
    ['an object', { length: 66 }],
    ['an empty string', ''],
    ['65 characters', key.slice(1)],
    ['67 characters', `${key}0`],
    ['a blank', ` ${key.slice(1)}`],
    ['a line end', `${key.slice(0, -1)}\n`],
    ['no hex', `${key.slice(0, -1)}g`],
    ['a letter that grows in lower case', `${key.slice(0, -1)}\u0130`],
    [
      'a letter that Node decodes like the right digit',
      key.slice(0, -1) + String.fromCharCode(0x3000 + key.charCodeAt(65))
    ],
    [
      'such a letter among 130',
      uncompressed.slice(0, -1) + String.fromCharCode(0x3000 + uncompressed.charCodeAt(129))
    ],
    ['x not on the curve', `02${'5'.padStart(64, '0')}`],
    ['x above p', `02${'f'.repeat(64)}`],
    ['prefix 04 with 66 characters', `04${key.slice(2)}`],
    ['prefix 00', `00${key.slice(2)}`],
    ['hybrid prefix 06', `06${uncompressed.slice(2)}`],
    ['hybrid prefix 07', `07${uncompressed.slice(2)}`],
    ['prefix 02 with 130 characters', `02${uncompressed.slice(2)}`],
    ['130 characters off the curve', `${uncompressed.slice(0, -1)}${uncompressed.endsWith('0') ? '1' : '0'}`],
    ['130 characters with no hex', `${uncompressed.slice(0, -1)}z`]
  ]
  for (const [name, value] of refused) {
    it(`refuses: ${name}`, () => {
      expect(parseIdentityKey(curve, value)).to.equal(undefined)
      expect(parseIdentityKey(curve, value), 'again').to.equal(undefined)
    })
  }

  it('turns into 33 bytes and back, also inside a larger buffer', () => {
    const larger = Buffer.concat([Buffer.of(1, 2, 3), identityKeyBytes(key), Buffer.of(4)])
    expect(identityKeyBytes(key)).to.have.length(33)
    expect(identityKeyFromBytes(larger.subarray(3, 36))).to.equal(key)
    expect(identityKeyFromBytes(new Uint8Array(identityKeyBytes(key)))).to.equal(key)
  })
})

function deriver(privateKey: string): KeyDeriver {
  return new KeyDeriver(curve, bytes(privateKey))
}

function vector(id: string): Record<string, string> {
  const found = vectors.find(candidate => candidate.id === id)
  if (found === undefined) throw new Error(`no vector ${id}`)
  return found
}

/** The other signature that is valid for the same key and digest. */
function highS(der: Uint8Array): Buffer {
  const n = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
  const compact = Buffer.from(derToCompact(der)!)
  const s = n - BigInt(`0x${compact.toString('hex', 32)}`)
  return compactToDer(bytes(compact.toString('hex', 0, 32) + s.toString(16).padStart(64, '0')))
}

function sha256(text: string): Uint8Array {
  return createHash('sha256').update(text).digest()
}

function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'))
}

function hex(value: Uint8Array): string {
  return Buffer.from(value).toString('hex')
}
