import type { Caller } from '../../src/auth/caller.js'
import type { SignedMessageFormat } from '../../src/names.js'
import { retryingCollisions } from '../../src/storage/collisions.js'
import { type Queryable, statement } from '../../src/storage/database.js'
import { FORGET_AFTER, type MessageProof } from '../../src/storage/messages.js'
import { type QuotaName, type Quotas, quotasValue } from '../../src/storage/quotas.js'
import type { ExpressionMatches } from '../../src/storage/sent-messages.js'
import type { Origin } from '../origin/proof.js'
import type { ReceivedProof } from './envelopes.js'

export interface ReceivedMessage {
  readonly sender: Buffer
  readonly messageBox: string
  readonly body: Buffer
  /** Row key of the ciphertext as the stated sender's, where the body is sealed. */
  readonly ciphertextKey: string | undefined
  readonly wrapped: boolean
  readonly envelopeId: Buffer
  readonly format: SignedMessageFormat
  readonly keyID: string
  readonly signedBytes: Buffer
  readonly signature: Buffer
  readonly keyLinkage: Buffer
  readonly proof: ReceivedProof | undefined
  /** When a host authenticated the request, as far as that is proven, ms. */
  readonly receivedAt: number
  /** Ascending by recipient. */
  readonly recipients: readonly ReceivedRecipient[]
}

export interface ReceivedRecipient {
  readonly recipient: Buffer
  readonly name: Buffer
  readonly integer: number
  readonly clientId: string | undefined
  readonly origin: Origin
  readonly proof: MessageProof | undefined
  /** Row key of the ciphertext as if the recipient had sent it. */
  readonly reflectionKey: string | undefined
  readonly firstSeen: number
  readonly expiresAt: number
}

export interface ReceivedOutcome {
  /** Counted from 1; 0 speaks of the request. */
  readonly recipient_index: number
  readonly outcome:
    | 'accepted'
    | 'repeat'
    | 'not-home'
    | 'void'
    | 'reflected'
    | 'boxed-again'
    | 'full'
    | 'match'
    | 'replayed'
    | 'unknown'
  readonly expressions: string[] | null
  /** Where it is full. */
  readonly exceeded: QuotaName | null
}

const ACCEPT = statement(
  'accept-propagated',
  `select * from accept_propagated(
    $1::uuid, $2::bigint, $3::bigint, $4::bigint, $5::bytea, $6::text, $7::bytea, $8::boolean,
    $9::bytea, $10::text, $11::text, $12::bytea, $13::bytea, $14::bytea, $15::jsonb, $16::bigint, $17::bytea, $18::bigint,
    $19::bytea[], $20::bytea[], $21::bigint[], $22::text[], $23::text[], $24::jsonb[], $25::uuid[], $26::bigint[],
    $27::bigint[], $28::text[], $29::boolean[], $30::bytea, $31::bigint, $32::quotas, $33::uuid)`
)

/** Stores what another host hands on, in one statement; see `accept_propagated` in the migrations for the outcomes. */
export async function acceptPropagated(
  database: Queryable,
  { identityKeyBytes: host, replay }: Caller,
  message: ReceivedMessage,
  matches: ExpressionMatches,
  quotas: Quotas,
  now: number
): Promise<ReceivedOutcome[]> {
  const { recipients, proof } = message
  const values = [
    replay.digest.toString('hex'),
    replay.issuedAt,
    replay.expiresAt,
    now,
    message.sender,
    message.messageBox,
    message.body,
    message.wrapped,
    message.envelopeId,
    message.format,
    message.keyID,
    message.signedBytes,
    message.signature,
    message.keyLinkage,
    proof === undefined ? null : JSON.stringify(proof),
    message.receivedAt,
    proof === undefined ? null : Buffer.from(proof.senderAuthorization.hostKey, 'hex'),
    proof?.senderAuthorization.given ?? null,
    recipients.map(recipient => recipient.recipient),
    recipients.map(recipient => recipient.name),
    recipients.map(recipient => recipient.integer),
    recipients.map(recipient => recipient.clientId ?? null),
    recipients.map(recipient => recipient.origin),
    recipients.map(recipient => (recipient.proof === undefined ? null : JSON.stringify(recipient.proof))),
    recipients.map(recipient => recipient.reflectionKey ?? null),
    recipients.map(recipient => recipient.firstSeen),
    recipients.map(recipient => recipient.expiresAt),
    [...matches.keys()],
    [...matches.values()],
    host,
    FORGET_AFTER,
    quotasValue(quotas),
    message.ciphertextKey ?? null
  ]
  return retryingCollisions(() => database.query<ReceivedOutcome>(ACCEPT, values))
}
