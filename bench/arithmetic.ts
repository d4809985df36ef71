import { hash, randomBytes } from 'node:crypto'
import { BigNumber, ECDSA, PrivateKey, ProtoWallet, KeyDeriver as SdkKeyDeriver } from '@bsv/sdk'
import { authInvoiceNumber } from '../src/auth/brc104.js'
import { compactToDer } from '../src/curve/der.js'
import { loadCurve } from '../src/curve/load.js'
import { KeyDeriver } from '../src/keys/key-deriver.js'

/** On one core, per second. */
export interface ArithmeticFigures {
  readonly sign: number
  readonly verify: number
  /** The child key towards a counterparty that was not seen before. */
  readonly derive: number
  /** What one request needs: verify it and sign its answer, both with derived keys, in a session that exists. */
  readonly request: number
}

export interface Arithmetic {
  readonly sdk: ArithmeticFigures
  readonly ours: ArithmeticFigures
}

const PROTOCOL: [2, string] = [2, 'auth message signature']
/** Of a signed request with a small body. */
const DATA_BYTES = 600
const COUNTERPARTIES = 64
const SDK_MILLISECONDS = 120
const OWN_MILLISECONDS = 40

/** What secp256k1 costs here: @bsv/sdk in JavaScript, and what the node uses. Takes about 0.7 s. */
export async function measureArithmetic(): Promise<Arithmetic> {
  return { sdk: await measureSdk(), ours: await measureOurs() }
}

async function measureSdk(): Promise<ArithmeticFigures> {
  const key = PrivateKey.fromRandom()
  const publicKey = key.toPublicKey()
  const digest = new BigNumber(randomBytes(32).toString('hex'), 16)
  const signature = ECDSA.sign(digest, key, true)
  const deriver = new SdkKeyDeriver(key)
  const others = Array.from({ length: COUNTERPARTIES }, () => PrivateKey.fromRandom().toPublicKey())

  const other = PrivateKey.fromRandom()
  const [mine, theirs] = [new ProtoWallet(key), new ProtoWallet(other)]
  const data = Array.from(randomBytes(DATA_BYTES))
  const theirView = { protocolID: PROTOCOL, keyID: 'request', counterparty: publicKey.toString(), data }
  const signed = await theirs.createSignature(theirView)
  const counterparty = other.toPublicKey().toString()
  return {
    sign: await perSecond(SDK_MILLISECONDS, () => ECDSA.sign(digest, key, true)),
    verify: await perSecond(SDK_MILLISECONDS, () => ECDSA.verify(digest, signature, publicKey)),
    derive: await perSecond(SDK_MILLISECONDS, i =>
      deriver.derivePrivateKey(PROTOCOL, `key ${i}`, others[i % COUNTERPARTIES]!)
    ),
    request: await perSecond(SDK_MILLISECONDS, async i => {
      const common = { protocolID: PROTOCOL, counterparty, data }
      await mine.verifySignature({ ...common, keyID: 'request', signature: signed.signature })
      await mine.createSignature({ ...common, keyID: `answer ${i}` })
    })
  }
}

async function measureOurs(): Promise<ArithmeticFigures> {
  const curve = loadCurve()
  const privateKey = hash('sha256', randomBytes(32), 'buffer')
  const keys = new KeyDeriver(curve, privateKey)
  const digest = randomBytes(32)
  const signature = curve.sign(digest, privateKey)
  const others = Array.from({ length: COUNTERPARTIES }, () =>
    curve.publicKey(hash('sha256', randomBytes(32), 'buffer'))
  )
  // Remembers one counterparty, so that each of many is a new one.
  const forgetful = new KeyDeriver(curve, privateKey, 1)

  const theirs = new KeyDeriver(curve, hash('sha256', randomBytes(32), 'buffer'))
  const data = randomBytes(DATA_BYTES)
  const signed = theirs.sign(data, authInvoiceNumber('request'), keys.publicKey)
  return {
    sign: await perSecond(OWN_MILLISECONDS, () => compactToDer(curve.sign(digest, privateKey))),
    verify: await perSecond(OWN_MILLISECONDS, () => curve.verify(digest, signature, keys.publicKey)),
    derive: await perSecond(OWN_MILLISECONDS, i =>
      forgetful.linkage(others[i % COUNTERPARTIES]!, authInvoiceNumber(`key ${i}`))
    ),
    request: await perSecond(OWN_MILLISECONDS, i => {
      keys.verify(data, signed, authInvoiceNumber('request'), theirs.publicKey)
      keys.sign(data, authInvoiceNumber(`answer ${i}`), theirs.publicKey)
    })
  }
}

async function perSecond(milliseconds: number, work: (i: number) => unknown): Promise<number> {
  const begin = performance.now()
  const end = begin + milliseconds
  let count = 0
  let now = begin
  while (now < end) {
    const result = work(count++)
    if (result instanceof Promise) await result
    now = performance.now()
  }
  return (count * 1000) / (now - begin)
}
