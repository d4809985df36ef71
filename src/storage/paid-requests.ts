import { type Queryable, statement } from './database.js'

/** The last word about a request, as it is sent. */
export interface PaidAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** JSON. */
  readonly text: string
}

/** What is known of a request that was paid for. */
export interface PaidRequest {
  readonly request_digest: string
  readonly answer: PaidAnswer | null
  /** Milliseconds; 0: it is not under way. */
  readonly claimed_at: number
}

const FIND = statement(
  'find-paid-request',
  `select replace(request_digest::text, '-', '') as request_digest, answer, claimed_at from paid_requests where key = $1::uuid`
)

/** @param key row key */
export async function findPaidRequest(db: Queryable, key: string): Promise<PaidRequest | undefined> {
  return (await db.query<PaidRequest>(FIND, [key]))[0]
}

const CLAIM = statement(
  'claim-paid-request',
  `insert into paid_requests (key, request_digest, claimed_at, forget_at)
  values ($1::uuid, $2::uuid, $3::bigint, $4::bigint)
  on conflict (key) do update set claimed_at = excluded.claimed_at`
)

/** Notes that a request is carried out from now on. */
export async function claimPaidRequest(
  db: Queryable,
  key: string,
  requestDigest: string,
  now: number,
  forgetAt: number
): Promise<void> {
  await db.query(CLAIM, [key, requestDigest, now, forgetAt])
}

const SETTLE = statement(
  'settle-paid-request',
  'update paid_requests set answer = $2::jsonb, claimed_at = 0 where key = $1::uuid'
)

/** @param answer undefined where the same request is to be carried out again */
export async function settlePaidRequest(
  db: Queryable,
  key: string,
  answer: PaidAnswer | undefined
): Promise<void> {
  await db.query(SETTLE, [key, answer === undefined ? null : JSON.stringify(answer)])
}

const PRUNE = statement(
  'prune-paid-requests',
  `with old as (select key from paid_requests where forget_at <= $1::bigint order by forget_at limit $2::integer),
  gone as (delete from paid_requests p using old where p.key = old.key returning 1)
  select count(*) as count from gone`
)

/** Deletes at most `limit` of those that nobody can ask for any more; answers how many there were. */
export async function prunePaidRequests(db: Queryable, now: number, limit: number): Promise<number> {
  return (await db.query<{ count: number }>(PRUNE, [now, limit]))[0]!.count
}
