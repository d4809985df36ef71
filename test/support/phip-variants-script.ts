import { BROKEN_UTF8, STRAY_OPCODES } from './phip-broken-bytes.js'
import { operator, push } from './phip-token-builder.js'
import { BASES, VariantList } from './phip-variant-list.js'

const LOCK_BYTES = 35

/** Variants that are no PushDrop script, or one with other fields. */
export function scriptVariants(): VariantList['vectors'] {
  const list = new VariantList()
  cutAndStretched(list)
  strayOpcodes(list)
  otherPushes(list)
  otherDrops(list)
  otherLocks(list)
  otherFields(list)
  return list.vectors
}

function cutAndStretched(list: VariantList): void {
  for (const length of [0, 1, 2, 33, 34, 35, 36, 39, 40, 41, 73, 74, 100, 150, 200]) {
    list.addToBoth('script', `first-${length}-bytes`, `cut off after ${length} bytes`, {
      script: script => script.subarray(0, length)
    })
  }
  for (const missing of [1, 2, 3, 4, 5, 35]) {
    list.addToBoth('script', `last-${missing}-missing`, `the last ${missing} bytes are missing`, {
      script: script => script.subarray(0, -missing)
    })
    list.addToBoth('script', `first-${missing}-missing`, `the first ${missing} bytes are missing`, {
      script: script => script.subarray(missing)
    })
  }
  list.addToBoth('script', 'twice', 'the whole script twice', {
    script: script => Buffer.concat([script, script])
  })
  list.addToBoth('script', 'too-long', 'longer than 4096 bytes', {
    fields: fields => [...fields, Buffer.alloc(4000, 0x61)]
  })
  list.addToBoth('script', 'zeros', 'nothing but zeros', { script: script => Buffer.alloc(script.length) })
}

function strayOpcodes(list: VariantList): void {
  for (const [name, opcode] of STRAY_OPCODES) {
    list.addToBoth('script', `${name}-behind`, 'an opcode behind the script', {
      script: script => Buffer.concat([script, opcode])
    })
    list.addToBoth('script', `${name}-in-front`, 'an opcode in front of the script', {
      script: script => Buffer.concat([opcode, script])
    })
    list.addToBoth('script', `${name}-before-drops`, 'an opcode between fields and drops', {
      pushes: (pushes, drops) => [...pushes, opcode, drops]
    })
    list.add('script', `${name}-behind-lock`, 'an opcode between lock and fields', {
      script: script => Buffer.concat([script.subarray(0, LOCK_BYTES), opcode, script.subarray(LOCK_BYTES)])
    })
  }
}

function otherPushes(list: VariantList): void {
  for (const [base, start] of BASES) {
    const count = base === 'all' ? 6 : 7
    for (let index = 0; index < count; index++) {
      for (const [opcode, lengthBytes] of [
        [0x4c, 1],
        [0x4d, 2],
        [0x4e, 4]
      ] as const) {
        const what = `field ${index + 1} pushed with a longer opcode than it needs`
        list.add('script', `field-${index + 1}-pushdata${lengthBytes}/${base}`, what, {
          ...start,
          pushes: (pushes, drops) => [
            ...pushes.map((bytes, at) => (at === index ? longPush(bytes, opcode, lengthBytes) : bytes)),
            drops
          ]
        })
      }
    }
  }
  for (const [name, bytes] of [
    ['00', Buffer.of(0x01, 0x00)],
    ['05', Buffer.of(0x01, 0x05)],
    ['10', Buffer.of(0x01, 0x10)],
    ['81', Buffer.of(0x01, 0x81)]
  ] as const) {
    list.add('script', `byte-${name}-pushed`, 'a field of one byte pushed where an opcode stands for it', {
      box: 'x',
      pushes: (pushes, drops) => [...pushes.map((old, at) => (at === 5 ? bytes : old)), drops]
    })
  }
}

function otherDrops(list: VariantList): void {
  const drops: ReadonlyArray<readonly [string, string]> = [
    ['none', ''],
    ['single', '757575757575'],
    ['one-less', '6d6d'],
    ['half-less', '6d6d75'],
    ['one-more', '6d6d6d6d'],
    ['odd-first', '756d6d6d'],
    ['two-singles', '6d6d7575'],
    ['nips', '777777777777'],
    ['nop-between', '6d616d6d'],
    ['return', '6a']
  ]
  for (const [name, hex] of drops) {
    list.add('script', `drops-${name}`, 'not exactly the drops that remove the fields', {
      pushes: pushes => [...pushes, Buffer.from(hex, 'hex')]
    })
  }
  list.add('script', 'drops-between-fields', 'drops between the fields', {
    pushes: pushes => pushes.flatMap((bytes, at) => (at % 2 === 1 ? [bytes, Buffer.of(0x6d)] : [bytes]))
  })
}

function otherLocks(list: VariantList): void {
  const locks: ReadonlyArray<readonly [string, string, (key: Uint8Array) => Uint8Array]> = [
    ['missing', 'no lock', () => Buffer.alloc(0)],
    ['key-only', 'a key without OP_CHECKSIG', key => push(key)],
    ['checksig-only', 'OP_CHECKSIG without a key', () => Buffer.of(0xac)],
    ['checksigverify', 'OP_CHECKSIGVERIFY', key => Buffer.concat([push(key), Buffer.of(0xad)])],
    ['checkmultisig', 'OP_CHECKMULTISIG', key => Buffer.concat([push(key), Buffer.of(0xae)])],
    [
      'pushdata1',
      'the key pushed with OP_PUSHDATA1',
      key => Buffer.concat([Buffer.of(0x4c, 33), key, Buffer.of(0xac)])
    ],
    ['32-bytes', 'a key of 32 bytes', key => Buffer.concat([push(key.subarray(1)), Buffer.of(0xac)])],
    ['65-bytes', 'a key of 65 bytes', key => Buffer.concat([push(Buffer.alloc(65, key)), Buffer.of(0xac)])],
    [
      'hash',
      'a key hash (P2PKH)',
      key => Buffer.concat([Buffer.from('76a914', 'hex'), key.subarray(0, 20), Buffer.from('88ac', 'hex')])
    ],
    ['twice', 'two locks', key => Buffer.concat([push(key), Buffer.of(0xac), push(key), Buffer.of(0xac)])],
    ['true', 'OP_1 for a lock', () => Buffer.of(0x51)]
  ]
  for (const [name, what, lock] of locks) list.addToBoth('script', `lock-${name}`, what, { lock })
  list.add('script', 'lock-at-both-ends', 'a lock before and after the fields', {
    script: script => Buffer.concat([script, script.subarray(0, LOCK_BYTES)])
  })
}

function otherFields(list: VariantList): void {
  const none = { fieldSignature: () => undefined }
  for (const count of [2, 3, 4, 5, 8, 9, 12, 16]) {
    list.add('field-count', `${count}-fields`, `${count} fields`, {
      ...none,
      fields: fields => [...fields, ...new Array<Buffer>(16).fill(Buffer.from('more'))].slice(0, count)
    })
  }
  list.add('field-count', 'one-field', 'the identifier alone', {
    ...none,
    fields: fields => fields.slice(0, 1)
  })
  list.add('script', '17-fields', '17 fields', {
    ...none,
    fields: fields => [...fields, ...new Array<Buffer>(12).fill(Buffer.from('more'))]
  })
  list.add('script', 'no-fields', 'a lock and nothing else', { ...none, fields: () => [] })
  list.add('field-count', 'unsigned', 'no signature over the fields', none)
  list.addToBoth('identifier', 'empty', 'an empty identifier', {
    fields: ([, ...others]) => [Buffer.alloc(0), ...others]
  })

  const identifiers = [
    ...spellings('PHIP'),
    'PHI',
    'PHIPP',
    'PHIP ',
    ' PHIP',
    'PHIP\0',
    '\0PHIP',
    '\ufeffPHIP',
    'P',
    'PHIP-WITHDRAWN',
    'SHIP',
    'SLAP',
    'CHIP',
    'ＰＨＩＰ',
    '50484950'
  ]
  for (const [index, text] of identifiers.entries()) {
    list.add('identifier', `other-${index}`, `the identifier ${JSON.stringify(text)}`, {
      fields: ([, ...others]) => [Buffer.from(text), ...others]
    })
  }
  for (const [name, bytes] of BROKEN_UTF8) {
    list.add('identifier', name, 'an identifier that is no UTF-8', {
      fields: ([, ...others]) => [bytes, ...others]
    })
  }
  list.add('identifier', 'key', 'the operator key for an identifier', {
    fields: ([, ...others]) => [operator.publicKey, ...others]
  })
}

/** Every spelling in upper and lower case but the first. */
function spellings(word: string): string[] {
  const all = Array.from({ length: 2 ** word.length }, (_, bits) =>
    [...word].map((letter, at) => ((bits >> at) & 1 ? letter.toLowerCase() : letter)).join('')
  )
  return all.slice(1)
}

function longPush(shortPush: Uint8Array, opcode: number, lengthBytes: number): Uint8Array {
  const data = shortPush.subarray(1)
  const length = Buffer.alloc(lengthBytes)
  length.writeUIntLE(data.length, 0, lengthBytes)
  return Buffer.concat([Buffer.of(opcode), length, data])
}
