import { type Queryable, statement } from './database.js'
import type { ListedMessage, ListRequest } from './messages.js'

const LIST_HIDDEN = statement(
  'list-hidden-messages',
  `with request as materialized (select admit_request($1::uuid, $2::bigint, $3::bigint) as verdict)
  select r.verdict, m.box_id, m.position, encode(m.name, 'hex') as name, m.shown_id, encode(m.sender, 'hex') as sender,
    convert_from(m.body, 'UTF8') as body, m.wrapped, m.payment, m.origin, m.proof, m.created_at,
    encode(m.hidden_by, 'hex') as hidden_by, m.candidates
  from request r left join lateral (
    select 0::bigint as box_id, h.id as position, h.*, count(*) over () as candidates,
      sum(h.bytes) over (order by h.id rows unbounded preceding) - h.bytes as bytes_before
    from (
      select * from hidden_messages
      where recipient = $4::bytea and message_box = $5::text and id > $6::bigint and expires_at > $7::bigint
        and r.verdict = 'fresh'
      order by id limit $8::integer
    ) h
  ) m on m.bytes_before < $9::bigint
  order by m.position`
)

/**
 * Lists the hidden messages of one box, in the order in which they were hidden; see `StoredMessages.list`.
 *
 * @param maximumBytes no message follows once those before it have this many bytes; the first always comes
 */
export function listHiddenMessages(
  database: Queryable,
  { replay, recipient, messageBox, cursor, maximum, now }: ListRequest,
  maximumBytes: number
): Promise<ListedMessage[]> {
  return database.query<ListedMessage>(LIST_HIDDEN, [
    replay.digest.toString('hex'),
    replay.issuedAt,
    replay.expiresAt,
    recipient,
    messageBox,
    cursor?.position ?? 0,
    now,
    maximum,
    maximumBytes
  ])
}
