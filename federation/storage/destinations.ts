import { type Queryable, statement } from '../../src/storage/database.js'

const RECORD_FAILURE = statement(
  'record-destination-failure',
  `insert into destinations as d (domain, failures, failing_since, backoff_until, last_answer)
    values ($1::text, 1, $2::bigint, $2::bigint, $3::text)
    on conflict (domain) do update
    set failures = d.failures + (d.backoff_until <= $2::bigint)::integer, last_answer = excluded.last_answer
    returning failures, failing_since`
)

/**
 * Counts a failure against a domain; answers how many there were in a row and since when. Calls that were under way when
 * the domain failed first fail with it and count as one: while it is left alone, none begins. In one transaction with
 * `setBackoff`, so that they see its wait.
 */
export async function recordFailure(
  database: Queryable,
  domain: string,
  answer: string,
  now: number
): Promise<{ failures: number; failingSince: number }> {
  const [row] = await database.query<{ failures: number; failing_since: number }>(RECORD_FAILURE, [
    domain,
    now,
    answer
  ])
  return { failures: row!.failures, failingSince: row!.failing_since }
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
