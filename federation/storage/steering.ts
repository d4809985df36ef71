import { type Queryable, statement } from '../../src/storage/database.js'
import type { ClaimedDelivery } from './deliveries.js'

const END_WAIT = statement(
  'end-destination-wait',
  'update destinations set backoff_until = $2::bigint where domain = any ($1::text[]) and backoff_until > $2::bigint'
)

/** Ends the wait of failing domains; what was held against them stays, so the next message is a probe. */
export async function endWait(database: Queryable, domains: readonly string[], now: number): Promise<void> {
  await database.query(END_WAIT, [domains, now])
}

const RETRY = statement(
  'retry-deliveries',
  `update deliveries set next_attempt_at = least(next_attempt_at, $2::bigint)
  where id = any ($1::bigint[]) and state = 'pending'
  returning id, domain`
)

/** Makes pending deliveries due now; answers which of them are pending, and their domains. */
export function makeDue(
  database: Queryable,
  ids: readonly number[],
  now: number
): Promise<{ readonly id: number; readonly domain: string }[]> {
  return database.query(RETRY, [ids, now])
}

const HASTEN = statement(
  'hasten-deliveries',
  `with page as (
    select id, next_attempt_at from deliveries
    where domain between $1::text and $1::text and state = 'pending' and id > $2::bigint
    order by domain, id limit $4::integer
  ), hastened as (
    update deliveries d set next_attempt_at = $3::bigint
    from page where d.id = page.id and page.next_attempt_at > $3::bigint and d.state = 'pending'
  )
  select max(id) as last_id, count(*) as looked_at from page`
)

/**
 * Makes what waits for a domain due now, `limit` deliveries behind one of them.
 *
 * @returns how many were looked at, and the last of them
 */
export async function hastenSome(
  database: Queryable,
  domain: string,
  after: number,
  now: number,
  limit: number
): Promise<{ lastId: number | undefined; lookedAt: number }> {
  const [row] = await database.query<{ last_id: number | null; looked_at: number }>(HASTEN, [
    domain,
    after,
    now,
    limit
  ])
  return { lastId: row!.last_id ?? undefined, lookedAt: row!.looked_at }
}

const CLAIM = statement(
  'claim-deliveries-to-drop',
  `update deliveries set claim = nextval('delivery_claims'), claimed_until = $3::bigint
  where id = any ($1::bigint[]) and state = 'pending' and coalesce(claimed_until, 0) <= $2::bigint
  returning id, claim, domain, host_key, recipient, sender, message_box, message_id, name, envelope_id, first_hand,
    first_seen, attempts, created_at, expires_at`
)

/** Claims those of these deliveries that are pending and that nobody works on, until `claimedUntil`. */
export function claimThese(
  database: Queryable,
  ids: readonly number[],
  now: number,
  claimedUntil: number
): Promise<ClaimedDelivery[]> {
  return database.query(CLAIM, [ids, now, claimedUntil])
}

const PENDING_DOMAINS = statement(
  'pending-domains',
  `with recursive domains as (
    (select domain from deliveries where state = 'pending' and domain > $1::text order by domain limit 1)
    union all
    select (select d.domain from deliveries d where d.state = 'pending' and d.domain > domains.domain
            order by d.domain limit 1)
    from domains where domains.domain is not null
  )
  select domain from domains where domain is not null limit $2::integer`
)

/** Domains for which something waits, in their order behind one of them. */
export async function pendingDomains(database: Queryable, after: string, limit: number): Promise<string[]> {
  const rows = await database.query<{ domain: string }>(PENDING_DOMAINS, [after, limit])
  return rows.map(row => row.domain)
}

const HOLD = statement(
  'hold-domain',
  `insert into held_domains as h (domain, reason, held_at) values ($1::text, $2::text, $3::bigint)
  on conflict (domain) do update set reason = coalesce(excluded.reason, h.reason)`
)

/** Lets nothing go out to a domain until it is released. */
export async function holdDomain(
  database: Queryable,
  domain: string,
  reason: string | undefined,
  now: number
): Promise<void> {
  await database.query(HOLD, [domain, reason ?? null, now])
}

const RELEASE = statement(
  'release-domain',
  'delete from held_domains where domain = $1::text returning domain'
)

/** @returns whether the domain was held */
export async function releaseDomain(database: Queryable, domain: string): Promise<boolean> {
  return (await database.query(RELEASE, [domain])).length > 0
}

const FORGET = statement('forget-domain', 'delete from destinations where domain = $1::text returning domain')

/** Forgets the failures of a domain. @returns whether there were any */
export async function forgetFailures(database: Queryable, domain: string): Promise<boolean> {
  return (await database.query(FORGET, [domain])).length > 0
}
