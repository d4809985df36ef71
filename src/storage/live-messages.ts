import { type Queryable, statement } from './database.js'
import type { Cursor, ShownMessage } from './messages.js'

/** A message as live readers get it. */
export interface LiveMessage extends ShownMessage {
  readonly box_id: number
  readonly position: number
}

const MESSAGES_BEHIND = statement(
  'messages-behind',
  `select m.box_id, m.position, encode(m.name, 'hex') as name, m.shown_id, encode(m.sender, 'hex') as sender,
    convert_from(m.body, 'UTF8') as body, m.wrapped, m.payment, m.origin, m.proof, m.created_at
  from (
    select w.box_id, w.position, sum(w.bytes) over (order by w.position) - w.bytes as bytes_before
    from (
      select m.box_id, m.position, m.bytes
      from message_boxes b join messages m on m.box_id = b.id
      where b.recipient = $1::bytea and b.name = $2::text
        and m.position > case when b.id = $3::bigint then $4::bigint else 0 end and m.expires_at > $5::bigint
      order by m.position limit $6::integer
    ) w
  ) k join messages m using (box_id, position)
  where k.bytes_before < $7::bigint
  order by m.position`
)

/**
 * What is in a box behind a position, oldest first.
 *
 * @param maximumBytes no message follows once those before it have this many bytes; the first always comes
 */
export async function messagesBehind(
  database: Queryable,
  recipient: Buffer,
  messageBox: string,
  cursor: Cursor | undefined,
  maximum: number,
  maximumBytes: number,
  now: number
): Promise<LiveMessage[]> {
  return database.query<LiveMessage>(MESSAGES_BEHIND, [
    recipient,
    messageBox,
    cursor?.boxId ?? 0,
    cursor?.position ?? 0,
    now,
    maximum,
    maximumBytes
  ])
}

/** Where a box is at this moment. */
export interface BoxHead {
  readonly name: string
  readonly box_id: number
  /** Of its newest message; 0 if it is empty. */
  readonly newest: number
  /** Of any message of its owner until now: what comes has a higher one. */
  readonly last_position: number
}

const BOX_HEADS = statement(
  'box-heads',
  `select b.name, b.id as box_id, r.last_position,
    coalesce((select m.position from messages m where m.box_id = b.id order by m.position desc limit 1), 0) as newest
  from recipients r join message_boxes b on b.recipient = r.identity_key where r.identity_key = $1::bytea`
)

/** Where every box of a recipient ends. */
export async function boxHeads(database: Queryable, recipient: Buffer): Promise<BoxHead[]> {
  return database.query<BoxHead>(BOX_HEADS, [recipient])
}
