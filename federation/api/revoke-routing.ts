import type { Caller } from '../../src/auth/caller.js'
import { StaleSession } from '../../src/auth/stale-session.js'
import type { AuthenticatedEndpoint } from '../../src/endpoint.js'
import { badRequest } from '../../src/errors.js'
import { isObject } from '../../src/message.js'
import { admitRequest } from '../../src/storage/replays.js'
import type { FederationContext } from '../context.js'
import { parseSignatureMember } from '../phip/anyone-signature.js'
import { parseRoutingText } from '../phip/routing-authorization.js'
import { verifyWithdrawalSignature, type Withdrawal } from '../phip/withdrawal.js'
import { findRoutingAuthorization, revokeRoutingAuthorization } from '../storage/authorizations.js'

/**
 * POST /revokeRouting (protocol section 5): the caller takes his routing authorization back.
 *
 * Body `{}`: from this host, which forgets it and spends its tokens. Body `{message, signature}`: the text of an
 * authorization of any host, signed by the caller under `[1, 'phip withdrawal']` (key id `1`, `anyone`): published in the
 * overlay, it voids every token with that text, also of a host that no longer obeys; if it names this host, this host obeys
 * at once. Answers `{status, revoked, txid}`: whether this host held an authorization, and the transaction of the
 * withdrawal, null where none was needed (there is one already, or nobody has advertised this text).
 *
 * Errors: 400 ERR_INVALID_WITHDRAWAL, ERR_SIGNATURE_INVALID; 429 ERR_DAILY_CEILING, 503 ERR_NO_FUNDING, both only about publishing:
 * what names this host has been obeyed by then.
 */
export const revokeRouting: AuthenticatedEndpoint<FederationContext> = {
  method: 'POST',
  path: '/revokeRouting',
  authenticated: true,
  async handler(request, context) {
    const { caller } = request
    const withdrawal = parseWithdrawal(context, caller, request.json())
    const isOurs = withdrawal === undefined || withdrawal.text.startsWith(`${context.keys.identityKey} `)
    const revoked = await context.database.transaction(async tx => {
      const verdict = await admitRequest(tx, caller.replay)
      if (verdict !== 'fresh') throw new StaleSession(verdict)
      const held = await findRoutingAuthorization(tx, caller.identityKeyBytes)
      if (held?.inForce !== true || !isOurs) return false
      // An older text withdrawn says nothing about the one that is in force.
      if (withdrawal !== undefined && withdrawal.text !== held.text) return false
      await revokeRoutingAuthorization(tx, caller.identityKeyBytes, context.clock.now())
      return true
    })
    // Obeyed first: whether the withdrawal can be published does not matter here.
    if (revoked || withdrawal === undefined) await context.overlay.revoke(caller.identityKey)
    const txid = withdrawal === undefined ? undefined : await context.overlay.publishWithdrawal(withdrawal)
    return { body: { status: 'success', revoked, txid: txid ?? null } }
  }
}

function parseWithdrawal(
  { curve, config }: FederationContext,
  { identityKey }: Caller,
  body: unknown
): Withdrawal | undefined {
  if (!isObject(body)) throw badRequest('ERR_INVALID_WITHDRAWAL', 'The body must be an object.')
  if (body.message === undefined && body.signature === undefined) return undefined
  const text = body.message
  if (typeof text !== 'string') {
    throw badRequest(
      'ERR_INVALID_WITHDRAWAL',
      '"message" must be the text of the authorization: "<host key> <host domain> <box expression or ALL>".'
    )
  }
  const parsed = parseRoutingText(curve, text, config.network)
  if (!parsed.ok) throw badRequest('ERR_INVALID_WITHDRAWAL', `${parsed.reason}.`)
  const signature = parseSignatureMember(body.signature)
  if (signature === undefined || !verifyWithdrawalSignature(curve, identityKey, text, signature)) {
    throw badRequest(
      'ERR_SIGNATURE_INVALID',
      "The signature is not the caller's over this message under [1, 'phip withdrawal'], key id 1, counterparty anyone."
    )
  }
  return { recipient: identityKey, text, signature }
}
