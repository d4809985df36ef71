import type { Envelope, ReplayTicket } from '../auth/caller.js'
import { ApiError } from '../errors.js'
import type { CheckedPayment } from '../payments/payment-check.js'
import { plainArray } from './arrays.js'
import { Batches } from './batches.js'
import { retryingCollisions } from './collisions.js'
import { type Database, type Queryable, statement } from './database.js'
import { FORGET_AFTER, type MessageProof } from './messages.js'
import { attachPayment, keepNodePayment, lockPayment } from './payments.js'
import { type QuotaName, type Quotas, quotasValue } from './quotas.js'
import { admitRequest } from './replays.js'

export interface SentMessage {
  readonly sender: Buffer
  readonly messageBox: string
  readonly body: Buffer
  readonly wrapped: boolean
  /** Row keys (names.ts). */
  readonly paymentDigest: string | undefined
  readonly ciphertextKey: string | undefined
  readonly envelope: Envelope
  /** Ascending by recipient. */
  readonly recipients: readonly SentRecipient[]
}

export interface SentRecipient {
  readonly recipient: Buffer
  readonly name: Buffer
  readonly integer: number
  /** Undefined where the integer is shown: no id, or one of digits only. */
  readonly clientId: string | undefined
  readonly idKey: string | undefined
  readonly proof: MessageProof | undefined
  readonly expiresAt: number
}

/** Whether box expressions of a recipient's hosts match the message's box. */
export type ExpressionMatches = ReadonlyMap<string, boolean>

export interface SentOutcome {
  /** Counted from 1; 0 speaks of the request. */
  readonly recipient_index: number
  readonly outcome:
    | 'accepted'
    | 'repeat'
    | 'match'
    | 'replayed'
    | 'unknown'
    | 'unprovable'
    | 'duplicate'
    | 'full'
    | 'blocked'
    | 'due'
    | 'elsewhere'
  readonly delivery: 'local' | 'parked' | 'forwarding'
  readonly shown_id: string
  readonly forwardable: boolean
  /** To be nudged; where it is elsewhere, the URL of the host. */
  readonly domains: string[] | null
  readonly expressions: string[] | null
  /** Where it is full. */
  readonly exceeded: QuotaName | null
  /** Satoshis, where they are due. */
  readonly fee: number | null
}

/** One request to be stored. */
export interface SentRequest {
  readonly replay: ReplayTicket
  readonly message: SentMessage
  readonly matches: ExpressionMatches
  /** Milliseconds. */
  readonly now: number
  /** What this node wants for it, satoshis. */
  readonly deliveryFee: number
  /** What its payment is shown to pay, by recipient; undefined until something is found to be due. */
  readonly paid: readonly number[] | undefined
  /** Verified. */
  readonly payment: CheckedPayment | undefined
}

const ACCEPT_SENT = statement(
  'accept-sent',
  `select * from accept_sent(
    $1::uuid, $2::bigint, $3::bigint, $4::bigint, $5::bytea, $6::bytea, $7::text, $8::bytea, $9::boolean,
    $10::uuid, $11::uuid, $12::bytea, $13::text, $14::text, $15::bytea, $16::bytea, $17::boolean,
    $18::bytea[], $19::bytea[], $20::bigint[], $21::text[], $22::uuid[], $23::jsonb[], $24::bigint[],
    $25::text[], $26::boolean[], $27::bigint, $28::quotas, $29::bigint, $30::bigint[])`
)

const ACCEPT_SENT_BATCH = statement(
  'accept-sent-batch',
  `select * from accept_sent_batch(
    $1::bytea, $2::bytea, $3::integer[], $4::integer[], $5::integer[], $6::integer[], $7::uuid[], $8::bigint[], $9::bigint[],
    $10::bigint[], $11::text[], $12::boolean[], $13::uuid[], $14::uuid[], $15::text[], $16::text[], $17::boolean[],
    $18::bigint[], $19::text[], $20::uuid[], $21::jsonb[], $22::bigint[], $23::bigint, $24::quotas)`
)

/** Larger ones would hold up the others of their statement. */
const BATCHED_BYTES = 16 * 1024

/** Stores messages of this node's own users and plans their deliveries. */
export class SentMessages {
  readonly #database: Database
  readonly #self: Uint8Array
  readonly #quotas: string
  readonly #bytesPerRecipient: number
  readonly #batches: Batches<SentRequest, readonly SentOutcome[]>

  /** @param self this node's identity key, 33 bytes */
  constructor(database: Database, self: Uint8Array, quotas: Quotas) {
    this.#database = database
    this.#self = self
    this.#quotas = quotasValue(quotas)
    this.#bytesPerRecipient = quotas.bytesPerRecipient
    this.#batches = new Batches<SentRequest, readonly SentOutcome[]>({
      size: 32,
      order: request => recipientOf(request).recipient,
      keys: keysOf,
      together: requests => this.#acceptTogether(requests),
      alone: request => this.#acceptOne(request)
    })
  }

  /** Resolves after the commit; see `accept_sent` in the migrations for the outcomes. */
  accept(request: SentRequest): Promise<readonly SentOutcome[]> {
    return isBatchable(request) ? this.#batches.add(request) : this.#acceptOne(request)
  }

  async #acceptTogether(requests: readonly SentRequest[]): Promise<SentOutcome[][]> {
    const rows = await this.#database.query<SentOutcome & { request: number }>(
      ACCEPT_SENT_BATCH,
      batchValues(requests, this.#self, this.#quotas)
    )
    const outcomes: SentOutcome[][] = requests.map(() => [])
    for (const row of rows) outcomes[row.request - 1]!.push(row)
    return outcomes
  }

  #acceptOne(request: SentRequest): Promise<SentOutcome[]> {
    const values = requestValues(request, this.#self, this.#quotas)
    const { payment } = request
    return retryingCollisions(() =>
      payment === undefined
        ? this.#database.query<SentOutcome>(ACCEPT_SENT, values)
        : this.#database.transaction(tx => this.#acceptPaid(tx, request, payment, values))
    ).catch(async error => {
      // What was refused together with its payment was undone, and the memory of the request too.
      if (error instanceof ApiError && error.httpStatus !== 503)
        await admitRequest(this.#database, request.replay)
      throw error
    })
  }

  /** Messages and what pays for them, all or nothing. */
  async #acceptPaid(
    tx: Queryable,
    { message, deliveryFee, paid, now }: SentRequest,
    payment: CheckedPayment,
    values: unknown[]
  ): Promise<SentOutcome[]> {
    await lockPayment(tx, payment)
    const outcomes = await tx.query<SentOutcome>(ACCEPT_SENT, values)
    const accepted = outcomes.filter(({ outcome }) => outcome === 'accepted')
    if (accepted.length === 0) return outcomes
    if (deliveryFee > 0) await keepNodePayment(tx, payment, payment.delivery!, '/sendMessage', now)
    const kept = accepted
      .filter(({ delivery }) => delivery !== 'forwarding')
      .map(({ recipient_index }) => {
        const { recipient, name } = message.recipients[recipient_index - 1]!
        return { recipient, name, fee: paid?.[recipient_index - 1] ?? 0, isSealed: false }
      })
    await attachPayment(tx, payment, message.sender, kept, this.#bytesPerRecipient, now)
    return outcomes
  }
}

function isBatchable({ message, matches, deliveryFee, paid, payment }: SentRequest): boolean {
  return (
    message.recipients.length === 1 &&
    matches.size === 0 &&
    deliveryFee === 0 &&
    paid === undefined &&
    payment === undefined &&
    message.envelope.signedBytes.length <= BATCHED_BYTES
  )
}

function recipientOf({ message }: SentRequest): SentRecipient {
  return message.recipients[0]!
}

/** Of two requests with the same bytes, name or id one must see what became of the other. */
function keysOf(request: SentRequest): string[] {
  const { recipient, name, idKey, clientId, integer } = recipientOf(request)
  const keys = [
    request.message.envelope.id.toString('latin1'),
    name.toString('latin1'),
    `${recipient.toString('latin1')}${clientId ?? integer}`
  ]
  if (idKey !== undefined) keys.push(idKey)
  return keys
}

function requestValues(
  { replay, message, matches, now, deliveryFee, paid }: SentRequest,
  self: Uint8Array,
  quotas: string
) {
  const { envelope, recipients } = message
  return [
    replay.digest.toString('hex'),
    replay.issuedAt,
    replay.expiresAt,
    now,
    self,
    message.sender,
    message.messageBox,
    message.body,
    message.wrapped,
    message.paymentDigest ?? null,
    message.ciphertextKey ?? null,
    envelope.id,
    envelope.format,
    envelope.keyID,
    envelope.signedBytes,
    envelope.signature,
    envelope.carriesAuthorization,
    recipients.map(({ recipient }) => recipient),
    recipients.map(({ name }) => name),
    plainArray(recipients.map(({ integer }) => integer)),
    recipients.map(({ clientId }) => clientId ?? null),
    plainArray(recipients.map(({ idKey }) => idKey)),
    recipients.map(({ proof }) => proofValue(proof)),
    plainArray(recipients.map(({ expiresAt }) => expiresAt)),
    [...matches.keys()],
    plainArray([...matches.values()]),
    FORGET_AFTER,
    quotas,
    deliveryFee,
    paid === undefined ? null : plainArray(paid)
  ]
}

function proofValue(proof: MessageProof | undefined): string | null {
  return proof === undefined ? null : JSON.stringify(proof)
}

/** All bytes go in one parameter: arrays of them would travel as hexadecimal text. */
function batchValues(requests: readonly SentRequest[], self: Uint8Array, quotas: string): unknown[] {
  const parts: Buffer[] = []
  const starts: number[] = []
  let length = 0
  for (const request of requests) {
    const { sender, body, envelope } = request.message
    const { recipient, name } = recipientOf(request)
    starts.push(length + 1)
    for (const part of [
      sender,
      recipient,
      name,
      envelope.id,
      body,
      envelope.signedBytes,
      envelope.signature
    ]) {
      parts.push(part)
      length += part.length
    }
  }
  const messages = requests.map(({ message }) => message)
  const recipients = requests.map(recipientOf)
  return [
    self,
    Buffer.concat(parts, length),
    plainArray(starts),
    plainArray(messages.map(({ body }) => body.length)),
    plainArray(messages.map(({ envelope }) => envelope.signedBytes.length)),
    plainArray(messages.map(({ envelope }) => envelope.signature.length)),
    plainArray(requests.map(({ replay }) => replay.digest.toString('hex'))),
    plainArray(requests.map(({ replay }) => replay.issuedAt)),
    plainArray(requests.map(({ replay }) => replay.expiresAt)),
    plainArray(requests.map(({ now }) => now)),
    messages.map(({ messageBox }) => messageBox),
    plainArray(messages.map(({ wrapped }) => wrapped)),
    plainArray(messages.map(({ paymentDigest }) => paymentDigest)),
    plainArray(messages.map(({ ciphertextKey }) => ciphertextKey)),
    plainArray(messages.map(({ envelope }) => envelope.format)),
    messages.map(({ envelope }) => envelope.keyID),
    plainArray(messages.map(({ envelope }) => envelope.carriesAuthorization)),
    plainArray(recipients.map(({ integer }) => integer)),
    recipients.map(({ clientId }) => clientId ?? null),
    plainArray(recipients.map(({ idKey }) => idKey)),
    recipients.map(({ proof }) => proofValue(proof)),
    plainArray(recipients.map(({ expiresAt }) => expiresAt)),
    FORGET_AFTER,
    quotas
  ]
}
