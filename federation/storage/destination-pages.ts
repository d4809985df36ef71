import { type Queryable, statement } from '../../src/storage/database.js'

/** Everything that is known of one destination. */
export interface Destination {
  readonly domain: string
  /** Deliveries that wait, counted up to MOST_COUNTED. */
  readonly depth: number
  /** Of the oldest MOST_LOOKED_AT, in a call right now. */
  readonly under_way: number
  /** When the oldest of them was planned. */
  readonly oldest_at: number | null
  /** The host that the oldest goes to. */
  readonly host_key: Buffer | null
  /** When the oldest may go, its host's wait aside. */
  readonly oldest_next_attempt_at: number | null
  readonly oldest_last_answer: string | null
  /** In a row; null if the last attempt reached it. */
  readonly failures: number | null
  readonly failing_since: number | null
  readonly backoff_until: number | null
  readonly last_answer: string | null
  readonly held_at: number | null
  readonly held_reason: string | null
}

/** Deliveries of one destination that are counted. */
export const MOST_COUNTED = 10_000

/** Deliveries of one destination among which calls are looked for: no index knows of claims. */
const MOST_LOOKED_AT = 200

const ABOUT = `k.domain, count_pending(k.domain, ${MOST_COUNTED + 1}) as depth, count_under_way(k.domain, $1::bigint, ${MOST_LOOKED_AT}) as under_way, oldest.created_at as oldest_at, oldest.host_key,
    oldest.next_attempt_at as oldest_next_attempt_at, oldest.last_answer as oldest_last_answer,
    b.failures, b.failing_since, b.backoff_until, b.last_answer, h.held_at, h.reason as held_reason
  from known k
  left join lateral (
    select created_at, host_key, next_attempt_at, last_answer from deliveries
    where domain between k.domain and k.domain and state = 'pending' order by domain, id limit 1
  ) oldest on true
  left join destinations b on b.domain = k.domain
  left join held_domains h on h.domain = k.domain
  order by k.domain`

const PAGE = statement(
  'destination-page',
  `with recursive waiting as (
    (select domain from deliveries where state = 'pending' and domain > $2::text order by domain limit 1)
    union all
    select (select d.domain from deliveries d where d.state = 'pending' and d.domain > w.domain order by d.domain limit 1)
    from waiting w where w.domain is not null
  ), known as (
    select domain from (
      (select domain from waiting where domain is not null limit $3::integer)
      union (select domain from destinations where domain > $2::text order by domain limit $3::integer)
      union (select domain from held_domains where domain > $2::text order by domain limit $3::integer)
    ) d order by domain limit $3::integer
  )
  select ${ABOUT}`
)

/** Domains for which something waits, that fail, or that are held, in their order behind one of them. */
export function destinationPage(
  database: Queryable,
  now: number,
  after: string,
  limit: number
): Promise<Destination[]> {
  return database.query(PAGE, [now, after, limit])
}

const SHOW = statement('show-destination', `with known as (select $2::text as domain) select ${ABOUT}`)

/** What is known of a domain, be it nothing. */
export async function findDestination(
  database: Queryable,
  now: number,
  domain: string
): Promise<Destination> {
  const [row] = await database.query<Destination>(SHOW, [now, domain])
  return row!
}
