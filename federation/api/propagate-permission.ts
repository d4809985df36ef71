import { StaleSession } from '../../src/auth/stale-session.js'
import type { AuthenticatedEndpoint } from '../../src/endpoint.js'
import { ApiError, badRequest } from '../../src/errors.js'
import { type IdentityKey, identityKeyBytes, parseIdentityKey } from '../../src/keys/identity-key.js'
import { isObject } from '../../src/message.js'
import {
  parseFee,
  parseRuleName,
  parseSignedRule,
  RULES_AT_ONCE,
  type SignedRule
} from '../../src/permissions/rule.js'
import type { FederationContext } from '../context.js'
import { acceptPermissions } from '../storage/permission-statements.js'
import { requireServedDomain } from './served-domain.js'

/**
 * POST /propagatePermission (protocol section 6): another host passes on what a recipient has signed about who may write to
 * him.
 *
 * Body: `{recipient, permissions: [{messageBox, sender, recipientFee, setAt, signature}, …]}`, 1 to 50: `sender` null: for
 * everybody; `recipientFee` null: no rule any more; `signature` as for /permissions/set. Of two words about one rule the one
 * with the later `setAt` (ms) counts. Answers `{status, changed}`: how many rules have changed here.
 *
 * Errors: 400 ERR_INVALID_REQUEST, ERR_INVALID_RECIPIENT_KEY, ERR_TOO_MANY_PERMISSIONS, ERR_INVALID_MESSAGE_BOX,
 * ERR_INVALID_PUBLIC_KEY, ERR_INVALID_FEE_VALUE, ERR_INVALID_SET_AT; 403 ERR_PERMISSION_UNPROVEN where a signature is not
 * the recipient's, ERR_NOT_HOME, ERR_BLOCKED; 425 ERR_INVALID_SET_AT where one lies more than ten minutes ahead.
 */
export const propagatePermission: AuthenticatedEndpoint<FederationContext> = {
  method: 'POST',
  path: '/propagatePermission',
  authenticated: true,
  forHosts: true,
  bodyLimit: () => 128 * 1024,
  async handler(request, context) {
    const { caller } = request
    const { clock, curve, database, forwarding, keys, operatorLists } = context
    const body = request.json()
    if (!isObject(body)) throw badRequest('ERR_INVALID_REQUEST', 'The body must be an object.')
    const recipient = parseIdentityKey(curve, body.recipient)
    if (recipient === undefined) {
      throw badRequest('ERR_INVALID_RECIPIENT_KEY', '"recipient" must be an identity key: 66 hex characters.')
    }
    if (!operatorLists.servesIdentity(recipient)) throw operatorLists.refusal('identity')
    await requireServedDomain(context, caller.identityKey)
    const rules = parseRules(context, recipient, body.permissions)
    const { outcome, changed, domains } = await acceptPermissions(
      database,
      caller,
      keys.publicKey,
      identityKeyBytes(recipient),
      rules,
      clock.now()
    )
    if (domains !== null) forwarding.nudgeStatements(domains)
    switch (outcome) {
      case 'accepted':
        return { body: { status: 'success', changed } }
      case 'not-home':
        throw new ApiError(403, 'ERR_NOT_HOME', 'The recipient has not authorized this host.')
      default:
        throw new StaleSession(outcome)
    }
  }
}

function parseRules(
  { clock, curve }: FederationContext,
  recipient: IdentityKey,
  permissions: unknown
): SignedRule[] {
  if (!Array.isArray(permissions) || permissions.length === 0) {
    throw badRequest('ERR_INVALID_REQUEST', '"permissions" must be an array of at least one rule.')
  }
  if (permissions.length > RULES_AT_ONCE) {
    throw badRequest('ERR_TOO_MANY_PERMISSIONS', `At most ${RULES_AT_ONCE} rules in one call.`)
  }
  return permissions.map((permission: unknown) => {
    if (!isObject(permission)) throw badRequest('ERR_INVALID_REQUEST', 'A rule must be an object.')
    const { recipientFee = null } = permission
    const rule = {
      ...parseRuleName(curve, permission),
      recipientFee: recipientFee === null ? null : parseFee(recipientFee)
    }
    const signed = parseSignedRule(curve, recipient, rule, permission, clock.now(), 425)
    if (signed === undefined) {
      throw new ApiError(
        403,
        'ERR_PERMISSION_UNPROVEN',
        'The signature of a rule is not the portable signature of its recipient over it.'
      )
    }
    return signed
  })
}
