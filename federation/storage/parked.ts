import { type Queryable, statement } from '../../src/storage/database.js'
import type { MessageProof } from '../../src/storage/messages.js'
import { type QuotaName, type Quotas, quotasValue } from '../../src/storage/quotas.js'

const PARK = statement(
  'park-message',
  `select park_message($1::bigint, $2::bytea, $3::boolean, $4::jsonb, $5::boolean, $6::bigint, $7::quotas) as exceeded`
)

/** Keeps the message of a delivery here until a host of its recipient appears; answers the limit that is in the way. */
export async function parkMessage(
  database: Queryable,
  message: {
    readonly deliveryId: number
    readonly body: Buffer
    readonly wrapped: boolean
    readonly proof: MessageProof | undefined
    /** The body is encrypted end to end. */
    readonly sealed: boolean
    readonly quotas: Quotas
    readonly now: number
  }
): Promise<QuotaName | undefined> {
  const [row] = await database.query<{ exceeded: QuotaName | null }>(PARK, [
    message.deliveryId,
    message.body,
    message.wrapped,
    message.proof === undefined ? null : JSON.stringify(message.proof),
    message.sealed,
    message.now,
    quotasValue(message.quotas)
  ])
  return row?.exceeded ?? undefined
}

const DUE_LOOKUPS = statement(
  'due-recipient-lookups',
  'select recipient from recipient_lookups where next_lookup_at <= $1::bigint order by next_lookup_at limit $2::integer'
)

/** Recipients without a host about whom other overlay hosts should be asked now. */
export async function dueLookups(database: Queryable, now: number, limit: number): Promise<Buffer[]> {
  const rows = await database.query<{ recipient: Buffer }>(DUE_LOOKUPS, [now, limit])
  return rows.map(row => row.recipient)
}

const LONGEST_INTERVAL = 24 * 60 * 60 * 1000

const BEGIN_LOOKUP = statement(
  'begin-recipient-lookup',
  `update recipient_lookups
    set next_lookup_at = $2::bigint + interval, interval = least(interval * 2, ${LONGEST_INTERVAL})
    where recipient = $1::bytea and next_lookup_at <= $2::bigint returning recipient`
)

/** Takes the turn to look a recipient up, and sets the next one twice as late; false if another process has it. */
export async function beginLookup(database: Queryable, recipient: Buffer, now: number): Promise<boolean> {
  return (await database.query(BEGIN_LOOKUP, [recipient, now])).length > 0
}

const END_LOOKUPS = statement(
  'end-recipient-lookups',
  `delete from recipient_lookups l where l.recipient = $1::bytea
    and not exists (
      select from message_boxes b join messages m on m.box_id = b.id where b.recipient = l.recipient and m.parked
    )`
)

/** Stops asking about a recipient for whom nothing is parked any more. */
export async function endLookups(database: Queryable, recipient: Buffer): Promise<void> {
  await database.query(END_LOOKUPS, [recipient])
}
