import { CompletedProtoWallet, LockingScript, OP, PrivateKey, PushDrop as SdkPushDrop } from '@bsv/sdk'
import { expect } from 'chai'
import fc from 'fast-check'
import {
  decodePushDrop,
  encodePushDrop,
  type LockPosition,
  MAX_FIELDS,
  MAX_SCRIPT_BYTES
} from '../../federation/phip/push-drop.js'

const RUNS = { numRuns: 2000 }
const wallet = new CompletedProtoWallet(new PrivateKey(1234))
const protocol = [2, 'push drop test'] as [2, string]
const lockingKey = Buffer.from(new PrivateKey(99).toPublicKey().toString(), 'hex')
const position = fc.constantFrom<LockPosition>('before', 'after')
const field = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 3 }),
  fc.uint8Array({ minLength: 70, maxLength: 80 }),
  fc.uint8Array({ minLength: 250, maxLength: 260 })
)
const fields = fc.array(field, { minLength: 1, maxLength: MAX_FIELDS - 2 })
const pushDrop = fc.record({ lockingKey: fc.constant(lockingKey), fields, position })

describe('encodePushDrop', () => {
  it('writes what the SDK writes, for every field of one byte and around the lengths where the opcode changes', async () => {
    const cases = [
      ...Array.from({ length: 256 }, (_, byte) => [Uint8Array.of(byte)]),
      ...[2, 74, 75, 76, 77, 255, 256, 257, 4000].map(length => [new Uint8Array(length).fill(7)]),
      ...Array.from({ length: MAX_FIELDS }, (_, index) =>
        new Array(index + 1).fill(Uint8Array.of(index + 1, 9))
      )
    ]
    for (const position of ['before', 'after'] as const) {
      for (const fields of cases) {
        const lists = fields.map(bytes => [...bytes])
        const script = await new SdkPushDrop(wallet).lock(
          lists,
          protocol,
          '1',
          'anyone',
          true,
          false,
          position
        )
        const { lockingPublicKey } = SdkPushDrop.decode(script, position)
        const key = Buffer.from(lockingPublicKey.toString(), 'hex')
        expect(encodePushDrop({ lockingKey: key, fields, position }).toString('hex')).to.equal(script.toHex())
      }
    }
  })

  it('throws where it could not be read back', () => {
    const one = { lockingKey, fields: [Uint8Array.of(1)], position: 'before' } as const
    expect(() => encodePushDrop({ ...one, lockingKey: lockingKey.subarray(1) })).to.throw(RangeError)
    expect(() => encodePushDrop({ ...one, fields: [] })).to.throw(RangeError)
    expect(() => encodePushDrop({ ...one, fields: [new Uint8Array()] })).to.throw(RangeError)
    expect(() => encodePushDrop({ ...one, fields: new Array(MAX_FIELDS + 1).fill(one.fields[0]) })).to.throw(
      RangeError
    )
    const room = MAX_SCRIPT_BYTES - 35 - 3 - 1
    expect(encodePushDrop({ ...one, fields: [new Uint8Array(room)] })).to.have.length(MAX_SCRIPT_BYTES)
    expect(() => encodePushDrop({ ...one, fields: [new Uint8Array(room + 1)] })).to.throw(RangeError)
  })
})

describe('decodePushDrop', () => {
  it('reads back what was written', () => {
    fc.assert(
      fc.property(pushDrop, original => {
        const decoded = decodePushDrop(encodePushDrop(original))
        expect(decoded?.position).to.equal(original.position)
        expect(Buffer.from(decoded!.lockingKey).equals(original.lockingKey)).to.equal(true)
        expect(decoded?.fields.map(hex)).to.deep.equal(original.fields.map(hex))
      }),
      RUNS
    )
  })

  it('reads what the SDK reads', () => {
    fc.assert(
      fc.property(pushDrop, original => {
        // The SDK reads OP_16 as an empty field.
        fc.pre(!original.fields.some(bytes => bytes.length === 1 && bytes[0] === 16))
        const script = LockingScript.fromBinary([...encodePushDrop(original)])
        const decoded = SdkPushDrop.decode(script, original.position)
        expect(decoded.fields.map(list => hex(Uint8Array.from(list)))).to.deep.equal(original.fields.map(hex))
      }),
      RUNS
    )
  })

  it('takes nothing else than what would be written: any bytes', () => {
    const bytes = fc.oneof(fc.uint8Array({ maxLength: 200 }), opcodes())
    fc.assert(
      fc.property(bytes, script => {
        const decoded = decodePushDrop(script)
        if (decoded !== undefined) expect(hex(encodePushDrop(decoded))).to.equal(hex(script))
      }),
      RUNS
    )
  })

  it('takes nothing else than what would be written: scripts with one byte changed, added or missing', () => {
    const change = fc.constantFrom('change', 'add', 'remove')
    fc.assert(
      fc.property(pushDrop, change, fc.nat(), fc.nat(255), (original, how, place, value) => {
        const script = encodePushDrop(original)
        const at = place % script.length
        const kept = how === 'add' ? at : at + 1
        const added = how === 'remove' ? [] : [value]
        const changed = Buffer.concat([script.subarray(0, at), Buffer.from(added), script.subarray(kept)])
        const decoded = decodePushDrop(changed)
        if (decoded !== undefined) expect(hex(encodePushDrop(decoded))).to.equal(hex(changed))
      }),
      RUNS
    )
  })

  it('refuses every beginning of a script', () => {
    for (const position of ['before', 'after'] as const) {
      const script = encodePushDrop({
        lockingKey,
        fields: [Uint8Array.of(1), new Uint8Array(80), Buffer.from('a')],
        position
      })
      for (let length = 0; length < script.length; length++) {
        expect(decodePushDrop(script.subarray(0, length)), `${length} bytes`).to.equal(undefined)
      }
    }
  })

  it('refuses more than it may read, without reading it', () => {
    const lock = Buffer.concat([Buffer.of(33), lockingKey, Buffer.of(OP.OP_CHECKSIG)])
    const long = Buffer.concat([lock, Buffer.alloc(50_000_000, OP.OP_1)])
    expect(decodePushDrop(long)).to.equal(undefined)
    // Its drops do not fit any more: writing it again must not be a crash.
    const full = Buffer.concat([lock, Buffer.of(0x4d, 0xda, 0x0f), Buffer.alloc(0xfda)])
    expect(full).to.have.length(MAX_SCRIPT_BYTES)
    expect(decodePushDrop(full)).to.equal(undefined)
  })

  it('takes a script that is a view into a larger buffer', () => {
    const script = encodePushDrop({ lockingKey, fields: [Buffer.from('field')], position: 'after' })
    const view = Buffer.concat([Buffer.alloc(7), script, Buffer.alloc(7)]).subarray(7, 7 + script.length)
    expect(decodePushDrop(view)?.fields.map(hex)).to.deep.equal([hex(Buffer.from('field'))])
    expect(decodePushDrop(new Uint8Array(script))?.position).to.equal('after')
  })
})

/** Bytes that are likely to be read as far as possible. */
function opcodes(): fc.Arbitrary<Uint8Array> {
  const opcode = fc.constantFrom(
    0,
    1,
    2,
    0x21,
    0x4b,
    0x4c,
    0x4d,
    0x4e,
    0x4f,
    0x50,
    0x51,
    0x60,
    0x61,
    0x6d,
    0x75,
    0xac
  )
  const lock = Buffer.concat([Buffer.of(33), lockingKey, Buffer.of(0xac)])
  return fc
    .tuple(
      fc.boolean(),
      fc.array(opcode, { maxLength: 12 }),
      fc.array(fc.constantFrom(0x6d, 0x75), { maxLength: 5 })
    )
    .map(([isBefore, pushes, drops]) => {
      const body = Buffer.from([...pushes, ...drops])
      return Buffer.concat(isBefore ? [lock, body] : [body, lock])
    })
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
