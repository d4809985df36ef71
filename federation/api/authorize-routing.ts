import { StaleSession } from '../../src/auth/stale-session.js'
import type { AuthenticatedEndpoint } from '../../src/endpoint.js'
import { ApiError, badRequest } from '../../src/errors.js'
import type { IdentityKey } from '../../src/keys/identity-key.js'
import { isObject } from '../../src/message.js'
import type { Queryable } from '../../src/storage/database.js'
import { admitRequest } from '../../src/storage/replays.js'
import type { FederationContext } from '../context.js'
import { parseSignatureMember } from '../phip/anyone-signature.js'
import { parseRoutingText, verifyRoutingSignature } from '../phip/routing-authorization.js'
import {
  findRoutingAuthorization,
  type RoutingAuthorization,
  saveRoutingAuthorization
} from '../storage/authorizations.js'

/** A recipient changes his authorization at most once in this time, ms; each change costs the host a transaction. */
const CHANGE_INTERVAL = 60 * 60 * 1000
/** The `local` network is for trying things out. */
const LOCAL_CHANGE_INTERVAL = 100

/**
 * POST /authorizeRouting (BRC-34): the caller permits this host to advertise that it takes messages for him.
 *
 * Body: `{message, signature}`: `<this host's key> <its domain> <box expression or ALL>`, and the caller's signature over
 * it (`[1, 'phip authorization']`, key id `1`, counterparty `anyone`; DER as hex, base64 or an array of numbers). Answers
 * `{status, txid}` once the token is in this host's own index; the same authorization again makes no new one.
 *
 * This host is a home of the caller exactly from the moment at which its token is in the index: where none can be made,
 * nothing is kept of the authorization.
 *
 * Errors: 400 ERR_INVALID_AUTHORIZATION, ERR_SIGNATURE_INVALID; 409 ERR_AUTHORIZATION_WITHDRAWN; 429
 * ERR_AUTHORIZATION_RATE, ERR_DAILY_CEILING; 503 ERR_NO_FUNDING.
 */
export const authorizeRouting: AuthenticatedEndpoint<FederationContext> = {
  method: 'POST',
  path: '/authorizeRouting',
  authenticated: true,
  async handler(request, context) {
    const { caller } = request
    const authorization = parseAuthorization(context, caller.identityKey, request.json())
    // By itself and first: what is refused now, because it comes too early or is withdrawn, could be taken later.
    const verdict = await admitRequest(context.database, caller.replay)
    if (verdict !== 'fresh') throw new StaleSession(verdict)
    await context.overlay.requireStanding(caller.identityKey, authorization.text)
    const recipient = caller.identityKeyBytes
    await requireInterval(context, context.database, recipient, authorization.text)
    const { txid } = await context.overlay.advertise(
      {
        recipient: caller.identityKey,
        boxExpression: authorization.boxExpression,
        recipientSignature: authorization.signature
      },
      async tx => {
        // Again, now that the recipient is locked: two different texts may come at once.
        if (await requireInterval(context, tx, recipient, authorization.text)) return
        await saveRoutingAuthorization(tx, { ...authorization, recipient }, context.clock.now())
      }
    )
    return { body: { status: 'success', txid } }
  }
}

/**
 * @returns true if this very text is in force, so that nothing changes
 * @throws ApiError 429 ERR_AUTHORIZATION_RATE
 */
async function requireInterval(
  { clock, config }: FederationContext,
  tx: Queryable,
  recipient: Buffer,
  text: string
): Promise<boolean> {
  const former = await findRoutingAuthorization(tx, recipient)
  if (former?.inForce === true && former.text === text) return true
  const interval = config.network === 'local' ? LOCAL_CHANGE_INTERVAL : CHANGE_INTERVAL
  const wait = former === undefined ? 0 : former.authorizedAt + interval - clock.now()
  if (wait > 0) throw tooOften(wait)
  return false
}

function parseAuthorization(
  { curve, keys, config }: FederationContext,
  recipient: IdentityKey,
  body: unknown
): Omit<RoutingAuthorization, 'recipient'> {
  if (!isObject(body) || typeof body.message !== 'string') {
    throw badRequest(
      'ERR_INVALID_AUTHORIZATION',
      'The body must be {"message": "<host key> <host domain> <box expression or ALL>", "signature": …}.'
    )
  }
  const text = body.message
  const parsed = parseRoutingText(curve, text, config.network)
  if (!parsed.ok) throw badRequest('ERR_INVALID_AUTHORIZATION', `${parsed.reason}.`)
  const { hostKey, domain, boxExpression } = parsed.value
  if (hostKey !== keys.identityKey || domain !== config.publicDomain) {
    throw badRequest(
      'ERR_INVALID_AUTHORIZATION',
      `The authorization must name this host: "${keys.identityKey} ${config.publicDomain} …".`
    )
  }
  const signature = parseSignatureMember(body.signature)
  if (signature === undefined || !verifyRoutingSignature(curve, recipient, text, signature)) {
    throw badRequest(
      'ERR_SIGNATURE_INVALID',
      "The signature is not the caller's over this message under [1, 'phip authorization'], key id 1, counterparty anyone."
    )
  }
  return { text, signature: Buffer.from(signature), boxExpression }
}

function tooOften(wait: number): ApiError {
  const seconds = Math.ceil(wait / 1000)
  return new ApiError(
    429,
    'ERR_AUTHORIZATION_RATE',
    `An authorization can be replaced once an hour; again in ${seconds} s.`,
    { retryAfter: seconds },
    { 'retry-after': String(seconds) }
  )
}
