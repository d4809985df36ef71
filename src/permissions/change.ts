import type { Caller } from '../auth/caller.js'
import { StaleSession } from '../auth/stale-session.js'
import type { LocalContext } from '../context.js'
import { ApiError, badRequest } from '../errors.js'
import type { IdentityKey } from '../keys/identity-key.js'
import { type PermissionChange, setPermission } from '../storage/permissions.js'
import { parseSignedRule, RULES_AT_MOST, type RuleName, type SignedRule } from './rule.js'

/**
 * Changes a rule of the caller, and tells his other hosts where he has signed it. Resolves after the commit.
 *
 * @throws StaleSession for a replay; ApiError 409 ERR_PERMISSION_OUTDATED, ERR_TOO_MANY_PERMISSIONS
 */
export async function changePermission(
  { clock, database, forwarding, keys }: LocalContext,
  { replay, identityKeyBytes }: Caller,
  change: PermissionChange
): Promise<void> {
  const { outcome, domains } = await setPermission(
    database,
    replay,
    keys.publicKey,
    identityKeyBytes,
    change,
    clock.now()
  )
  if (domains !== null) forwarding.nudgeStatements(domains)
  switch (outcome) {
    case 'set':
    case 'known':
      return
    case 'outdated':
      throw new ApiError(
        409,
        'ERR_PERMISSION_OUTDATED',
        'A later change of this rule holds already. Sign one with a later "setAt".'
      )
    case 'full':
      throw new ApiError(
        409,
        'ERR_TOO_MANY_PERMISSIONS',
        `There are ${RULES_AT_MOST} rules already. Delete some first (POST /permissions/delete).`
      )
    default:
      throw new StaleSession(outcome)
  }
}

/**
 * The caller's signature over a rule, where the body of his call has one.
 *
 * @param recipientFee null: there shall be no rule; undefined: the fee is not spoken of
 * @throws ApiError 400 ERR_SIGNATURE_INVALID, ERR_INVALID_SET_AT, ERR_INVALID_REQUEST
 */
export function parseOwnSignature(
  { clock, curve }: Pick<LocalContext, 'clock' | 'curve'>,
  caller: IdentityKey,
  name: RuleName,
  recipientFee: number | null | undefined,
  body: Readonly<Record<string, unknown>>
): SignedRule | undefined {
  const { signature = null } = body
  if (signature === null) return undefined
  if (recipientFee === undefined) {
    throw badRequest('ERR_INVALID_REQUEST', 'What is signed is "recipientFee", which is missing.')
  }
  const signed = parseSignedRule(curve, caller, { ...name, recipientFee }, body, clock.now(), 400)
  if (signed === undefined) {
    throw badRequest(
      'ERR_SIGNATURE_INVALID',
      `"signature" must be the caller's portable signature over ["peerserv permission",1,"${caller}",messageBox,sender or null,recipientFee,setAt].`
    )
  }
  return signed
}
