import { type Queryable, statement } from '../../src/storage/database.js'
import type { DeliveryState } from './deliveries.js'

export interface DeliveryStatus {
  readonly message_id: string
  readonly recipient: Buffer
  readonly host_key: Buffer
  readonly domain: string
  readonly state: DeliveryState
  readonly attempts: number
  readonly next_attempt_at: number
  readonly skipped: boolean
  readonly last_answer: string | null
  readonly created_at: number
  readonly finished_at: number | null
}

const STATUS = statement(
  'delivery-status',
  `with request as materialized (select admit_request($1::uuid, $2::bigint, $3::bigint) as verdict)
  select r.verdict, d.message_id, d.recipient, d.host_key, d.domain, d.state, d.attempts,
    greatest(d.next_attempt_at, b.backoff_until) as next_attempt_at, d.skipped_at is not null as skipped, d.last_answer, d.created_at, d.finished_at
  from request r
  left join deliveries d on r.verdict = 'fresh' and d.sender = $4::bytea and d.message_id = any ($5::text[])
  left join destinations b on b.domain = d.domain
  order by d.id limit 1000`
)

/** Where the sender's messages with these ids are; one row without a message where there are no deliveries. */
export function deliveryStatus(
  database: Queryable,
  replay: { readonly digest: Buffer; readonly issuedAt: number; readonly expiresAt: number },
  sender: Buffer,
  messageIds: readonly string[]
): Promise<
  ({ verdict: 'fresh' | 'replayed' | 'unknown' } & {
    [Column in keyof DeliveryStatus]: DeliveryStatus[Column] | null
  })[]
> {
  return database.query(STATUS, [
    replay.digest.toString('hex'),
    replay.issuedAt,
    replay.expiresAt,
    sender,
    messageIds
  ])
}
