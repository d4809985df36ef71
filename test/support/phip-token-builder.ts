import { createHash } from 'node:crypto'
import { compactToDer, derToCompact } from '../../src/curve/der.js'
import { loadCurve } from '../../src/curve/load.js'
import { ANYONE_PUBLIC_KEY, KeyDeriver } from '../../src/keys/key-deriver.js'

/*
 * Tokens and withdrawals made by hand, push by push, so that every rule can be broken alone. Nothing here is shared
 * with the code that reads and writes them.
 */

export const curve = loadCurve()
export const operator = keysOf('11')
export const recipient = keysOf('22')
export const otherOperator = keysOf('44')
export const otherRecipient = keysOf('33')

export const DOMAIN = 'peerserv.example.org'
export const BOXES = '^(inbox|payment_inbox)$'
export const AUTHORIZATION = '1-phip authorization-1'

export type Position = 'before' | 'after'

export interface Recipe {
  operator?: KeyDeriver
  recipient?: KeyDeriver
  domain?: string | Uint8Array
  /** undefined or absent: no such field. */
  box?: string | Uint8Array | undefined
  /** What the recipient signs, if not what the fields say. */
  text?: string | Uint8Array
  /** The recipient's signature, made from the right one or from its text. */
  recipientSignature?: (der: Buffer, text: Buffer) => Uint8Array
  invoice?: string
  lockingKey?: Uint8Array
  /** Changes the fields before they are signed. */
  fields?: (fields: Uint8Array[]) => Uint8Array[]
  /** The signature over the fields, made from the right one or from the joined fields; undefined: none. */
  fieldSignature?: (der: Buffer, joined: Buffer) => Uint8Array | undefined
  /** Changes the fields after they were signed, with the signature as the last. */
  signedFields?: (fields: Uint8Array[]) => Uint8Array[]
  /** Changes the pushes, one for each field, and the drops behind them. */
  pushes?: (pushes: Uint8Array[], drops: Uint8Array) => Uint8Array[]
  /** The lock: push of the key, OP_CHECKSIG. */
  lock?: (key: Uint8Array) => Uint8Array
  position?: Position
  script?: (script: Buffer) => Uint8Array
}

/** A token that is valid but for what the recipe changes. */
export function tokenScript(recipe: Recipe): Buffer {
  const keys = recipe.operator ?? operator
  const lockingKey = recipe.lockingKey ?? keys.ownPublicKey(ANYONE_PUBLIC_KEY, recipe.invoice ?? '2-phip-1')
  return assemble(tokenFields(recipe), lockingKey, recipe)
}

/** The fields of such a token, with the signature over them as the last. */
export function tokenFields(recipe: Recipe): Uint8Array[] {
  const keys = recipe.operator ?? operator
  const user = recipe.recipient ?? recipient
  const domain = toBytes(recipe.domain ?? DOMAIN)
  const box = recipe.box === undefined ? undefined : toBytes(recipe.box)
  const space = Buffer.from(' ')
  const text = toBytes(
    recipe.text ??
      Buffer.concat([Buffer.from(keys.identityKey), space, domain, space, box ?? Buffer.from('ALL')])
  )
  const authorization = user.sign(text, AUTHORIZATION, ANYONE_PUBLIC_KEY)
  let fields: Uint8Array[] = [
    Buffer.from('PHIP'),
    keys.publicKey,
    domain,
    user.publicKey,
    recipe.recipientSignature?.(authorization, text) ?? authorization,
    ...(box === undefined ? [] : [box])
  ]
  fields = recipe.fields?.(fields) ?? fields
  const invoice = recipe.invoice ?? '2-phip-1'
  const joined = Buffer.concat(fields)
  const der = keys.sign(joined, invoice, ANYONE_PUBLIC_KEY)
  const signature = recipe.fieldSignature === undefined ? der : recipe.fieldSignature(der, joined)
  if (signature !== undefined) fields = [...fields, signature]
  return recipe.signedFields?.(fields) ?? fields
}

export interface WithdrawalRecipe
  extends Pick<Recipe, 'lockingKey' | 'pushes' | 'lock' | 'position' | 'script'> {
  recipient?: KeyDeriver
  text?: string | Uint8Array
  signature?: (der: Buffer, text: Buffer) => Uint8Array
  fields?: (fields: Uint8Array[]) => Uint8Array[]
}

/** A withdrawal that is valid but for what the recipe changes. */
export function withdrawalScript(recipe: WithdrawalRecipe): Buffer {
  const user = recipe.recipient ?? recipient
  const text = toBytes(recipe.text ?? `${operator.identityKey} ${DOMAIN} ALL`)
  const invoice = '1-phip withdrawal-1'
  const der = user.sign(text, invoice, ANYONE_PUBLIC_KEY)
  const fields = [Buffer.from('PHIP-WITHDRAWN'), user.publicKey, text, recipe.signature?.(der, text) ?? der]
  const lockingKey = recipe.lockingKey ?? user.ownPublicKey(ANYONE_PUBLIC_KEY, invoice)
  return assemble(recipe.fields?.(fields) ?? fields, lockingKey, recipe)
}

function assemble(
  fields: Uint8Array[],
  lockingKey: Uint8Array,
  { pushes, lock, position, script }: Pick<Recipe, 'pushes' | 'lock' | 'position' | 'script'>
): Buffer {
  const drops = dropsOf(fields.length)
  const pushed = fields.map(push)
  const body = Buffer.concat(pushes?.(pushed, drops) ?? [...pushed, drops])
  const lockBytes = lock?.(lockingKey) ?? Buffer.concat([push(lockingKey), Buffer.of(0xac)])
  const whole = Buffer.concat(position === 'after' ? [body, lockBytes] : [lockBytes, body])
  return Buffer.from(script?.(whole) ?? whole)
}

/** The shortest push of some bytes. */
export function push(data: Uint8Array): Buffer {
  const [first] = data
  if (first === undefined) return Buffer.of(0)
  if (data.length === 1) {
    if (first === 0) return Buffer.of(0)
    if (first <= 16) return Buffer.of(0x50 + first)
    if (first === 0x81) return Buffer.of(0x4f)
  }
  if (data.length <= 75) return Buffer.concat([Buffer.of(data.length), data])
  if (data.length <= 255) return Buffer.concat([Buffer.of(0x4c, data.length), data])
  return Buffer.concat([Buffer.of(0x4d, data.length & 255, data.length >> 8), data])
}

/** OP_2DROPs, and OP_DROP for an odd one. */
export function dropsOf(fields: number): Buffer {
  return Buffer.from([...new Array(fields >> 1).fill(0x6d), ...(fields % 2 === 1 ? [0x75] : [])])
}

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n

/** The other signature that satisfies the equation of ECDSA, with n − s for s. */
export function highS(der: Uint8Array): Buffer {
  const compact = derToCompact(der)!
  const s = BigInt(`0x${Buffer.from(compact.subarray(32)).toString('hex')}`)
  const high = Buffer.from((ORDER - s).toString(16).padStart(64, '0'), 'hex')
  return compactToDer(Buffer.concat([compact.subarray(0, 32), high]))
}

export function sha256(data: Uint8Array): Buffer {
  return createHash('sha256').update(data).digest()
}

export function keysOf(byte: string): KeyDeriver {
  return new KeyDeriver(curve, Buffer.from(byte.repeat(32), 'hex'))
}

function toBytes(value: string | Uint8Array): Buffer {
  return typeof value === 'string' ? Buffer.from(value, 'utf8') : Buffer.from(value)
}
