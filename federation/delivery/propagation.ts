import { type IdentityKey, identityKeyFromBytes } from '../../src/keys/identity-key.js'
import type { KeyDeriver } from '../../src/keys/key-deriver.js'
import type { SignedMessageFormat } from '../../src/names.js'
import { attest } from '../origin/sender-authorization.js'
import type { EnvelopeRow } from '../storage/envelopes.js'

/** What begins the BRC-43 invoice number that a request of each format was signed under; the key id follows. */
const INVOICE_PREFIX: Readonly<Record<SignedMessageFormat, string>> = {
  brc104: '2-auth message signature-',
  brc103: '2-auth message signature-',
  authrite: '2-authrite message signature-'
}

/**
 * The body of POST /propagateMessage: an envelope, what proves it, and which of its recipients are meant (BRC-34, protocol
 * section 4).
 *
 * @param firstSeen ms; counts for sealed bodies
 */
export function propagationBody(
  keys: KeyDeriver,
  envelope: EnvelopeRow,
  recipients: readonly IdentityKey[],
  firstSeen: number
): object {
  const sender = identityKeyFromBytes(envelope.sender)
  const linkage =
    envelope.key_linkage ?? keys.linkage(envelope.sender, INVOICE_PREFIX[envelope.format] + envelope.key_id)
  const own =
    envelope.authorization === null
      ? undefined
      : {
          senderAuthorization: { hostKey: keys.identityKey, ...envelope.authorization },
          hostAttestation: attest(keys, envelope.id, sender, envelope.received_at)
        }
  return {
    originalSender: sender,
    keyLinkage: linkage.toString('hex'),
    signedMessage: envelope.signed_bytes.toString('base64'),
    senderSignature: envelope.signature.toString('hex'),
    signedMessageFormat: envelope.format,
    keyID: envelope.key_id,
    recipients,
    ...(envelope.proof ?? own),
    firstSeen
  }
}
