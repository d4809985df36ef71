import { type Queryable, statement } from '../../src/storage/database.js'
import { IDS_FORGET_AFTER } from '../../src/storage/messages.js'

export type DeliveryState = 'pending' | 'delivered' | 'refused' | 'expired'

/** A delivery that this worker, and no other, works on. */
export interface ClaimedDelivery {
  readonly id: number
  readonly claim: number
  readonly domain: string
  readonly host_key: Buffer
  readonly recipient: Buffer
  readonly sender: Buffer
  readonly message_box: string
  readonly message_id: string
  readonly name: Buffer
  readonly envelope_id: Buffer
  readonly first_hand: boolean
  readonly first_seen: number
  readonly attempts: number
  readonly created_at: number
  readonly expires_at: number
}

/** What was claimed, and what is known of its host at that moment. */
export interface DueDelivery extends ClaimedDelivery {
  /** Where a live token says that the host is now; null if none names it any more. */
  readonly live_domain: string | null
  /** The box expression beside it. */
  readonly live_expression: string | null
  /** The domain failed last time: this is the one that probes it. */
  readonly failing: boolean
  /** It has held its lane for long enough: the others do not wait for it. */
  readonly skipped: boolean
  /** Attempts that ended as they did because of this message, as far as can be told. */
  readonly setbacks: number
}

const CLAIM = statement(
  'claim-deliveries',
  'select * from claim_deliveries($1::text, $2::bigint, $3::bigint, $4::integer, $5::bigint)'
)

/** Before the first lane, and behind the last one. */
export const ALL_LANES = '-9223372036854775808'

/**
 * Claims at most `limit` due deliveries of a domain until `claimedUntil`, at most one of each lane; none while another
 * attempt of a lane is under way, or while the domain is left alone.
 *
 * @param walkedTo where the claim before this one stopped looking
 */
export async function claimDeliveries(
  database: Queryable,
  domain: string,
  now: number,
  claimedUntil: number,
  limit: number,
  walkedTo = ALL_LANES
): Promise<{ readonly deliveries: DueDelivery[]; readonly walkedTo: string }> {
  const rows = await database.query<DueDelivery & { id: number | null; walked_to: string }>(CLAIM, [
    domain,
    now,
    claimedUntil,
    limit,
    walkedTo
  ])
  return { deliveries: rows.filter(row => row.id !== null), walkedTo: rows[0]?.walked_to ?? walkedTo }
}

type Claim = Pick<ClaimedDelivery, 'id' | 'claim'>

/** How a delivery ended. */
export interface Ending {
  readonly delivery: Claim
  readonly state: Exclude<DeliveryState, 'pending'>
  readonly answer: string
}

const FINISH = statement(
  'finish-deliveries',
  `select finish_deliveries($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint, $6::bigint) as finished`
)

/**
 * Ends deliveries for good, in one statement. Answers the ids of those that it ended: where a claim is not the latest any
 * more, somebody else's word counts.
 */
export async function finishDeliveries(
  database: Queryable,
  endings: readonly Ending[],
  now: number
): Promise<number[]> {
  const [row] = await database.query<{ finished: number[] }>(FINISH, [
    endings.map(({ delivery }) => delivery.id),
    endings.map(({ delivery }) => delivery.claim),
    endings.map(({ state }) => state),
    endings.map(({ answer }) => answer),
    now,
    now + IDS_FORGET_AFTER
  ])
  return row!.finished
}

/** What is to be tried again. */
export interface Deferral {
  readonly delivery: Claim & Pick<ClaimedDelivery, 'recipient'>
  readonly answer: string
  /** Milliseconds. */
  readonly nextAttemptAt: number
  /** See `DueDelivery`. */
  readonly setbacks: number
  /** Its lane goes on without it. */
  readonly skip: boolean
}

const DEFER = statement(
  'defer-deliveries',
  'select defer_deliveries($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::integer[], $6::boolean[], $7::bigint)'
)

/** Puts deliveries back, in one statement. */
export async function deferDeliveries(
  database: Queryable,
  deferrals: readonly Deferral[],
  now: number
): Promise<void> {
  await database.query(DEFER, [
    deferrals.map(({ delivery }) => delivery.id),
    deferrals.map(({ delivery }) => delivery.claim),
    deferrals.map(({ answer }) => answer),
    deferrals.map(({ nextAttemptAt }) => nextAttemptAt),
    deferrals.map(({ setbacks }) => setbacks),
    deferrals.map(({ skip }) => skip),
    now
  ])
}

const RETARGET = statement(
  'retarget-delivery',
  `update deliveries set domain = $3, claimed_until = null, attempts = attempts - 1
   where id = $1 and claim = $2 and state = 'pending'`
)

/** The host has moved to another domain: the delivery goes on there. */
export async function retargetDelivery(
  database: Queryable,
  { id, claim }: Claim,
  domain: string
): Promise<void> {
  await database.query(RETARGET, [id, claim, domain])
}

const DUE_DOMAINS = statement('due-domains', 'select due_domains($1::bigint, $2::integer) as domain')

/** Domains with something due, at most `limit`. */
export async function dueDomains(database: Queryable, now: number, limit: number): Promise<string[]> {
  const rows = await database.query<{ domain: string }>(DUE_DOMAINS, [now, limit])
  return rows.map(row => row.domain)
}

export interface SiblingDeliveries {
  readonly pending: number
  readonly delivered: number
  readonly not_home: number
  readonly total: number
  /** The message stands in a box of this node. */
  readonly held: boolean
}

const SIBLINGS = statement(
  'sibling-deliveries',
  `select
    count(*) filter (where state = 'pending') as pending,
    count(*) filter (where state = 'delivered') as delivered,
    count(*) filter (where state = 'refused' and last_answer = 'ERR_NOT_HOME') as not_home,
    count(*) as total,
    exists (select from recipients r where r.identity_key = $1::bytea and is_name_known(r.id, $2::bytea)) as held
  from deliveries where recipient = $1::bytea and name = $2::bytea`
)

/** What became of all deliveries of one message to one recipient. */
export async function siblingDeliveries(
  database: Queryable,
  recipient: Buffer,
  name: Buffer
): Promise<SiblingDeliveries> {
  const [row] = await database.query<SiblingDeliveries>(SIBLINGS, [recipient, name])
  return row!
}

export interface HostChoice {
  readonly operator_key: Buffer
  readonly domain: string
  readonly box_expression: string | null
}

const LIVE_HOSTS = statement(
  'live-hosts',
  'select operator_key, domain, box_expression from live_hosts($1::bytea)'
)

/** The hosts that live tokens name for a recipient, newest first, this node's own among them. */
export function liveHosts(database: Queryable, recipient: Buffer): Promise<HostChoice[]> {
  return database.query(LIVE_HOSTS, [recipient])
}

const PLAN_NEXT = statement(
  'plan-next-host',
  `with planned as (
    insert into deliveries (domain, host_key, recipient, sender, message_box, message_id, name, envelope_id, id_key,
      lane, first_hand, first_seen, next_attempt_at, created_at, expires_at)
    select $2, $3, d.recipient, d.sender, d.message_box, d.message_id, d.name, d.envelope_id, d.id_key,
      d.lane, d.first_hand, d.first_seen, $4::bigint, d.created_at, d.expires_at
    from deliveries d where d.id = $1::bigint
    on conflict (recipient, name, host_key) do nothing
    returning envelope_id
  )
  update envelopes e set holds = e.holds + 1 from planned p where e.id = p.envelope_id returning e.id`
)

/** Gives the place of a delivery to another host. Must run before the delivery ends, which may release the envelope. */
export async function planNextHost(
  database: Queryable,
  deliveryId: number,
  host: HostChoice,
  now: number
): Promise<void> {
  await database.query(PLAN_NEXT, [deliveryId, host.domain, host.operator_key, now])
}

const LOCK_MESSAGE = statement(
  'lock-message-deliveries',
  `select pg_advisory_xact_lock(hashtextextended(encode($1::bytea || $2::bytea, 'hex'), 36))`
)

/**
 * Lets one delivery of a message to a recipient end at a time: of several that end at once, each would take the others for
 * pending, and none would see that it was the last.
 */
export async function lockMessage(tx: Queryable, recipient: Buffer, name: Buffer): Promise<void> {
  await tx.query(LOCK_MESSAGE, [recipient, name])
}

const LOCK_CLAIM = statement(
  'lock-claimed-delivery',
  `select id from deliveries where id = $1::bigint and claim = $2::bigint and state = 'pending' for update`
)

/** Whether a claim is the latest one still; then it stays so until the transaction ends. */
export async function lockClaim(tx: Queryable, { id, claim }: Claim): Promise<boolean> {
  return (await tx.query(LOCK_CLAIM, [id, claim])).length > 0
}

const TRIED_HOSTS = statement(
  'tried-hosts',
  'select host_key from deliveries where recipient = $1::bytea and name = $2::bytea'
)

/** The operator keys of all hosts that a message was planned for. */
export async function triedHosts(database: Queryable, recipient: Buffer, name: Buffer): Promise<Buffer[]> {
  const rows = await database.query<{ host_key: Buffer }>(TRIED_HOSTS, [recipient, name])
  return rows.map(row => row.host_key)
}

const CLAIM_OVERDUE = statement(
  'claim-overdue-deliveries',
  `select id, claim, domain, host_key, recipient, sender, message_box, message_id, name, envelope_id, first_hand,
    first_seen, attempts, created_at, expires_at, last_answer
  from claim_overdue_deliveries($1::bigint, $2::bigint, $3::integer)`
)

/** Claims at most `limit` deliveries whose message has expired, or whose host has been failing since `giveUpBefore`. */
export function claimOverdue(
  database: Queryable,
  now: number,
  giveUpBefore: number,
  limit: number
): Promise<(ClaimedDelivery & { readonly last_answer: string | null })[]> {
  return database.query(CLAIM_OVERDUE, [now, giveUpBefore, limit])
}

const PRUNE = statement(
  'prune-federation',
  'select prune_federation($1::bigint, $2::integer, $3::integer) as count'
)

/** Failing domains of which something is remembered. */
const DESTINATIONS = 10_000

/** Deletes at most `limit` rows of each kind that nobody needs any more; answers how many there were. */
export async function pruneFederation(
  database: Queryable,
  now: number,
  limit: number,
  destinations = DESTINATIONS
): Promise<number> {
  const [row] = await database.query<{ count: number }>(PRUNE, [now, limit, destinations])
  return row!.count
}
