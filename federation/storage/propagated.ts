import type { Caller } from '../../src/auth/caller.js'
import type { SignedMessageFormat } from '../../src/names.js'
import type { PaidOutput } from '../../src/payments/paid.js'
import { sumOf } from '../../src/payments/paid.js'
import type { CheckedPayment } from '../../src/payments/payment-check.js'
import { plainArray } from '../../src/storage/arrays.js'
import { Batches } from '../../src/storage/batches.js'
import { retryingCollisions } from '../../src/storage/collisions.js'
import { type Database, type Queryable, statement } from '../../src/storage/database.js'
import { FORGET_AFTER, type MessageProof } from '../../src/storage/messages.js'
import { attachPayment, lockPayment, usedOutputs } from '../../src/storage/payments.js'
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
    | 'unsealed-only'
    | 'blocked'
    | 'due'
    | 'full'
    | 'match'
    | 'replayed'
    | 'unknown'
  readonly expressions: string[] | null
  /** Where it is full. */
  readonly exceeded: QuotaName | null
  /** Satoshis, where they are due. */
  readonly fee: number | null
}

const ACCEPT = statement(
  'accept-propagated',
  `select * from accept_propagated(
    $1::uuid, $2::bigint, $3::bigint, $4::bigint, $5::bytea, $6::text, $7::bytea, $8::boolean,
    $9::bytea, $10::text, $11::text, $12::bytea, $13::bytea, $14::bytea, $15::jsonb, $16::bigint, $17::bytea, $18::bigint,
    $19::bytea[], $20::bytea[], $21::bigint[], $22::text[], $23::text[], $24::jsonb[], $25::uuid[], $26::bigint[],
    $27::bigint[], $28::text[], $29::boolean[], $30::bytea, $31::bigint, $32::quotas, $33::uuid, $34::bigint[])`
)

const ACCEPT_BATCH = statement(
  'accept-propagated-batch',
  `select * from accept_propagated_batch(
    $1::bytea, $2::integer[], $3::integer[], $4::integer[], $5::integer[], $6::integer[], $7::uuid[], $8::bigint[],
    $9::bigint[], $10::bigint[], $11::text[], $12::boolean[], $13::text[], $14::text[], $15::jsonb[], $16::bigint[],
    $17::bytea[], $18::bigint[], $19::bigint[], $20::text[], $21::text[], $22::jsonb[], $23::uuid[], $24::uuid[],
    $25::bigint[], $26::bigint[], $27::bigint, $28::quotas)`
)

/** One request to be stored. */
export interface ReceivedRequest {
  /** The host that hands it on. */
  readonly caller: Pick<Caller, 'identityKeyBytes' | 'replay'>
  readonly message: ReceivedMessage
  readonly matches: ExpressionMatches
  /** Milliseconds. */
  readonly now: number
  /** Verified. */
  readonly payment: CheckedPayment | undefined
}

/** Requests in one statement at most. */
const BATCH = 32
/** Larger ones would hold up the others of their statement. */
const BATCHED_BYTES = 16 * 1024

/** Stores what other hosts hand on; see `accept_propagated` in the migrations for the outcomes. */
export class ReceivedMessages {
  readonly #database: Database
  readonly #quotas: string
  readonly #bytesPerRecipient: number
  readonly #batches: Batches<ReceivedRequest, ReceivedOutcome[]>

  constructor(database: Database, quotas: Quotas) {
    this.#database = database
    this.#quotas = quotasValue(quotas)
    this.#bytesPerRecipient = quotas.bytesPerRecipient
    this.#batches = new Batches<ReceivedRequest, ReceivedOutcome[]>({
      size: BATCH,
      order: ({ message }) => message.recipients[0]!.recipient,
      // Those that have something in common are accepted one after the other, and see what became of those before.
      keys: () => [],
      together: requests => this.#acceptAll(requests),
      alone: request => this.#acceptOne(request)
    })
  }

  /** Resolves after the commit. */
  accept(request: ReceivedRequest): Promise<ReceivedOutcome[]> {
    return isBatchable(request) ? this.#batches.add(request) : this.#acceptOne(request)
  }

  #acceptOne(request: ReceivedRequest): Promise<ReceivedOutcome[]> {
    const { matches, message, caller, payment } = request
    const values = [
      ...commonValues(request),
      ...columns(message.recipients.map(recipientValues)),
      [...matches.keys()],
      [...matches.values()],
      caller.identityKeyBytes,
      FORGET_AFTER,
      this.#quotas,
      message.ciphertextKey ?? null
    ]
    return retryingCollisions(() =>
      payment === undefined
        ? this.#database.query<ReceivedOutcome>(ACCEPT, [...values, null])
        : this.#database.transaction(tx => this.#acceptPaid(tx, request, payment, values))
    )
  }

  /** Messages and what pays for them, all or nothing. What was used before pays for nothing. */
  async #acceptPaid(
    tx: Queryable,
    { message, now }: ReceivedRequest,
    payment: CheckedPayment,
    values: readonly unknown[]
  ): Promise<ReceivedOutcome[]> {
    await lockPayment(tx, payment)
    const used = await usedOutputs(tx, payment, message.sender)
    const left = message.recipients.map(({ recipient, origin }): PaidOutput[] => {
      const key = recipient.toString('hex')
      return used.left(payment.recipients.get(key), key, origin === 'sealed')
    })
    const outcomes = await tx.query<ReceivedOutcome>(ACCEPT, [...values, left.map(sumOf)])
    const accepted = outcomes
      .filter(({ outcome }) => outcome === 'accepted')
      .map(({ recipient_index, fee }) => {
        const { recipient, name, origin } = message.recipients[recipient_index - 1]!
        return { recipient, name, fee: fee ?? 0, isSealed: origin === 'sealed' }
      })
    await attachPayment(tx, payment, message.sender, accepted, this.#bytesPerRecipient, now)
    return outcomes
  }

  async #acceptAll(requests: readonly ReceivedRequest[]): Promise<ReceivedOutcome[][]> {
    const outcomes: ReceivedOutcome[][] = requests.map(() => [])
    const answered = await this.#database.query<ReceivedOutcome & { request: number }>(
      ACCEPT_BATCH,
      batchValues(requests, this.#quotas)
    )
    for (const outcome of answered) outcomes[outcome.request - 1]!.push(outcome)
    return outcomes
  }
}

function isBatchable({ message, matches, payment }: ReceivedRequest): boolean {
  return (
    payment === undefined &&
    message.recipients.length === 1 &&
    matches.size === 0 &&
    message.signedBytes.length <= BATCHED_BYTES
  )
}

/** What both statements begin with, in the order of their parameters. */
function commonValues({ caller, message, now }: ReceivedRequest): unknown[] {
  const { proof } = message
  const { replay } = caller
  return [
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
    proof?.senderAuthorization.given ?? null
  ]
}

function recipientValues(recipient: ReceivedRecipient): unknown[] {
  return [
    recipient.recipient,
    recipient.name,
    recipient.integer,
    recipient.clientId ?? null,
    recipient.origin,
    recipient.proof === undefined ? null : JSON.stringify(recipient.proof),
    recipient.reflectionKey ?? null,
    recipient.firstSeen,
    recipient.expiresAt
  ]
}

/** All bytes go in one parameter: arrays of them would travel as hexadecimal text. */
function batchValues(requests: readonly ReceivedRequest[], quotas: string): unknown[] {
  const parts: Buffer[] = []
  const starts: number[] = []
  let length = 0
  for (const { caller, message } of requests) {
    const { recipient, name } = message.recipients[0]!
    starts.push(length + 1)
    for (const part of [
      message.sender,
      recipient,
      caller.identityKeyBytes,
      name,
      message.envelopeId,
      message.body,
      message.signedBytes,
      message.signature,
      message.keyLinkage
    ]) {
      parts.push(part)
      length += part.length
    }
  }
  const messages = requests.map(({ message }) => message)
  const recipients = messages.map(message => message.recipients[0]!)
  const replays = requests.map(({ caller }) => caller.replay)
  return [
    Buffer.concat(parts, length),
    plainArray(starts),
    plainArray(messages.map(({ body }) => body.length)),
    plainArray(messages.map(({ signedBytes }) => signedBytes.length)),
    plainArray(messages.map(({ signature }) => signature.length)),
    plainArray(messages.map(({ keyLinkage }) => keyLinkage.length)),
    plainArray(replays.map(({ digest }) => digest.toString('hex'))),
    plainArray(replays.map(({ issuedAt }) => issuedAt)),
    plainArray(replays.map(({ expiresAt }) => expiresAt)),
    plainArray(requests.map(({ now }) => now)),
    messages.map(({ messageBox }) => messageBox),
    plainArray(messages.map(({ wrapped }) => wrapped)),
    plainArray(messages.map(({ format }) => format)),
    messages.map(({ keyID }) => keyID),
    messages.map(({ proof }) => (proof === undefined ? null : JSON.stringify(proof))),
    plainArray(messages.map(({ receivedAt }) => receivedAt)),
    messages.map(({ proof }) =>
      proof === undefined ? null : Buffer.from(proof.senderAuthorization.hostKey, 'hex')
    ),
    plainArray(messages.map(({ proof }) => proof?.senderAuthorization.given)),
    plainArray(recipients.map(({ integer }) => integer)),
    recipients.map(({ clientId }) => clientId ?? null),
    plainArray(recipients.map(({ origin }) => origin)),
    recipients.map(({ proof }) => (proof === undefined ? null : JSON.stringify(proof))),
    plainArray(recipients.map(({ reflectionKey }) => reflectionKey)),
    plainArray(messages.map(({ ciphertextKey }) => ciphertextKey)),
    plainArray(recipients.map(({ firstSeen }) => firstSeen)),
    plainArray(recipients.map(({ expiresAt }) => expiresAt)),
    FORGET_AFTER,
    quotas
  ]
}

/** Rows of equal length, turned into columns. */
function columns(rows: readonly (readonly unknown[])[]): unknown[][] {
  return rows[0]!.map((_, column) => rows.map(row => row[column]))
}
