import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Network } from '../../src/config.js'
import type { Curve } from '../../src/curve/curve.js'
import { derToCompact } from '../../src/curve/der.js'
import { identityKeyFromBytes } from '../../src/keys/identity-key.js'
import { anyonePublicKey } from '../../src/keys/key-deriver.js'
import { compileBoxExpression } from './box-expression.js'
import { parseDomain } from './domain.js'
import { decodePushDrop } from './push-drop.js'
import { formatRoutingText, verifyRoutingSignature } from './routing-authorization.js'
import { type PhipToken, TOKEN_IDENTIFIER, TOKEN_INVOICES } from './token.js'
import { strictUtf8 } from './utf8.js'

/** What is checked of a token, in this order; the first that fails is named. */
export const TOKEN_CHECKS = [
  /** A PushDrop script with nothing else in it. */
  'script',
  /** The first field is `PHIP`. */
  'identifier',
  /** Five or six fields and the signature over them. */
  'field-count',
  /** A compressed public key, 33 bytes. */
  'operator-key',
  /** A domain of this network (see parseDomain). */
  'domain',
  /** A compressed public key, 33 bytes. */
  'recipient-key',
  /** Strict DER. */
  'recipient-signature-form',
  /** An expression that can be used (see compileBoxExpression). */
  'box-expression',
  /** The operator's child key for *anyone*, under either invoice number. */
  'locking-key',
  /** Strict DER, low s, by the locking key over the joined fields. */
  'field-signature',
  /** Low s, by the recipient over host key, domain and expression. */
  'recipient-signature'
] as const
export type TokenCheck = (typeof TOKEN_CHECKS)[number]

export type TokenVerification =
  | { readonly ok: true; readonly token: PhipToken }
  | { readonly ok: false; readonly check: TokenCheck; readonly reason: string }

/**
 * Verifies a locking script as a PHIP token (BRC-34, "Validation and Verification of Tokens"; protocol section 5).
 *
 * The operator's signature covers the joined fields without their lengths, so bytes could move from one field into
 * the next. They cannot here, since the forms are checked first: the identifier and the keys have fixed lengths, a
 * domain ends where a key begins because no byte of it can begin one, and DER tells its own length.
 *
 * @param script any bytes
 * @returns the token, sharing no memory with the script; or the first check that failed, and a reason for the log
 */
export function verifyTokenScript(curve: Curve, script: Uint8Array, network: Network): TokenVerification {
  const pushDrop = decodePushDrop(script)
  if (pushDrop === undefined) return failed('script', 'not a PushDrop script')
  const { fields, lockingKey } = pushDrop
  if (!TOKEN_IDENTIFIER.equals(fields[0]!)) return failed('identifier', 'the first field is not PHIP')
  if (fields.length !== 6 && fields.length !== 7)
    return failed('field-count', `${fields.length} fields, not 6 or 7`)
  const operatorBytes = fields[1]!
  if (!curve.isPublicKey(operatorBytes)) return failed('operator-key', 'the operator key is no public key')
  const domainText = strictUtf8(fields[2]!)
  if (domainText === undefined) return failed('domain', 'the domain is not UTF-8')
  const domain = parseDomain(domainText, network)
  if (!domain.ok) return failed('domain', domain.reason)
  if (!curve.isPublicKey(fields[3]!)) return failed('recipient-key', 'the recipient key is no public key')
  const recipientSignature = fields[4]!
  if (derToCompact(recipientSignature) === undefined) {
    return failed('recipient-signature-form', 'the recipient signature is not DER')
  }
  let boxExpression: string | undefined
  if (fields.length === 7) {
    const text = strictUtf8(fields[5]!)
    if (text === undefined) return failed('box-expression', 'the box expression is not UTF-8')
    const expression = compileBoxExpression(text)
    if (!expression.ok) return failed('box-expression', expression.reason)
    boxExpression = expression.value.text
  }

  const invoiceNumber = TOKEN_INVOICES.find(invoice =>
    Buffer.from(lockingKey).equals(anyonePublicKey(curve, operatorBytes, invoice))
  )
  if (invoiceNumber === undefined) return failed('locking-key', 'the lock is not the operator key')
  const fieldSignature = derToCompact(fields[fields.length - 1]!)
  const joined = hash('sha256', Buffer.concat(fields.slice(0, -1)), 'buffer')
  if (fieldSignature === undefined || !curve.verify(joined, fieldSignature, lockingKey)) {
    return failed('field-signature', 'the operator did not sign the fields')
  }
  const token: PhipToken = {
    operatorKey: identityKeyFromBytes(operatorBytes),
    domain: domain.value,
    recipient: identityKeyFromBytes(fields[3]!),
    recipientSignature: new Uint8Array(recipientSignature),
    boxExpression,
    invoiceNumber
  }
  const text = formatRoutingText({ hostKey: token.operatorKey, domain: token.domain, boxExpression })
  if (!verifyRoutingSignature(curve, token.recipient, text, recipientSignature)) {
    return failed('recipient-signature', 'the recipient did not authorize this')
  }
  return { ok: true, token }
}

/**
 * Verifies tokens, and remembers those that are valid: the same token comes from every peer, again and again. What is
 * refused is not remembered, so a stranger cannot push valid tokens out with invalid ones.
 */
export class TokenVerifier {
  readonly #curve: Curve
  readonly #network: Network
  readonly #valid: LRUCache<string, TokenVerification>

  /** @param capacity tokens kept, at most some 1.5 KB each */
  constructor(curve: Curve, network: Network, capacity = 4096) {
    this.#curve = curve
    this.#network = network
    this.#valid = new LRUCache({ max: capacity })
  }

  /** As `verifyTokenScript`. */
  verify(script: Uint8Array): TokenVerification {
    const name = hash('sha256', script, 'base64')
    const known = this.#valid.get(name)
    if (known !== undefined) return known
    const verification = verifyTokenScript(this.#curve, script, this.#network)
    if (verification.ok) this.#valid.set(name, verification)
    return verification
  }
}

function failed(check: TokenCheck, reason: string): TokenVerification {
  return { ok: false, check, reason }
}
