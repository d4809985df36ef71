import { acknowledgementText, namesOf, parseEnvelopeIds } from '../../src/acknowledgement.js'
import { StaleSession } from '../../src/auth/stale-session.js'
import type { AuthenticatedEndpoint } from '../../src/endpoint.js'
import { ApiError, badRequest } from '../../src/errors.js'
import { identityKeyBytes, parseIdentityKey } from '../../src/keys/identity-key.js'
import { statedSigner, verifyPortableSignature } from '../../src/keys/portable-signature.js'
import { isObject } from '../../src/message.js'
import type { FederationContext } from '../context.js'
import { acceptAcknowledgement } from '../storage/statements.js'
import { requireServedDomain } from './served-domain.js'

/**
 * POST /propagateAcknowledgement (protocol section 6): another host says what a recipient has acknowledged there.
 *
 * Body: `{recipient, envelopeIds: [hex, …], signature}`: 1 to 1,000 names, and a portable signature over
 * `JSON.stringify(["peerserv acknowledgement", 1, recipient, envelopeIds])`. The recipient's own deletes; that of a host
 * with a live token of his hides. What has not come yet is remembered. Answers `{status, acknowledged}`: how many messages
 * that changed here.
 *
 * Errors: 400 ERR_INVALID_RECIPIENT_KEY, ERR_INVALID_ENVELOPE_ID, ERR_TOO_MANY_MESSAGE_IDS; 403 ERR_NOT_HOME where the word
 * of a host speaks of a recipient who is not at home here; 403 ERR_ACKNOWLEDGEMENT_UNPROVEN where the signature does not
 * hold (`check: "signature"`) or is nobody's whose word counts (`check: "host"`).
 */
export const propagateAcknowledgement: AuthenticatedEndpoint<FederationContext> = {
  method: 'POST',
  path: '/propagateAcknowledgement',
  authenticated: true,
  forHosts: true,
  bodyLimit: () => 128 * 1024,
  async handler(request, context) {
    const { caller } = request
    const { clock, config, curve, database, operatorLists } = context
    const body = request.json()
    if (!isObject(body)) throw badRequest('ERR_INVALID_RECIPIENT_KEY', 'The body must be an object.')
    const recipient = parseIdentityKey(curve, body.recipient)
    if (recipient === undefined) {
      throw badRequest('ERR_INVALID_RECIPIENT_KEY', '"recipient" must be an identity key: 66 hex characters.')
    }
    const envelopeIds = parseEnvelopeIds(body.envelopeIds)
    if (!operatorLists.servesIdentity(recipient)) throw operatorLists.refusal('identity')
    await requireServedDomain(context, caller.identityKey)
    const { signature } = body
    const signer = statedSigner(signature)
    const text = acknowledgementText(recipient, envelopeIds)
    if (
      typeof signature !== 'string' ||
      signer === undefined ||
      !verifyPortableSignature(curve, signer, text, signature)
    ) {
      throw unproven('signature', 'The signature is no portable signature over this acknowledgement.')
    }
    const { outcome, acknowledged } = await acceptAcknowledgement(
      database,
      caller.replay,
      {
        recipient: identityKeyBytes(recipient),
        names: namesOf(envelopeIds),
        signer: identityKeyBytes(signer),
        signature,
        caller: caller.identityKeyBytes
      },
      config.limits.timeToLive,
      clock.now()
    )
    switch (outcome) {
      case 'accepted':
        return { body: { status: 'success', acknowledged } }
      case 'not-home':
        throw new ApiError(403, 'ERR_NOT_HOME', 'The recipient has not authorized this host.')
      case 'not-host':
        throw unproven(
          'host',
          'It is signed neither by the recipient nor by a host with a live token of his.'
        )
      default:
        throw new StaleSession(outcome)
    }
  }
}

function unproven(check: 'signature' | 'host', description: string): ApiError {
  return new ApiError(403, 'ERR_ACKNOWLEDGEMENT_UNPROVEN', description, { check })
}
