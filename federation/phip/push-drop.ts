/** Where the key and OP_CHECKSIG stand: before the fields as @bsv/sdk writes, or after them as BRC-48 shows. */
export type LockPosition = 'before' | 'after'

/** A script that pushes fields, drops them and checks one signature (BRC-48). */
export interface PushDrop {
  /** 33 bytes; not checked to be a point on the curve. */
  readonly lockingKey: Uint8Array
  /** At least one, each at least one byte; after decoding, views into the script. */
  readonly fields: readonly Uint8Array[]
  readonly position: LockPosition
}

/** Longest script that is read, bytes. A PHIP token or a withdrawal is below 1 KiB. */
export const MAX_SCRIPT_BYTES = 4096
/** Most fields that are read. */
export const MAX_FIELDS = 16

const OP_0 = 0x00
const OP_PUSHDATA1 = 0x4c
const OP_PUSHDATA2 = 0x4d
const OP_1NEGATE = 0x4f
const OP_1 = 0x51
const OP_16 = 0x60
const OP_2DROP = 0x6d
const OP_DROP = 0x75
const OP_CHECKSIG = 0xac

const KEY_BYTES = 33
/** Length byte, key and OP_CHECKSIG. */
const LOCK_BYTES = 1 + KEY_BYTES + 1

/**
 * Locking script of a PushDrop output, byte for byte what PushDrop of @bsv/sdk 2.1.0 writes.
 *
 * @throws RangeError for a key of other than 33 bytes, no field, an empty field (it reads back as the byte 00), more
 * than MAX_FIELDS fields or more than MAX_SCRIPT_BYTES in all: what is written here can be read back
 */
export function encodePushDrop(pushDrop: PushDrop): Buffer {
  const { lockingKey, fields } = pushDrop
  if (lockingKey.length !== KEY_BYTES) throw new RangeError('a locking key has 33 bytes')
  if (fields.length === 0 || fields.length > MAX_FIELDS) throw new RangeError(`1 to ${MAX_FIELDS} fields`)
  if (fields.some(field => field.length === 0)) throw new RangeError('a field has at least one byte')
  if (scriptBytes(fields) > MAX_SCRIPT_BYTES) throw new RangeError(`more than ${MAX_SCRIPT_BYTES} bytes`)
  return writeScript(pushDrop)
}

/**
 * Reads a PushDrop locking script in either position.
 *
 * Only what `encodePushDrop` writes is taken: every field pushed in its shortest form, exactly the drops that remove
 * them, nothing before, between or behind. A field of the single byte 00 may have been written from an empty one.
 *
 * @param script any bytes
 * @returns undefined for anything else than such a script within the limits above
 */
export function decodePushDrop(script: Uint8Array): PushDrop | undefined {
  if (script.length <= LOCK_BYTES || script.length > MAX_SCRIPT_BYTES) return undefined
  // A script of the other position cannot look like this one: it has a push or a drop behind its first 33 bytes.
  const position = isLock(script, 0) ? 'before' : 'after'
  const lockStart = position === 'before' ? 0 : script.length - LOCK_BYTES
  if (!isLock(script, lockStart)) return undefined

  const fields =
    position === 'before'
      ? readPushes(script, LOCK_BYTES, script.length)
      : readPushes(script, 0, script.length - LOCK_BYTES)
  if (fields === undefined) return undefined
  const pushDrop = {
    lockingKey: script.subarray(lockStart + 1, lockStart + 1 + KEY_BYTES),
    fields,
    position
  } as const
  // Short forms, drops and the end are all judged by writing the same thing again.
  return writeScript(pushDrop).equals(script) ? pushDrop : undefined
}

function writeScript({ lockingKey, fields, position }: PushDrop): Buffer {
  const script = Buffer.allocUnsafe(scriptBytes(fields))
  let at = position === 'before' ? writeLock(script, 0, lockingKey) : 0
  for (const field of fields) at = writePush(script, at, field)
  for (let left = fields.length; left > 0; left -= 2) script[at++] = left > 1 ? OP_2DROP : OP_DROP
  if (position === 'after') writeLock(script, at, lockingKey)
  return script
}

function scriptBytes(fields: readonly Uint8Array[]): number {
  let bytes = LOCK_BYTES + Math.ceil(fields.length / 2)
  for (const field of fields) bytes += pushBytes(field)
  return bytes
}

/** The pushes between start and the first other opcode; undefined if there are none, too many, or one is cut off. */
function readPushes(script: Uint8Array, start: number, end: number): Uint8Array[] | undefined {
  const fields: Uint8Array[] = []
  let at = start
  while (at < end) {
    const opcode = script[at]!
    if (opcode > OP_16 || opcode === 0x4e || opcode === 0x50) break
    if (fields.length === MAX_FIELDS) return undefined
    at++
    const value = smallValue(opcode)
    if (value !== undefined) {
      fields.push(Uint8Array.of(value))
      continue
    }
    let length = opcode
    if (opcode === OP_PUSHDATA1) {
      length = script[at] ?? end
      at += 1
    } else if (opcode === OP_PUSHDATA2) {
      length = (script[at] ?? end) | ((script[at + 1] ?? end) << 8)
      at += 2
    }
    if (at + length > end || length === 0) return undefined
    fields.push(script.subarray(at, at + length))
    at += length
  }
  return fields.length === 0 ? undefined : fields
}

/** The byte that an opcode without data stands for. */
function smallValue(opcode: number): number | undefined {
  if (opcode === OP_0) return 0
  if (opcode === OP_1NEGATE) return 0x81
  return opcode >= OP_1 && opcode <= OP_16 ? opcode - OP_1 + 1 : undefined
}

/** The opcode that stands for a field of one byte, where there is one. */
function smallOpcode(field: Uint8Array): number | undefined {
  const value = field[0]!
  if (field.length !== 1) return undefined
  if (value === 0) return OP_0
  if (value === 0x81) return OP_1NEGATE
  return value <= 16 ? OP_1 + value - 1 : undefined
}

function pushBytes(field: Uint8Array): number {
  if (smallOpcode(field) !== undefined) return 1
  if (field.length < OP_PUSHDATA1) return 1 + field.length
  return (field.length <= 0xff ? 2 : 3) + field.length
}

function writePush(script: Buffer, start: number, field: Uint8Array): number {
  const opcode = smallOpcode(field)
  let at = start
  if (opcode !== undefined) {
    script[at] = opcode
    return at + 1
  }
  if (field.length < OP_PUSHDATA1) {
    script[at++] = field.length
  } else if (field.length <= 0xff) {
    script[at++] = OP_PUSHDATA1
    script[at++] = field.length
  } else {
    script[at++] = OP_PUSHDATA2
    at = script.writeUInt16LE(field.length, at)
  }
  script.set(field, at)
  return at + field.length
}

function isLock(script: Uint8Array, start: number): boolean {
  return script[start] === KEY_BYTES && script[start + KEY_BYTES + 1] === OP_CHECKSIG
}

function writeLock(script: Buffer, start: number, lockingKey: Uint8Array): number {
  script[start] = KEY_BYTES
  script.set(lockingKey, start + 1)
  script[start + KEY_BYTES + 1] = OP_CHECKSIG
  return start + LOCK_BYTES
}
