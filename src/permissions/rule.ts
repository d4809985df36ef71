import type { Curve } from '../curve/curve.js'
import { ApiError, badRequest } from '../errors.js'
import { type IdentityKey, parseIdentityKey } from '../keys/identity-key.js'
import { verifyPortableSignature } from '../keys/portable-signature.js'
import { CLOCK_TOLERANCE, parseMessageBox } from '../message.js'

/** Which rule of a recipient is meant. */
export interface RuleName {
  readonly messageBox: string
  /** Undefined: everybody for whom there is no rule of his own. */
  readonly sender: IdentityKey | undefined
}

/** A rule as its recipient has signed it, so that no host has to be trusted (protocol section 6). */
export interface SignedRule extends RuleName {
  /** Satoshis; 0: free; -1: blocked; null: no rule any more. */
  readonly recipientFee: number | null
  /** Milliseconds since 1970. */
  readonly setAt: number
  readonly signature: string
}

/** Rules of one recipient at most; of each the latest signature is kept. */
export const RULES_AT_MOST = 10_000
/** In one call between hosts at most; each has a signature to verify. */
export const RULES_AT_ONCE = 50
/** A thousand coins. */
const MOST_SATOSHIS = 1e11

/**
 * Names the rule that a call is about.
 *
 * @throws ApiError 400 ERR_INVALID_MESSAGE_BOX, ERR_INVALID_PUBLIC_KEY
 */
export function parseRuleName(
  curve: Curve,
  { messageBox, sender = null }: Readonly<Record<string, unknown>>
): RuleName {
  return {
    messageBox: parseBox(messageBox),
    sender: sender === null ? undefined : parsePermissionKey(curve, 'sender', sender)
  }
}

/** @throws ApiError 400 ERR_INVALID_PUBLIC_KEY */
export function parsePermissionKey(curve: Curve, name: string, value: unknown): IdentityKey {
  const key = parseIdentityKey(curve, value)
  if (key === undefined) {
    throw badRequest(
      'ERR_INVALID_PUBLIC_KEY',
      `"${name}" must be an identity key: a compressed secp256k1 public key as 66 hex characters.`
    )
  }
  return key
}

/** @throws ApiError 400 ERR_INVALID_FEE_VALUE */
export function parseFee(value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < -1 || (value as number) > MOST_SATOSHIS) {
    throw badRequest(
      'ERR_INVALID_FEE_VALUE',
      `"recipientFee" must be -1 (blocked), 0 (free) or a number of satoshis up to ${MOST_SATOSHIS}.`
    )
  }
  return value as number
}

/**
 * Reads the signature that comes with a rule, where there is one.
 *
 * @param now ms
 * @param early what is answered where the time lies ahead: 400 to the recipient, 425 to a host
 * @returns undefined where nothing is signed, or the signature does not hold
 * @throws ApiError ERR_INVALID_SET_AT
 */
export function parseSignedRule(
  curve: Curve,
  recipient: IdentityKey,
  rule: RuleName & { readonly recipientFee: number | null },
  { setAt, signature }: Readonly<Record<string, unknown>>,
  now: number,
  early: 400 | 425
): SignedRule | undefined {
  if (!Number.isSafeInteger(setAt) || (setAt as number) < 0) {
    throw badRequest('ERR_INVALID_SET_AT', '"setAt" must be an integer: milliseconds since 1970.')
  }
  if ((setAt as number) > now + CLOCK_TOLERANCE) {
    throw new ApiError(early, 'ERR_INVALID_SET_AT', '"setAt" lies more than ten minutes ahead of this node.')
  }
  if (typeof signature !== 'string') return undefined
  const { messageBox, sender, recipientFee } = rule
  const signed = { messageBox, sender, recipientFee, setAt: setAt as number, signature }
  return verifyPortableSignature(curve, recipient, permissionText(recipient, signed), signature)
    ? signed
    : undefined
}

/** The text that a recipient signs portably to set a rule at all of his hosts (protocol section 6). */
export function permissionText(
  recipient: IdentityKey,
  { messageBox, sender, recipientFee, setAt }: Omit<SignedRule, 'signature'>
): string {
  return JSON.stringify([
    'peerserv permission',
    1,
    recipient,
    messageBox,
    sender ?? null,
    recipientFee,
    setAt
  ])
}

/** Clients of permissions know one code for all that can be wrong with a box. */
function parseBox(value: unknown): string {
  try {
    return parseMessageBox(value)
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    throw badRequest('ERR_INVALID_MESSAGE_BOX', error.message)
  }
}
