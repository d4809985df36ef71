import { acknowledgementText, namesOf, parseEnvelopeIds } from '../acknowledgement.js'
import { StaleSession } from '../auth/stale-session.js'
import type { LocalContext } from '../context.js'
import type { Curve } from '../curve/curve.js'
import type { AuthenticatedEndpoint } from '../endpoint.js'
import { badRequest } from '../errors.js'
import type { IdentityKey } from '../keys/identity-key.js'
import { verifyPortableSignature } from '../keys/portable-signature.js'
import { isObject, parseMessageIds } from '../message.js'
import { acknowledgeInOwnWords } from '../storage/acknowledgements.js'

/**
 * POST /acknowledgeMessage (BRC-33): the caller has received these messages; they are deleted, also where a host's word
 * had hidden them, and his other hosts are told (protocol section 6).
 *
 * Body: `{messageIds: [string | integer, …]}`, 1 to 1,000; his other hosts hide them. Or, or also, `{envelopeIds: [hex, …],
 * signature}`, 1 to 1,000 names as lists show them, with the caller's portable signature over `JSON.stringify(["peerserv
 * acknowledgement", 1, caller, envelopeIds])`; they delete them, too. Answers `{status, acknowledged}`: how many there
 * were here. What is gone already, or somebody else's, is no error and changes nothing.
 *
 * Errors: 400 ERR_MESSAGE_ID_REQUIRED, ERR_INVALID_MESSAGE_ID, ERR_TOO_MANY_MESSAGE_IDS, ERR_INVALID_ENVELOPE_ID,
 * ERR_SIGNATURE_INVALID.
 */
export const acknowledgeMessage: AuthenticatedEndpoint<LocalContext> = {
  method: 'POST',
  path: '/acknowledgeMessage',
  authenticated: true,
  async handler(request, context) {
    const { caller } = request
    const { clock, config, curve, database, forwarding, keys, storedMessages } = context
    const body = request.json()
    const { replay, identityKeyBytes: recipient } = caller
    const now = clock.now()
    const { verdict, acknowledged, domains } =
      isObject(body) && body.envelopeIds !== undefined
        ? await acknowledgeInOwnWords(
            database,
            replay,
            { recipient, ...parseSigned(curve, caller.identityKey, body) },
            { self: keys.publicKey, timeToLive: config.limits.timeToLive, now }
          )
        : await storedMessages.acknowledge({ replay, recipient, messageIds: parseMessageIds(body), now })
    if (verdict !== 'fresh') throw new StaleSession(verdict)
    if (domains !== null) forwarding.nudgeStatements(domains)
    return { body: { status: 'success', acknowledged } }
  }
}

function parseSigned(
  curve: Curve,
  recipient: IdentityKey,
  body: Record<string, unknown>
): { messageIds: string[]; names: Buffer[]; signature: string } {
  const envelopeIds = parseEnvelopeIds(body.envelopeIds)
  const { signature } = body
  const text = acknowledgementText(recipient, envelopeIds)
  if (typeof signature !== 'string' || !verifyPortableSignature(curve, recipient, text, signature)) {
    throw badRequest(
      'ERR_SIGNATURE_INVALID',
      `"signature" must be the caller's portable signature over ["peerserv acknowledgement",1,"${recipient}",envelopeIds].`
    )
  }
  const messageIds = body.messageIds === undefined ? [] : parseMessageIds(body)
  return { messageIds, names: namesOf(envelopeIds), signature }
}
