import type { Envelope, ReplayTicket } from '../auth/caller.js'
import { isCollision, retryingCollisions } from './collisions.js'
import { type Database, statement } from './database.js'
import { isConflict } from './database-errors.js'
import { FORGET_AFTER, type MessageProof } from './messages.js'

export interface SentMessage {
  readonly sender: Buffer
  readonly messageBox: string
  readonly body: Buffer
  readonly wrapped: boolean
  /** Row keys (names.ts). */
  readonly bodyDigest: string
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

export interface Quotas {
  readonly messagesPerBox: number
  readonly bytesPerBox: number
}

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
  readonly delivery: 'local' | 'parked' | 'forwarding'
  readonly shown_id: string
  readonly forwardable: boolean
  readonly domains: string[] | null
  readonly expressions: string[] | null
}

/** One request to be stored. */
export interface SentRequest {
  readonly replay: ReplayTicket
  readonly message: SentMessage
  readonly matches: ExpressionMatches
  /** Milliseconds. */
  readonly now: number
}

const ACCEPT_SENT = statement(
  'accept-sent',
  `select * from accept_sent(
    $1::uuid, $2::bigint, $3::bigint, $4::bigint, $5::bytea, $6::bytea, $7::text, $8::bytea, $9::boolean,
    $10::uuid, $11::uuid, $12::uuid, $13::bytea, $14::text, $15::text, $16::bytea, $17::bytea, $18::boolean,
    $19::bytea[], $20::bytea[], $21::bigint[], $22::text[], $23::uuid[], $24::jsonb[], $25::bigint[],
    $26::text[], $27::boolean[], $28::bigint, $29::bigint, $30::bigint)`
)

const ACCEPT_SENT_BATCH = statement(
  'accept-sent-batch',
  `select r.request::integer, a.* from unnest(
    $1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[], $6::text[], $7::bytea[], $8::boolean[], $9::uuid[],
    $10::uuid[], $11::uuid[], $12::bytea[], $13::text[], $14::text[], $15::bytea[], $16::bytea[], $17::boolean[],
    $18::bytea[], $19::bytea[], $20::bigint[], $21::text[], $22::uuid[], $23::jsonb[], $24::bigint[]
  ) with ordinality as r (
    digest, issued_at, session_ends, now, sender, box, body, wrapped, body_digest,
    payment_digest, ciphertext_key, envelope_id, format, key_id, signed, signature, withheld,
    recipient, name, public_integer, client_id, id_key, proof, expires_at, request
  )
  cross join lateral accept_sent(
    r.digest, r.issued_at, r.session_ends, r.now, $25::bytea, r.sender, r.box, r.body, r.wrapped,
    r.body_digest, r.payment_digest, r.ciphertext_key, r.envelope_id, r.format, r.key_id, r.signed, r.signature, r.withheld,
    array[r.recipient], array[r.name], array[r.public_integer], array[r.client_id], array[r.id_key], array[r.proof],
    array[r.expires_at], '{}', '{}', $26::bigint, $27::bigint, $28::bigint
  ) a`
)

/** Requests in one statement at most. */
const BATCH = 32
/** Statements under way: while one commits, the next one is filled. */
const STATEMENTS_AT_ONCE = 2
/** A batch carries bytes as text; beyond this size that costs more than it saves. */
const BATCHED_BYTES = 16 * 1024

interface Waiting {
  readonly request: SentRequest
  readonly resolve: (outcomes: SentOutcome[]) => void
  readonly reject: (error: unknown) => void
}

/**
 * Stores messages of this node's own users and plans their deliveries. Requests that arrive together share a statement and
 * its commit: most of what a small request costs in Postgres is the commit and the way there. Nobody is answered before it.
 */
export class SentMessages {
  readonly #database: Database
  readonly #self: Uint8Array
  readonly #quotas: Quotas
  readonly #waiting: Waiting[] = []
  #running = 0
  #isScheduled = false

  /** @param self this node's identity key, 33 bytes */
  constructor(database: Database, self: Uint8Array, quotas: Quotas) {
    this.#database = database
    this.#self = self
    this.#quotas = quotas
  }

  /** Resolves after the commit; see `accept_sent` in the migrations for the outcomes. */
  accept(request: SentRequest): Promise<SentOutcome[]> {
    if (!isBatchable(request)) return this.#acceptOne(request)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, resolve, reject })
      this.#schedule()
    })
  }

  #schedule(): void {
    if (this.#isScheduled || this.#running >= STATEMENTS_AT_ONCE || this.#waiting.length === 0) return
    this.#isScheduled = true
    // What else this turn of the event loop has read comes along.
    setImmediate(() => {
      this.#isScheduled = false
      void this.#flush()
    })
  }

  async #flush(): Promise<void> {
    const batch = this.#waiting.splice(0, BATCH)
    this.#running++
    this.#schedule()
    try {
      await this.#acceptAll(batch)
    } finally {
      this.#running--
      this.#schedule()
    }
  }

  async #acceptAll(batch: readonly Waiting[]): Promise<void> {
    if (batch.length === 1) return this.#settle(batch[0]!)
    // Everybody locks boxes in this order.
    const sorted = batch.toSorted((a, b) => Buffer.compare(orderOf(a.request), orderOf(b.request)))
    const requests = sorted.map(({ request }) => request)
    try {
      const rows = await this.#database.query<SentOutcome & { request: number }>(
        ACCEPT_SENT_BATCH,
        batchValues(requests, this.#self, this.#quotas)
      )
      const outcomes: SentOutcome[][] = sorted.map(() => [])
      for (const row of rows) outcomes[row.request - 1]!.push(row)
      sorted.forEach(({ resolve }, i) => {
        resolve(outcomes[i]!)
      })
    } catch (error) {
      if (isCollision(error) || isConflict(error)) {
        // One of them has undone all: each for itself, then.
        for (const waiting of sorted) await this.#settle(waiting)
      } else for (const { reject } of sorted) reject(error)
    }
  }

  async #settle({ request, resolve, reject }: Waiting): Promise<void> {
    await this.#acceptOne(request).then(resolve, reject)
  }

  #acceptOne(request: SentRequest): Promise<SentOutcome[]> {
    const values = requestValues(request, this.#self, this.#quotas)
    return retryingCollisions(() => this.#database.query<SentOutcome>(ACCEPT_SENT, values))
  }
}

function isBatchable({ message, matches }: SentRequest): boolean {
  return (
    message.recipients.length === 1 &&
    matches.size === 0 &&
    message.envelope.signedBytes.length <= BATCHED_BYTES
  )
}

function orderOf({ message }: SentRequest): Buffer {
  return Buffer.concat([message.recipients[0]!.recipient, Buffer.from(message.messageBox)])
}

/** What both statements begin with, in the order of their parameters. */
function commonValues({ replay, message, now }: SentRequest) {
  const { envelope } = message
  return {
    before: [replay.digest.toString('hex'), replay.issuedAt, replay.expiresAt, now],
    after: [
      message.sender,
      message.messageBox,
      message.body,
      message.wrapped,
      message.bodyDigest,
      message.paymentDigest ?? null,
      message.ciphertextKey ?? null,
      envelope.id,
      envelope.format,
      envelope.keyID,
      envelope.signedBytes,
      envelope.signature,
      envelope.carriesAuthorization
    ]
  }
}

function recipientValues(recipient: SentRecipient) {
  return [
    recipient.recipient,
    recipient.name,
    recipient.integer,
    recipient.clientId ?? null,
    recipient.idKey ?? null,
    recipient.proof === undefined ? null : JSON.stringify(recipient.proof),
    recipient.expiresAt
  ]
}

function requestValues(request: SentRequest, self: Uint8Array, quotas: Quotas): unknown[] {
  const { before, after } = commonValues(request)
  const { matches } = request
  return [
    ...before,
    self,
    ...after,
    ...columns(request.message.recipients.map(recipientValues)),
    [...matches.keys()],
    [...matches.values()],
    FORGET_AFTER,
    quotas.messagesPerBox,
    quotas.bytesPerBox
  ]
}

function batchValues(requests: readonly SentRequest[], self: Uint8Array, quotas: Quotas): unknown[] {
  const rows = requests.map(request => {
    const { before, after } = commonValues(request)
    return [...before, ...after, ...recipientValues(request.message.recipients[0]!)]
  })
  return [...columns(rows), self, FORGET_AFTER, quotas.messagesPerBox, quotas.bytesPerBox]
}

/** Rows of equal length, turned into columns. */
function columns(rows: readonly (readonly unknown[])[]): unknown[][] {
  return rows[0]!.map((_, column) => rows.map(row => row[column]))
}
