import type { IdentityKey } from '../../src/keys/identity-key.js'
import { identityKeyBytes } from '../../src/keys/identity-key.js'
import { ANYONE_PUBLIC_KEY, type KeyDeriver } from '../../src/keys/key-deriver.js'
import type { Domain } from './domain.js'
import { encodePushDrop } from './push-drop.js'

/** First field of a token (BRC-34). */
export const TOKEN_IDENTIFIER = Buffer.from('PHIP')

/**
 * BRC-34 asks for protocol id `PHIP`, which BRC-43 lower-cases (and finds too short for any wallet). The first is what
 * this node writes; both are read.
 */
export const TOKEN_INVOICES = ['2-phip-1', '2-PHIP-1'] as const
export type TokenInvoice = (typeof TOKEN_INVOICES)[number]

/** The advertisement "this host takes messages for that recipient", signed by both (BRC-34). */
export interface PhipToken {
  readonly operatorKey: IdentityKey
  readonly domain: Domain
  readonly recipient: IdentityKey
  /** The recipient's routing authorization, DER. */
  readonly recipientSignature: Uint8Array
  /** undefined: every box. */
  readonly boxExpression: string | undefined
  /** How the locking key was derived from the operator key. */
  readonly invoiceNumber: TokenInvoice
}

export type TokenContent = Pick<PhipToken, 'domain' | 'recipient' | 'recipientSignature' | 'boxExpression'>

/**
 * Locking script of a token of this node: its fields, the signature over them, and the lock, both under `2-phip-1`.
 *
 * @param keys the operator's
 * @param content parsed and verified: what is written here is not looked at again
 */
export function createTokenScript(keys: KeyDeriver, content: TokenContent): Uint8Array {
  const [invoiceNumber] = TOKEN_INVOICES
  const fields: Uint8Array[] = [
    TOKEN_IDENTIFIER,
    keys.publicKey,
    Buffer.from(content.domain, 'utf8'),
    identityKeyBytes(content.recipient),
    content.recipientSignature
  ]
  if (content.boxExpression !== undefined) fields.push(Buffer.from(content.boxExpression, 'utf8'))
  fields.push(keys.sign(Buffer.concat(fields), invoiceNumber, ANYONE_PUBLIC_KEY))
  const lockingKey = keys.ownPublicKey(ANYONE_PUBLIC_KEY, invoiceNumber)
  return encodePushDrop({ lockingKey, fields, position: 'before' })
}

/**
 * The operator's signature that spends a token. The unlocking script is one push of it with the sighash byte behind.
 *
 * @param keys the operator's
 * @param digest what OP_CHECKSIG checks: SHA-256 of SHA-256 of the sighash preimage, 32 bytes; RangeError otherwise
 * @param invoiceNumber the token's
 * @returns DER without the sighash byte
 */
export function signTokenSpend(
  keys: KeyDeriver,
  digest: Uint8Array,
  invoiceNumber: TokenInvoice = TOKEN_INVOICES[0]
): Buffer {
  return keys.signDigest(digest, invoiceNumber, ANYONE_PUBLIC_KEY)
}
