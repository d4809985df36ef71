import type { Envelope, ReplayTicket } from '../auth/caller.js'
import { type Queryable, statement } from './database.js'
import { hasSqlState } from './database-errors.js'

/** What the sender signed himself, as recipients check it. */
export interface MessageProof {
  readonly signature: string
  readonly createdAt: number
  /** As signed: the client's string, or null. */
  readonly messageId: string | null
}

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

/** Names outlive what they name by a day. */
export const FORGET_AFTER = 24 * 60 * 60 * 1000

const ACCEPT_SENT = statement(
  'accept-sent',
  `select * from accept_sent(
    $1::uuid, $2::bigint, $3::bigint, $4::bigint, $5::bytea, $6::bytea, $7::text, $8::bytea, $9::boolean,
    $10::uuid, $11::uuid, $12::uuid, $13::bytea, $14::text, $15::text, $16::bytea, $17::bytea, $18::boolean,
    $19::bytea[], $20::bytea[], $21::bigint[], $22::text[], $23::uuid[], $24::jsonb[], $25::bigint[],
    $26::text[], $27::boolean[], $28::bigint, $29::bigint, $30::bigint)`
)

/**
 * Stores a message of this node's own user and plans its deliveries, in one statement; see `accept_sent` in the
 * migrations for the outcomes.
 *
 * @param self this node's identity key
 */
export async function acceptSent(
  database: Queryable,
  self: Uint8Array,
  replay: ReplayTicket,
  message: SentMessage,
  matches: ExpressionMatches,
  quotas: Quotas,
  now: number
): Promise<SentOutcome[]> {
  const { envelope, recipients } = message
  const values = [
    replay.digest.toString('hex'),
    replay.issuedAt,
    replay.expiresAt,
    now,
    self,
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
    envelope.carriesAuthorization,
    recipients.map(recipient => recipient.recipient),
    recipients.map(recipient => recipient.name),
    recipients.map(recipient => recipient.integer),
    recipients.map(recipient => recipient.clientId ?? null),
    recipients.map(recipient => recipient.idKey ?? null),
    recipients.map(recipient => (recipient.proof === undefined ? null : JSON.stringify(recipient.proof))),
    recipients.map(recipient => recipient.expiresAt),
    [...matches.keys()],
    [...matches.values()],
    FORGET_AFTER,
    quotas.messagesPerBox,
    quotas.bytesPerBox
  ]
  return retryingCollisions(() => database.query<SentOutcome>(ACCEPT_SENT, values))
}

/**
 * Two requests with one name, one id or the last free place of a box can pass all checks at once; one of them then
 * fails on a key or the quota. Run again, it sees what the other one did.
 */
export async function retryingCollisions<T>(work: () => Promise<T>): Promise<T> {
  for (let retries = 0; ; retries++) {
    try {
      return await work()
    } catch (error) {
      if (retries === 3 || !(hasSqlState(error, '23505') || hasSqlState(error, BOX_FULL))) throw error
    }
  }
}

/** SQLSTATE of our own, raised by `store_message`. */
const BOX_FULL = 'PS507'

export interface ListedMessage {
  readonly verdict: 'fresh' | 'replayed' | 'unknown'
  /** Null, with all that follows, where there is no message. */
  readonly box_id: number | null
  readonly position: number
  readonly name: Buffer
  readonly shown_id: string
  readonly sender: Buffer
  readonly body: Buffer
  readonly wrapped: boolean
  readonly payment: Buffer | null
  readonly origin: string
  readonly proof: MessageProof | null
  readonly created_at: number
  /** Messages found before the bytes were counted, `maximum` at most. */
  readonly candidates: number
}

const LIST_MESSAGES = statement(
  'list-messages',
  `with request as materialized (select admit_request($1::uuid, $2::bigint, $3::bigint) as verdict),
  box as (select id from message_boxes where recipient = $4::bytea and name = $5::text)
  select r.verdict, m.box_id, m.position, m.name, m.shown_id, m.sender, m.body, m.wrapped, m.payment, m.origin, m.proof,
    m.created_at, m.candidates
  from request r left join lateral (
    select p.*, k.candidates
    from (
      select w.box_id, w.position, count(*) over () as candidates, sum(w.bytes) over (order by w.position) - w.bytes as bytes_before
      from (
        select box_id, position, bytes from messages
        where box_id = (select id from box) and position > (case when $6::bigint = (select id from box) then $7::bigint else 0 end)
          and expires_at > $8::bigint and r.verdict = 'fresh'
        order by position limit $9::integer
      ) w
    ) k
    join messages p on p.box_id = k.box_id and p.position = k.position
    where k.bytes_before < $10::bigint
  ) m on true
  order by m.position`
)

/** Where a list goes on: after this position of the box with this id. */
export interface Cursor {
  readonly boxId: number
  readonly position: number
}

/**
 * Lists the messages of one box, oldest first, in one statement. One row without a message where there is none.
 *
 * @param maximum messages at most
 * @param maximumBytes no message follows once those before it have this many bytes; the first always comes
 */
export async function listMessages(
  database: Queryable,
  replay: ReplayTicket,
  recipient: Buffer,
  messageBox: string,
  cursor: Cursor | undefined,
  maximum: number,
  maximumBytes: number,
  now: number
): Promise<ListedMessage[]> {
  return database.query<ListedMessage>(LIST_MESSAGES, [
    replay.digest.toString('hex'),
    replay.issuedAt,
    replay.expiresAt,
    recipient,
    messageBox,
    cursor?.boxId ?? 0,
    cursor?.position ?? 0,
    now,
    maximum,
    maximumBytes
  ])
}

/** How long a client's message id is remembered after its message was acknowledged, for sends that were under way. */
export const IDS_FORGET_AFTER = 10 * 60 * 1000

const ACKNOWLEDGE_MESSAGES = statement(
  'acknowledge-messages',
  `select * from acknowledge_messages($1::uuid, $2::bigint, $3::bigint, $4::bytea, $5::text[], $6::bigint)`
)

/** Deletes the recipient's messages with these shown ids, in one statement. */
export async function acknowledgeMessages(
  database: Queryable,
  replay: ReplayTicket,
  recipient: Buffer,
  messageIds: readonly string[],
  now: number
): Promise<{ verdict: 'fresh' | 'replayed' | 'unknown'; acknowledged: number }> {
  const [row] = await database.query<{ verdict: 'fresh' | 'replayed' | 'unknown'; acknowledged: number }>(
    ACKNOWLEDGE_MESSAGES,
    [
      replay.digest.toString('hex'),
      replay.issuedAt,
      replay.expiresAt,
      recipient,
      messageIds,
      now + IDS_FORGET_AFTER
    ]
  )
  return row!
}

const PRUNE = statement('prune-message-boxes', 'select prune_message_boxes($1::bigint, $2::integer) as count')

/** Deletes at most `limit` rows of each kind that nobody needs any more; answers how many there were. */
export async function pruneMessageBoxes(database: Queryable, now: number, limit: number): Promise<number> {
  const [row] = await database.query<{ count: number }>(PRUNE, [now, limit])
  return row!.count
}
