import { createHash } from 'node:crypto'
import { BigNumber, Signature } from '@bsv/sdk'
import { expect } from 'chai'
import { compactToDer, derToCompact } from '../../src/curve/der.js'

const N = 'fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141'
const N_MINUS_1 = `${N.slice(0, -2)}40`
const HIGH = `80${'00'.repeat(31)}`
const LOW = `7f${'ff'.repeat(31)}`

describe('DER signatures', () => {
  const pairs: [r: string, s: string, der: string][] = [
    ['01', '01', '3006020101020101'],
    ['7f', '80', '300702017f02020080'],
    ['80', '7f', '30070202008002017f'],
    ['0100', 'ff', '300802020100020200ff'],
    [LOW, '01', `30250220${LOW}020101`],
    [HIGH, LOW, `3045022100${HIGH}0220${LOW}`],
    [LOW, HIGH, `30450220${LOW}022100${HIGH}`],
    [N_MINUS_1, N_MINUS_1, `3046022100${N_MINUS_1}022100${N_MINUS_1}`]
  ]
  for (const [r, s, der] of pairs) {
    it(`writes and reads r ${shown(r)}, s ${shown(s)} (${der.length / 2} bytes)`, () => {
      const compact = bytes(r.padStart(64, '0') + s.padStart(64, '0'))
      expect(hex(compactToDer(compact))).to.equal(der)
      expect(hex(derToCompact(bytes(der))!)).to.equal(hex(compact))
    })
  }

  const malformed: [name: string, der: string][] = [
    ['nothing', ''],
    ['seven bytes', '30050201010201'],
    ['seven bytes, s empty', '30050201010200'],
    ['not a sequence', '3106020101020101'],
    ['r not an integer', '3006030101020101'],
    ['s not an integer', '3006020101040101'],
    ['length too small', '3005020101020101'],
    ['length too large', '3007020101020101'],
    ['indefinite length', '3080020101020101'],
    ['length in two bytes', '308106020101020101'],
    ['length of r in two bytes', '300702810101020101'],
    ['byte behind, outside', '300602010102010100'],
    ['byte behind, inside', '300702010102010100'],
    ['r empty', '3006020002020101'],
    ['s empty', '3006020201010200'],
    ['r longer than the rest', '3006020701020101'],
    ['r takes all', '3006020401020101'],
    ['s longer than the rest', '3006020101020201'],
    ['s shorter than the rest', '300702010102010101'],
    ['r zero', '3006020100020101'],
    ['s zero', '3006020101020100'],
    ['r negative', '3006020180020101'],
    ['s negative', '30060201010201ff'],
    ['r padded', '300702020001020101'],
    ['s padded', '300702010102020001'],
    ['s two bytes of zero', '300702010102020000'],
    ['r padded to 33 bytes', `3026022100${LOW}020101`],
    ['r of 33 bytes', `3026022101${LOW}020101`],
    ['r of 34 bytes', `302702220080${HIGH}020101`],
    ['r = n', `3026022100${N}020101`],
    ['s = n', `3026020101022100${N}`],
    ['s all ff', `3026020101022100${'ff'.repeat(32)}`],
    ['73 bytes', `3047022100${N_MINUS_1}022100${N_MINUS_1}00`],
    ['a hash type behind', `3045022100${HIGH}0220${LOW}41`]
  ]
  for (const [name, der] of malformed) {
    it(`refuses: ${name}`, () => {
      expect(derToCompact(bytes(der))).to.equal(undefined)
    })
  }

  it('reads no spelling but the one it writes', () => {
    const spellings = new Set<string>()
    const original = compactToDer(bytes(`00${LOW.slice(2)}${HIGH}`))
    for (let at = 0; at < original.length; at++) {
      for (let value = 0; value < 256; value++) {
        const changed = Buffer.from(original)
        changed[at] = value
        const shorter = Buffer.concat([original.subarray(0, at), original.subarray(at + 1)])
        const longer = Buffer.concat([original.subarray(0, at), Buffer.of(value), original.subarray(at)])
        for (const der of [changed, shorter, longer]) {
          const compact = derToCompact(der)
          if (compact === undefined) continue
          spellings.add(hex(compact))
          expect(hex(compactToDer(compact))).to.equal(hex(der))
        }
      }
    }
    // Most changes inside r or s make other signatures; none of them may be spelled in two ways.
    expect(spellings.size).to.be.greaterThan(10_000)
  })

  it('throws RangeError for what is no compact signature', () => {
    const one = '01'.padStart(64, '0')
    const zero = '00'.repeat(32)
    for (const compact of ['', one, `${one}${one}00`, zero + one, one + zero, N + one, one + N]) {
      expect(() => compactToDer(bytes(compact)), compact).to.throw(RangeError)
    }
  })

  it('agrees with the SDK on 1,000 random pairs of numbers of 1 to 31 bytes', () => {
    for (let round = 0; round < 1000; round++) {
      const r = randomNumber(`r ${round}`)
      const s = randomNumber(`s ${round}`)
      const der = compactToDer(bytes(r.padStart(64, '0') + s.padStart(64, '0')))
      expect(hex(der)).to.equal(new Signature(new BigNumber(r, 16), new BigNumber(s, 16)).toDER('hex'))
      const back = Signature.fromDER([...der])
      expect(hex(derToCompact(der)!)).to.equal(back.r.toHex(32) + back.s.toHex(32))
    }
  })
})

/** Hex of a positive number below n; the same in every run. */
function randomNumber(seed: string): string {
  const digest = createHash('sha256').update(seed).digest()
  digest[1]! |= 1
  return hex(digest.subarray(1, 2 + (digest[0]! % 31)))
}

function shown(number: string): string {
  return number.length > 8 ? `${number.slice(0, 6)}…${number.slice(-2)}` : number
}

function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'))
}

function hex(value: Uint8Array): string {
  return Buffer.from(value).toString('hex')
}
