import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import fc from 'fast-check'
import { ItemSet, type Slice, sliceOf } from '../../federation/sync/item-set.js'

interface FingerprintVector {
  readonly id: string
  readonly items: readonly string[]
  readonly from: string
  readonly until: string | null
  readonly count: number
  readonly fingerprint: string
}

const { vectors } = JSON.parse(
  readFileSync(new URL('../vectors/reconciliation.json', import.meta.url), 'utf8')
) as { vectors: FingerprintVector[] }

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest()

/** As the database gives them. */
function setOf(items: readonly string[]): ItemSet {
  const names = new Map<string, Buffer[]>()
  for (const item of [...items].sort()) {
    const recipient = item.slice(0, 66)
    names.set(recipient, [...(names.get(recipient) ?? []), Buffer.from(item.slice(66), 'hex')])
  }
  const slices: Slice[] = [...names].map(([recipient, found]) => {
    const key = Buffer.from(recipient, 'hex')
    const digests = found.map(name => sha256(Buffer.concat([key, name])))
    return sliceOf(key, Buffer.concat(found), Buffer.concat(digests))
  })
  return new ItemSet(slices)
}

/** The definition of docs/federation.md, once more and with big integers. */
function fingerprintOf(items: readonly string[]): string {
  let sum = 0n
  for (const item of items) sum += BigInt(`0x${sha256(Buffer.from(item, 'hex')).toString('hex')}`)
  const digits = (sum % 2n ** 256n).toString(16).padStart(64, '0')
  const count = Buffer.alloc(8)
  count.writeBigUInt64BE(BigInt(items.length))
  return sha256(Buffer.concat([count, Buffer.from(digits, 'hex')])).toString('hex')
}

const item = fc
  .tuple(fc.constantFrom('02', '03'), fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 300 }))
  .map(([prefix, recipient, name]) => {
    const key = prefix + sha256(Buffer.of(recipient)).toString('hex')
    return key + sha256(Buffer.from(`name ${name}`)).toString('hex')
  })
const items = fc.uniqueArray(item, { maxLength: 200 })
const bound = fc.oneof(fc.constant(''), item)

describe('what two hosts compare', () => {
  for (const { id, items: given, from, until, count, fingerprint } of vectors) {
    it(`has the fingerprint of the vector ${id}`, () => {
      expect(setOf(given).fingerprint(from, until ?? undefined)).to.deep.equal({ count, fingerprint })
    })
  }

  it('has the fingerprint that is defined, of any range', () => {
    fc.assert(
      fc.property(items, bound, bound, (given, from, until) => {
        const inside = given.filter(key => key >= from && key < until).sort()
        expect(setOf(given).fingerprint(from, until)).to.deep.equal({
          count: inside.length,
          fingerprint: fingerprintOf(inside)
        })
        expect(setOf(given).items(from, until)).to.deep.equal(inside)
      })
    )
  })

  it('falls into parts that join without a gap, none of them much larger than the others', () => {
    fc.assert(
      fc.property(items, given => {
        const set = setOf(given)
        const parts = set.split('', undefined, 16)
        let from = ''
        for (const [i, { until, count, fingerprint }] of parts.entries()) {
          expect(until === undefined).to.equal(i === parts.length - 1)
          expect(set.fingerprint(from, until)).to.deep.equal({ count, fingerprint })
          expect(count).to.be.at.most(Math.ceil(given.length / 16))
          from = until ?? from
        }
        expect(parts.reduce((sum, { count }) => sum + count, 0)).to.equal(given.length)
      })
    )
  })
})
