import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { BigNumber, ECDSA, PrivateKey, PublicKey, Curve as SdkCurve, Signature } from '@bsv/sdk'
import { expect } from 'chai'
import type { Curve } from '../../src/curve/curve.js'
import { loadCurve } from '../../src/curve/load.js'

const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
const G = bytes('0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798')
const MINUS_G = bytes('0379be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798')
const X_OFF_CURVE = '0000000000000000000000000000000000000000000000000000000000000005'
const EDGES: Record<string, Uint8Array> = {
  '0': scalar(0n),
  '1': scalar(1n),
  'n-1': scalar(N - 1n),
  n: scalar(N),
  'n+1': scalar(N + 1n),
  'all ff': scalar(2n ** 256n - 1n)
}
/** 65-byte forms of one key, for the forms that are refused. */
const UNCOMPRESSED = bytes(new PrivateKey(7).toPublicKey().encode(false, 'hex') as string)

const webassembly = loadCurve('webassembly')
const native = loadNative()
const curves = native === undefined ? [webassembly] : [native, webassembly]

describe('loadCurve', () => {
  it('takes the native addon where it loads, and what is asked for', () => {
    expect(loadCurve().name).to.equal(native === undefined ? 'webassembly' : 'native')
    expect(webassembly.name).to.equal('webassembly')
    if (process.platform === 'linux' && process.arch === 'x64') expect(native?.name).to.equal('native')
  })

  it('takes WebAssembly, never a slow third implementation, where the native addon does not load', async () => {
    const program = `
      const { loadCurve } = await import('./src/curve/load.ts')
      let native = 'loaded'
      try { loadCurve('native') } catch (error) { native = error.message }
      console.log(JSON.stringify([loadCurve().name, native]))`
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '--eval', program],
      {
        cwd: new URL('../..', import.meta.url),
        env: { ...process.env, SECP256K1_PREBUILD: '/nonexistent' }
      }
    )
    expect(JSON.parse(stdout)).to.deep.equal([
      'webassembly',
      'the native secp256k1 addon does not load on this platform'
    ])
  })
})

for (const curve of curves) {
  describe(`curve: ${curve.name}`, () => {
    it('knows which scalars are private keys', () => {
      const valid = Object.entries(EDGES).filter(([, value]) => curve.isPrivateKey(value))
      expect(valid.map(([name]) => name)).to.deep.equal(['1', 'n-1'])
      for (const length of [0, 31, 33]) {
        const wrong = new Uint8Array(length).fill(1)
        expect(curve.isPrivateKey(wrong), `${length} bytes`).to.equal(false)
      }
    })

    it('computes with the edge scalars', () => {
      const p = curve.publicKey(scalar(7n))
      expect(hex(curve.publicKey(EDGES['1']!))).to.equal(hex(G))
      expect(hex(curve.publicKey(EDGES['n-1']!))).to.equal(hex(MINUS_G))
      expect(hex(curve.sharedPoint(EDGES['1']!, p))).to.equal(hex(p))
      expect(hex(curve.sharedPoint(EDGES['n-1']!, p))).to.equal(hex(negated(p)))
      expect(hex(curve.addToPublicKey(p, EDGES['0']!))).to.equal(hex(p))
      expect(hex(curve.addToPublicKey(p, EDGES['n-1']!))).to.equal(hex(curve.publicKey(scalar(6n))))
      expect(hex(curve.addToPrivateKey(scalar(7n), EDGES['0']!))).to.equal(hex(scalar(7n)))
      expect(hex(curve.addToPrivateKey(scalar(7n), EDGES['n-1']!))).to.equal(hex(scalar(6n)))
      expect(hex(curve.addToPrivateKey(EDGES['n-1']!, EDGES['n-1']!))).to.equal(hex(scalar(N - 2n)))
    })

    it('throws RangeError for scalars out of range or of the wrong length', () => {
      const digest = new Uint8Array(32)
      const wrongLengths = [0, 31, 33, 64].map(length => new Uint8Array(length).fill(1))
      const outOfRange = [EDGES.n!, EDGES['n+1']!, EDGES['all ff']!, ...wrongLengths]
      for (const key of [EDGES['0']!, ...outOfRange]) {
        expect(() => curve.publicKey(key), hex(key)).to.throw(RangeError)
        expect(() => curve.sharedPoint(key, G), hex(key)).to.throw(RangeError)
        expect(() => curve.addToPrivateKey(key, scalar(1n)), hex(key)).to.throw(RangeError)
        expect(() => curve.sign(digest, key), hex(key)).to.throw(RangeError)
      }
      for (const tweak of outOfRange) {
        expect(() => curve.addToPublicKey(G, tweak), hex(tweak)).to.throw(RangeError)
        expect(() => curve.addToPrivateKey(scalar(1n), tweak), hex(tweak)).to.throw(RangeError)
      }
      for (const wrong of wrongLengths) {
        expect(() => curve.sign(wrong, scalar(1n)), `digest of ${wrong.length}`).to.throw(RangeError)
      }
    })

    it('throws RangeError where the result is infinity or zero', () => {
      expect(() => curve.addToPublicKey(G, EDGES['n-1']!)).to.throw(RangeError)
      expect(() => curve.addToPublicKey(MINUS_G, EDGES['1']!)).to.throw(RangeError)
      expect(() => curve.addToPrivateKey(EDGES['1']!, EDGES['n-1']!)).to.throw(RangeError)
    })

    it('refuses what is not a compressed point of the curve', () => {
      const x = hex(G).slice(2)
      const bad = {
        'x not on the curve': bytes(`02${X_OFF_CURVE}`),
        'x above p': bytes(`02${'ff'.repeat(32)}`),
        ...Object.fromEntries(
          ['00', '01', '04', '05', '06', '07', 'ff'].map(p => [`prefix ${p}`, bytes(p + x)])
        ),
        ...Object.fromEntries([0, 1, 32, 34, 64, 65].map(n => [`${n} bytes`, new Uint8Array(n).fill(2)])),
        uncompressed: UNCOMPRESSED
      }
      const digest = new Uint8Array(32)
      const signature = curve.sign(digest, scalar(7n))
      for (const [name, key] of Object.entries(bad)) {
        expect(curve.isPublicKey(key), name).to.equal(false)
        expect(curve.verify(digest, signature, key), name).to.equal(false)
        if (name !== 'uncompressed') {
          expect(curve.verifyDerived(digest, signature, key, scalar(1n)), name).to.equal(false)
        }
        expect(() => curve.sharedPoint(scalar(1n), key), name).to.throw(RangeError)
        expect(() => curve.addToPublicKey(key, scalar(1n)), name).to.throw(RangeError)
        if (name !== 'uncompressed') expect(() => curve.compress(key), name).to.throw(RangeError)
      }
      expect(curve.isPublicKey(G)).to.equal(true)
      expect(curve.isPublicKey(MINUS_G)).to.equal(true)
    })

    it('compresses 33 and 65 bytes, but no hybrid forms and no point off the curve', () => {
      const compressed = hex(curve.publicKey(scalar(7n)))
      expect(hex(curve.compress(UNCOMPRESSED))).to.equal(compressed)
      expect(hex(curve.compress(bytes(compressed)))).to.equal(compressed)
      for (const prefix of [0, 2, 3, 5, 6, 7]) {
        const other = UNCOMPRESSED.slice()
        other[0] = prefix
        expect(() => curve.compress(other), `prefix ${prefix}`).to.throw(RangeError)
      }
      const offCurve = UNCOMPRESSED.slice()
      offCurve[64]! ^= 1
      expect(() => curve.compress(offCurve)).to.throw(RangeError)
    })

    it('signs with low s, and verifies nothing else', () => {
      const random = randomBytes('low s')
      for (let round = 0; round < 200; round++) {
        const key = random(32)
        const digest = random(32)
        const publicKey = curve.publicKey(key)
        const signature = curve.sign(digest, key)
        const s = number(signature.subarray(32))
        expect(s <= N / 2n).to.equal(true)
        expect(curve.verify(digest, signature, publicKey)).to.equal(true)
        const twin = join(signature.subarray(0, 32), scalar(N - s))
        expect(curve.verify(digest, twin, publicKey), 'high s').to.equal(false)
        const changed = signature.slice()
        changed[round % 64]! ^= 1
        expect(curve.verify(digest, changed, publicKey), 'changed').to.equal(false)
      }
    })

    it('signs digests above n as the SDK does', () => {
      for (const digest of [...Object.values(EDGES), scalar(N + 0xbfn)]) {
        const expected = ECDSA.sign(new BigNumber([...digest]), new PrivateKey(7), true)
        const signature = curve.sign(digest, scalar(7n))
        expect(hex(signature)).to.equal(expected.r.toHex(32) + expected.s.toHex(32))
        expect(curve.verify(digest, signature, curve.publicKey(scalar(7n)))).to.equal(true)
      }
    })

    it('answers false to malformed signatures and digests', () => {
      const key = scalar(7n)
      const digest = new Uint8Array(32).fill(9)
      const publicKey = curve.publicKey(key)
      const signature = curve.sign(digest, key)
      const r = signature.subarray(0, 32)
      const s = signature.subarray(32)
      const malformed = [new Uint8Array(0), r, signature.subarray(0, 63), join(signature, new Uint8Array(1))]
      for (const edge of Object.values(EDGES)) malformed.push(join(edge, s), join(r, edge), join(edge, edge))
      for (const bad of malformed) {
        expect(curve.verify(digest, bad, publicKey), hex(bad)).to.equal(false)
        expect(curve.verifyDerived(digest, bad, publicKey, scalar(0n)), hex(bad)).to.equal(false)
      }
      for (const length of [0, 31, 33]) {
        const wrong = new Uint8Array(length).fill(9)
        expect(curve.verify(wrong, signature, publicKey)).to.equal(false)
        expect(curve.verifyDerived(wrong, signature, publicKey, scalar(0n))).to.equal(false)
        expect(curve.verifyDerived(digest, signature, publicKey, wrong.fill(0))).to.equal(false)
      }
    })

    it('verifies under a derived key exactly what is valid under it when it is computed', () => {
      const random = randomBytes('derived')
      for (let round = 0; round < 200; round++) {
        const [key, digest] = [random(32), random(32)]
        const tweak = round < 20 ? Object.values(EDGES)[round % 6]! : random(32)
        const root = curve.publicKey(key)
        const isTweak = number(tweak) < N
        const child = isTweak ? curve.addToPrivateKey(key, tweak) : key
        const derived = isTweak ? curve.addToPublicKey(root, tweak) : root
        const good = curve.sign(digest, child)
        const changed = good.slice()
        changed[round % 64]! ^= 1 << (round % 8)
        const twin = join(good.subarray(0, 32), scalar(N - number(good.subarray(32))))
        for (const signature of [good, changed, twin, curve.sign(digest, random(32))]) {
          const expected = isTweak && curve.verify(digest, signature, derived)
          expect(expected, hex(signature)).to.equal(signature === good && isTweak)
          for (const form of [root, curve.uncompress(root)]) {
            expect(curve.verifyDerived(digest, signature, form, tweak), hex(signature)).to.equal(expected)
          }
        }
      }
    })

    it('verifies under a derived key what the SDK verifies under it', () => {
      const random = randomBytes('derived, SDK')
      for (let round = 0; round < 20; round++) {
        const [key, tweak] = [random(32), random(32)]
        const digest = new BigNumber([...random(32)])
        const { g } = new SdkCurve()
        const root = new PrivateKey([...key]).toPublicKey()
        const child = new PrivateKey([...curve.addToPrivateKey(key, tweak)])
        const derived = new PublicKey(root.add(g.mul(new BigNumber([...tweak]))))
        const { r, s } = ECDSA.sign(digest, child, true)
        expect(ECDSA.verify(digest, new Signature(r, s), derived)).to.equal(true)
        const signature = bytes(r.toHex(32) + s.toHex(32))
        expect(
          curve.verifyDerived(bytes(digest.toHex(32)), signature, bytes(root.toString()), tweak)
        ).to.equal(true)
      }
    })

    it('verifies under a derived key where the digest under the root key is zero, or is taken mod n', () => {
      const [d, k] = [7n, 5n]
      const r = number(curve.publicKey(scalar(k)).subarray(1)) % N
      const tweak = 2n ** 255n
      for (const wanted of [0n, 1n, N - 1n]) {
        // s = (wanted + r·d)/k, so the digest is wanted - r·tweak.
        const s = ((wanted + r * d) * inverse(k)) % N
        const signature = join(scalar(r), scalar(s > N / 2n ? N - s : s))
        const digest = (((wanted - r * tweak) % N) + N) % N
        const derived = curve.addToPublicKey(curve.publicKey(scalar(d)), scalar(tweak))
        expect(curve.verify(scalar(digest), signature, derived), `${wanted}`).to.equal(true)
        const root = curve.publicKey(scalar(d))
        expect(curve.verifyDerived(scalar(digest), signature, root, scalar(tweak)), `${wanted}`).to.equal(
          true
        )
        expect(curve.verifyDerived(scalar(digest ^ 1n), signature, root, scalar(tweak))).to.equal(false)
      }
      const above = scalar(N + 0xbfn)
      const signature = curve.sign(above, scalar(7n + 9n))
      expect(curve.verifyDerived(above, signature, curve.publicKey(scalar(7n)), scalar(9n))).to.equal(true)
    })

    it('uncompresses 33 bytes and nothing else', () => {
      expect(hex(curve.uncompress(curve.publicKey(scalar(7n))))).to.equal(hex(UNCOMPRESSED))
      for (const bad of [UNCOMPRESSED, bytes(`02${X_OFF_CURVE}`), G.subarray(1), new Uint8Array(0)]) {
        expect(() => curve.uncompress(bad), hex(bad)).to.throw(RangeError)
      }
    })

    it('returns arrays of its own and leaves arguments alone', () => {
      const key = Buffer.from(scalar(7n))
      const tweak = Buffer.from(scalar(9n))
      const sum = curve.addToPrivateKey(key, tweak)
      expect(number(sum)).to.equal(16n)
      expect([number(key), number(tweak)]).to.deep.equal([7n, 9n])
      const first = curve.sharedPoint(scalar(2n), G)
      const copy = hex(first)
      curve.sharedPoint(scalar(3n), G)
      expect(hex(first)).to.equal(copy)
    })

    it('still works after thousands of points off the curve', () => {
      const off = bytes(`02${X_OFF_CURVE}`)
      const digest = new Uint8Array(32)
      const signature = curve.sign(digest, scalar(7n))
      for (let round = 0; round < 4000; round++) {
        curve.verify(digest, signature, off)
        curve.isPublicKey(off)
        expectRangeError(() => curve.compress(off))
        expectRangeError(() => curve.sharedPoint(scalar(1n), off))
        expectRangeError(() => curve.addToPublicKey(off, scalar(1n)))
      }
      expect(hex(curve.publicKey(scalar(1n)))).to.equal(hex(G))
    })

    it('agrees with the SDK in 240 random operations', () => {
      const random = randomBytes('sdk')
      const { g, n } = new SdkCurve()
      for (let round = 0; round < 40; round++) {
        const a = random(32)
        const b = random(32)
        const digest = random(32)
        const sdkA = new PrivateKey([...a])
        const sdkB = new PrivateKey([...b])
        const publicA = curve.publicKey(a)
        const publicB = curve.publicKey(b)
        expect(hex(publicA)).to.equal(sdkA.toPublicKey().toString())
        expect(hex(curve.sharedPoint(a, publicB))).to.equal(
          sdkA.deriveSharedSecret(sdkB.toPublicKey()).encode(true, 'hex')
        )
        expect(hex(curve.addToPublicKey(publicA, b))).to.equal(
          sdkA.toPublicKey().add(g.mul(sdkB)).encode(true, 'hex')
        )
        expect(hex(curve.addToPrivateKey(a, b))).to.equal(sdkA.add(sdkB).umod(n).toHex(32))
        const signature = curve.sign(digest, a)
        const sdkSignature = ECDSA.sign(new BigNumber([...digest]), sdkA, true)
        expect(hex(signature)).to.equal(sdkSignature.r.toHex(32) + sdkSignature.s.toHex(32))
        const back = new Signature(
          new BigNumber([...signature.subarray(0, 32)]),
          new BigNumber([...signature.subarray(32)])
        )
        const verified = ECDSA.verify(new BigNumber([...digest]), back, PublicKey.fromString(hex(publicA)))
        expect(verified).to.equal(true)
      }
    })
  })
}

describe('curve: native and WebAssembly', () => {
  it('agree in 10,000 random operations, valid and not', function () {
    if (native === undefined) this.skip()
    const random = randomBytes('operations')
    const seen: Record<string, number> = {}
    for (let round = 0; round < 10_000; round++) {
      const operation = randomOperation(random)
      const expected = outcome(() => operation.run(native))
      const actual = outcome(() => operation.run(webassembly))
      if (actual !== expected) expect(actual, `${operation.name}, round ${round}`).to.equal(expected)
      const kind = `${operation.name}: ${/^[0-9a-f]+$/.test(expected) ? 'bytes' : expected}`
      seen[kind] = (seen[kind] ?? 0) + 1
    }
    // Each operation must have met both of its ends, or this test says less than its name.
    const names = [
      'publicKey',
      'compress',
      'uncompress',
      'sharedPoint',
      'addToPublicKey',
      'addToPrivateKey',
      'sign'
    ]
    const ends = names.flatMap(name => [`${name}: RangeError`, `${name}: bytes`])
    const answers = ['isPrivateKey', 'isPublicKey', 'verify', 'verifyDerived'].flatMap(name => [
      `${name}: false`,
      `${name}: true`
    ])
    expect(Object.keys(seen)).to.have.members([...ends, ...answers])
  })
})

interface Operation {
  readonly name: string
  run(curve: Curve): Uint8Array | boolean
}

function randomOperation(random: (length: number) => Uint8Array): Operation {
  const choice = random(1)[0]! % 11
  const scalars = [randomScalar(random), randomScalar(random)] as const
  const [a, b] = scalars
  if (choice === 0) return { name: 'isPrivateKey', run: curve => curve.isPrivateKey(a) }
  if (choice === 1) return { name: 'publicKey', run: curve => curve.publicKey(a) }
  if (choice === 2) return { name: 'addToPrivateKey', run: curve => curve.addToPrivateKey(a, b) }
  const point = randomPoint(random)
  if (choice === 3) return { name: 'isPublicKey', run: curve => curve.isPublicKey(point) }
  if (choice === 4) return { name: 'compress', run: curve => curve.compress(point) }
  if (choice === 5) return { name: 'sharedPoint', run: curve => curve.sharedPoint(a, point) }
  if (choice === 6) return { name: 'addToPublicKey', run: curve => curve.addToPublicKey(point, a) }
  if (choice === 7) return { name: 'sign', run: curve => curve.sign(a, b) }
  if (choice === 8) return { name: 'uncompress', run: curve => curve.uncompress(point) }
  const key = random(32)
  const digest = random(32)
  if (choice === 9) {
    const valid = number(b) < N && b.length === 32 ? webassembly.addToPrivateKey(key, b) : key
    const signature = webassembly.sign(digest, valid)
    const root = random(1)[0]! < 128 ? webassembly.publicKey(key) : point
    return { name: 'verifyDerived', run: curve => curve.verifyDerived(digest, signature, root, b) }
  }
  const signature = webassembly.sign(digest, key)
  if (random(1)[0]! < 128) signature[random(1)[0]! % 64]! ^= 1 << (random(1)[0]! % 8)
  const publicKey = webassembly.publicKey(key)
  return { name: 'verify', run: curve => curve.verify(digest, signature, publicKey) }
}

/** Mostly a private key; sometimes an edge, rarely of the wrong length. */
function randomScalar(random: (length: number) => Uint8Array): Uint8Array {
  const kind = random(1)[0]!
  if (kind < 4) return random(kind * 16)
  const edges = Object.values(EDGES)
  return kind < 64 ? edges[kind % edges.length]! : random(32)
}

/** A compressed x that is on the curve in half of the cases, a mangled form, or 65 bytes. */
function randomPoint(random: (length: number) => Uint8Array): Uint8Array {
  const kind = random(1)[0]!
  const point = random(33)
  point[0] = 2 + (kind & 1)
  if (kind < 20) point[0] = kind
  if (kind >= 20 && kind < 40) return point.subarray(0, kind)
  if (kind >= 40 && kind < 60) {
    const uncompressed = UNCOMPRESSED.slice()
    uncompressed[0] = kind % 8
    if (kind < 45) uncompressed[40]! ^= 1
    return uncompressed
  }
  return point
}

function outcome(operation: () => Uint8Array | boolean): string {
  try {
    const result = operation()
    return typeof result === 'boolean' ? String(result) : hex(result)
  } catch (error) {
    return error instanceof Error ? error.name : 'no error'
  }
}

function expectRangeError(operation: () => unknown): void {
  try {
    operation()
  } catch (error) {
    if (error instanceof RangeError) return
    throw error
  }
  throw new Error('expected a RangeError')
}

/** The same bytes in every run, so that a failure can be repeated. */
function randomBytes(seed: string): (length: number) => Uint8Array {
  let counter = 0
  return length => {
    const blocks: Uint8Array[] = []
    for (let filled = 0; filled < length; filled += 32) {
      blocks.push(createHash('sha256').update(`${seed} ${counter++}`).digest())
    }
    return new Uint8Array(Buffer.concat(blocks).subarray(0, length))
  }
}

function loadNative(): Curve | undefined {
  try {
    return loadCurve('native')
  } catch {
    return undefined
  }
}

function negated(point: Uint8Array): Uint8Array {
  const other = point.slice()
  other[0]! ^= 1
  return other
}

function join(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

/** Mod n: value to the power of n - 2. */
function inverse(value: bigint): bigint {
  let result = 1n
  for (let [base, exponent] = [value, N - 2n]; exponent > 0n; exponent >>= 1n, base = (base * base) % N) {
    if (exponent & 1n) result = (result * base) % N
  }
  return result
}

function scalar(value: bigint): Uint8Array {
  return bytes(value.toString(16).padStart(64, '0'))
}

function number(value: Uint8Array): bigint {
  return value.length === 0 ? 0n : BigInt(`0x${hex(value)}`)
}

function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'))
}

function hex(value: Uint8Array): string {
  return Buffer.from(value).toString('hex')
}
