import { type Queryable, statement } from '../../src/storage/database.js'

/** A call to a host that failed. */
export interface HostFailure {
  readonly domain: string
  readonly operatorKey: Buffer
  readonly answer: string
  /** When the call began, ms. */
  readonly beganAt: number
  readonly now: number
}

const RECORD_FAILURE = statement(
  'record-destination-failure',
  `insert into destinations as d (domain, operator_key, failures, failing_since, failed_at, backoff_until, last_answer)
    values ($1::text, $2::bytea, 1, $5::bigint, $5::bigint, $5::bigint, $3::text)
    on conflict (domain) do update set
      operator_key = excluded.operator_key,
      failures = d.failures + (d.failed_at <= $4::bigint)::integer,
      failed_at = case when d.failed_at <= $4::bigint then excluded.failed_at else d.failed_at end,
      probe_until = 0, last_answer = excluded.last_answer
    returning failures`
)

/**
 * Counts a failure against a domain; answers how many there were in a row. Calls that were under way when the domain
 * failed last fail with it and count as one. In one transaction with `setBackoff`, so that no claim comes between them.
 */
export async function recordFailure(database: Queryable, failure: HostFailure): Promise<number> {
  const { domain, operatorKey, answer, beganAt, now } = failure
  const [row] = await database.query<{ failures: number }>(RECORD_FAILURE, [
    domain,
    operatorKey,
    answer,
    beganAt,
    now
  ])
  return row!.failures
}

const SET_BACKOFF = statement(
  'set-destination-backoff',
  'update destinations set backoff_until = greatest(backoff_until, $2::bigint) where domain = $1::text'
)

/** Leaves a failing domain alone until then. */
export async function setBackoff(database: Queryable, domain: string, until: number): Promise<void> {
  await database.query(SET_BACKOFF, [domain, until])
}

const CLEAR = statement(
  'clear-destination',
  `with cleared as (delete from destinations where domain = $1::text)
  update reconciliations set next_at = least(next_at, coalesce(finished_at, 0) + 10000) where domain = $1::text`
)

/** A domain works again: what was held against it is forgotten, and who serves the same recipients compares with it. */
export async function clearFailures(database: Queryable, domain: string): Promise<void> {
  await database.query(CLEAR, [domain])
}

const END_PROBE = statement('end-probe', 'update destinations set probe_until = 0 where domain = $1::text')

/** A probe told nothing of its host: the next one may go out. */
export async function endProbe(database: Queryable, domain: string): Promise<void> {
  await database.query(END_PROBE, [domain])
}

const WAKE = statement(
  'wake-destination',
  'select wake_destination($1::text, $2::bytea, $3::bigint, $4::bigint) as woken'
)

/** Ends the wait of a domain whose host was heard of; false if it does not wait, or was woken lately. */
export async function wakeDestination(
  database: Queryable,
  domain: string,
  operatorKey: Buffer,
  now: number,
  atMostEvery: number
): Promise<boolean> {
  const [row] = await database.query<{ woken: boolean }>(WAKE, [domain, operatorKey, now, atMostEvery])
  return row!.woken
}

export interface WaitingDestination {
  readonly domain: string
  readonly operator_key: Buffer
}

const WAITING = statement(
  'waiting-destinations',
  `select domain, operator_key from destinations
  where backoff_until > $1::bigint and operator_key is not null order by backoff_until desc limit $2::integer`
)

/** Domains that are left alone now, at most `limit`. */
export function waitingDestinations(
  database: Queryable,
  now: number,
  limit: number
): Promise<WaitingDestination[]> {
  return database.query(WAITING, [now, limit])
}
