import { type Queryable, statement } from '../../src/storage/database.js'

/*
 * Times that no clock can have set which is right: they lie further ahead than anything waits. A clock that was ahead
 * and has been corrected left them.
 */

/** By how much clocks of processes may differ, ms. */
const TOLERANCE = 10 * 60_000
/** What waits longest, ms: deliveries, statements and hosts; claims; comparisons and their claims. */
const LONGEST_WAIT = 60 * 60_000 + TOLERANCE
const LONGEST_CLAIM = 60_000 + TOLERANCE
const LONGEST_COMPARISON = 11 * 60_000 + TOLERANCE

const CORRECT_DELIVERIES = statement(
  'correct-delivery-times',
  `with page as (
    select id, next_attempt_at, claimed_until from deliveries
    where id > $1::bigint and state = 'pending' order by id limit $3::integer
  ), corrected as (
    update deliveries d set
      next_attempt_at = case when d.next_attempt_at > $2::bigint + ${LONGEST_WAIT} then $2::bigint else d.next_attempt_at end,
      claimed_until = case when d.claimed_until <= $2::bigint + ${LONGEST_CLAIM} then d.claimed_until end
    from page where d.id = page.id
      and (page.next_attempt_at > $2::bigint + ${LONGEST_WAIT} or page.claimed_until > $2::bigint + ${LONGEST_CLAIM})
  )
  select max(id) as last_id from page`
)

/**
 * Lets pending deliveries be tried now whose time or claim lies too far ahead; looks at most at `limit` of them.
 *
 * @param after id of the last one looked at
 * @param now ms
 * @returns id of the last one looked at; undefined behind the last
 */
export async function correctDeliveryTimes(
  database: Queryable,
  after: number,
  now: number,
  limit: number
): Promise<number | undefined> {
  const [row] = await database.query<{ last_id: number | null }>(CORRECT_DELIVERIES, [after, now, limit])
  return row?.last_id ?? undefined
}

const CORRECTIONS = [
  [
    'destination',
    `update destinations set
      backoff_until = case when backoff_until > $1::bigint + ${LONGEST_WAIT} then $1::bigint else backoff_until end,
      probe_until = case when probe_until > $1::bigint + ${LONGEST_CLAIM} then 0 else probe_until end,
      failing_since = least(failing_since, $1::bigint), failed_at = least(failed_at, $1::bigint),
      woken_at = least(woken_at, $1::bigint)
    where backoff_until > $1::bigint + ${LONGEST_WAIT} or probe_until > $1::bigint + ${LONGEST_CLAIM}
      or greatest(failing_since, failed_at, woken_at) > $1::bigint + ${TOLERANCE}`
  ],
  [
    'statement',
    `update statement_deliveries set
      next_attempt_at = case when next_attempt_at > $1::bigint + ${LONGEST_WAIT} then $1::bigint else next_attempt_at end,
      claimed_until = case when claimed_until <= $1::bigint + ${LONGEST_CLAIM} then claimed_until end
    where next_attempt_at > $1::bigint + ${LONGEST_WAIT} or claimed_until > $1::bigint + ${LONGEST_CLAIM}`
  ],
  [
    'reconciliation',
    `update reconciliations set next_at = least(next_at, $1::bigint), finished_at = least(finished_at, $1::bigint),
      claimed_until = case when claimed_until <= $1::bigint + ${LONGEST_COMPARISON} then claimed_until end
    where greatest(next_at, claimed_until) > $1::bigint + ${LONGEST_COMPARISON} or finished_at > $1::bigint + ${TOLERANCE}`
  ],
  [
    'lookup',
    `update recipient_lookups set next_lookup_at = $1::bigint
    where next_lookup_at > $1::bigint + interval + ${TOLERANCE}`
  ],
  [
    'overlay-submission',
    `update overlay_submissions set next_attempt_at = $1::bigint where next_attempt_at > $1::bigint + ${LONGEST_WAIT}`
  ],
  [
    'node-payment',
    `update node_payments set next_attempt_at = $1::bigint where next_attempt_at > $1::bigint + ${LONGEST_WAIT}`
  ],
  [
    'overlay-interaction',
    `update overlay_interactions set claimed_until = 0 where claimed_until > $1::bigint + ${LONGEST_CLAIM}`
  ]
].map(([name, text]) => statement(`correct-${name}-times`, text!))

/** As `correctDeliveryTimes`, for everything else that waits for a time. @param now ms */
export async function correctOtherTimes(database: Queryable, now: number): Promise<void> {
  for (const correction of CORRECTIONS) await database.query(correction, [now])
}
