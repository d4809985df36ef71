import type { Network } from '../../src/config.js'
import type { Curve } from '../../src/curve/curve.js'
import { type IdentityKey, identityKeyBytes, identityKeyFromBytes } from '../../src/keys/identity-key.js'
import { ANYONE_PUBLIC_KEY, anyonePublicKey, type KeyDeriver } from '../../src/keys/key-deriver.js'
import { verifyForAnyone } from './anyone-signature.js'
import { decodePushDrop, encodePushDrop } from './push-drop.js'
import { parseRoutingText, type RoutingAuthorization } from './routing-authorization.js'
import { strictUtf8 } from './utf8.js'

const WITHDRAWAL_INVOICE = '1-phip withdrawal-1'
const WITHDRAWAL_IDENTIFIER = Buffer.from('PHIP-WITHDRAWN')
const FIELDS = 4

/** A recipient's word that an authorization of his is void (protocol section 5). */
export interface Withdrawal {
  readonly recipient: IdentityKey
  /** The text of the routing authorization, as it was signed. */
  readonly text: string
  /** The recipient's signature over the text as a withdrawal, DER. */
  readonly signature: Uint8Array
}

/** What is checked of a withdrawal, in this order; the first that fails is named. */
export const WITHDRAWAL_CHECKS = [
  /** A PushDrop script with nothing else in it. */
  'script',
  /** The first field is `PHIP-WITHDRAWN`. */
  'identifier',
  /** Four fields. */
  'field-count',
  /** A compressed public key, 33 bytes. */
  'recipient-key',
  /** The text of a routing authorization (see parseRoutingText). */
  'text',
  /** The recipient's child key for *anyone*. */
  'locking-key',
  /** Strict DER, low s, by the recipient over the text. */
  'signature'
] as const
export type WithdrawalCheck = (typeof WITHDRAWAL_CHECKS)[number]

export type WithdrawalVerification =
  | { readonly ok: true; readonly withdrawal: Withdrawal; readonly authorization: RoutingAuthorization }
  | { readonly ok: false; readonly check: WithdrawalCheck; readonly reason: string }

/**
 * The recipient's signature that withdraws an authorization.
 *
 * @param keys the recipient's
 * @param text of the authorization
 * @returns DER, 8 to 72 bytes
 */
export function signWithdrawalText(keys: KeyDeriver, text: string): Buffer {
  return keys.sign(Buffer.from(text, 'utf8'), WITHDRAWAL_INVOICE, ANYONE_PUBLIC_KEY)
}

/** True if the recipient withdrew the authorization of this text with this signature; false for any other bytes. */
export function verifyWithdrawalSignature(
  curve: Curve,
  recipient: IdentityKey,
  text: string,
  der: Uint8Array
): boolean {
  return verifyForAnyone(curve, recipient, WITHDRAWAL_INVOICE, Buffer.from(text, 'utf8'), der)
}

/**
 * Locking script that publishes a withdrawal. It is locked to a key of the recipient, so that only he can lift it;
 * whoever publishes it holds no such key, so no signature over the fields follows them.
 *
 * @param withdrawal parsed and verified: what is written here is not looked at again
 */
export function createWithdrawalScript(curve: Curve, { recipient, text, signature }: Withdrawal): Uint8Array {
  const recipientBytes = identityKeyBytes(recipient)
  return encodePushDrop({
    lockingKey: anyonePublicKey(curve, recipientBytes, WITHDRAWAL_INVOICE),
    fields: [WITHDRAWAL_IDENTIFIER, recipientBytes, Buffer.from(text, 'utf8'), signature],
    position: 'before'
  })
}

/**
 * Verifies a locking script as a published withdrawal.
 *
 * @param script any bytes
 * @returns the withdrawal, sharing no memory with the script; or the first check that failed, and a reason for the log
 */
export function verifyWithdrawalScript(
  curve: Curve,
  script: Uint8Array,
  network: Network
): WithdrawalVerification {
  const pushDrop = decodePushDrop(script)
  if (pushDrop === undefined) return failed('script', 'not a PushDrop script')
  const { fields, lockingKey } = pushDrop
  if (!WITHDRAWAL_IDENTIFIER.equals(fields[0]!))
    return failed('identifier', 'the first field is not PHIP-WITHDRAWN')
  if (fields.length !== FIELDS) return failed('field-count', `${fields.length} fields, not ${FIELDS}`)
  const recipientBytes = fields[1]!
  if (!curve.isPublicKey(recipientBytes)) return failed('recipient-key', 'the recipient key is no public key')
  const text = strictUtf8(fields[2]!)
  if (text === undefined) return failed('text', 'the text is not UTF-8')
  const authorization = parseRoutingText(curve, text, network)
  if (!authorization.ok) return failed('text', authorization.reason)
  if (!Buffer.from(lockingKey).equals(anyonePublicKey(curve, recipientBytes, WITHDRAWAL_INVOICE))) {
    return failed('locking-key', 'the lock is not the recipient key')
  }
  const recipient = identityKeyFromBytes(recipientBytes)
  const signature = new Uint8Array(fields[3]!)
  if (!verifyWithdrawalSignature(curve, recipient, text, signature)) {
    return failed('signature', 'the recipient did not withdraw this')
  }
  return { ok: true, withdrawal: { recipient, text, signature }, authorization: authorization.value }
}

/**
 * The recipient's signature that lifts a withdrawal by spending it.
 *
 * @param keys the recipient's
 * @param digest what OP_CHECKSIG checks: SHA-256 of SHA-256 of the sighash preimage, 32 bytes; RangeError otherwise
 * @returns DER without the sighash byte
 */
export function signWithdrawalSpend(keys: KeyDeriver, digest: Uint8Array): Buffer {
  return keys.signDigest(digest, WITHDRAWAL_INVOICE, ANYONE_PUBLIC_KEY)
}

function failed(check: WithdrawalCheck, reason: string): WithdrawalVerification {
  return { ok: false, check, reason }
}
