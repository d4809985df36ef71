import type { ReplayTicket } from '../auth/caller.js'
import { type Queryable, statement } from './database.js'

/** What the sender signed himself, as recipients check it. */
export interface MessageProof {
  readonly signature: string
  readonly createdAt: number
  /** As signed: the client's string, or null. */
  readonly messageId: string | null
}

/** Names outlive what they name by a day, ms. */
export const FORGET_AFTER = 24 * 60 * 60 * 1000

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
