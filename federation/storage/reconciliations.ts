import { type Queryable, statement } from '../../src/storage/database.js'
import { FORGET_AFTER } from '../../src/storage/messages.js'

/** A recipient for whom another host has a live token. */
export interface RecipientOfHost {
  readonly recipient: Buffer
  /** This node serves him, too; otherwise the rest says nothing. */
  readonly shared: boolean
  /** In all his boxes here. */
  readonly messages: number
  /** Another one once a message has come or gone. */
  readonly version: string
  /** Box expressions of the two hosts' tokens; a message must match them all. */
  readonly expressions: string[]
}

const RECIPIENTS_OF_HOST = statement(
  'recipients-of-host',
  'select * from recipients_of_host($1::bytea, $2::bytea, $3::bytea, $4::bytea, $5::integer)'
)

/** Recipients of a host between two keys, both included, in the order of their keys. */
export function recipientsOfHost(
  database: Queryable,
  self: Uint8Array,
  host: Uint8Array,
  from: Uint8Array,
  until: Uint8Array | undefined,
  limit: number
): Promise<RecipientOfHost[]> {
  return database.query(RECIPIENTS_OF_HOST, [self, host, from, until ?? null, limit])
}

const BOX_NAMES = statement(
  'box-names',
  'select name from message_boxes where recipient = $1::bytea limit $2'
)

/** Names of a recipient's boxes. */
export async function boxNames(database: Queryable, recipient: Buffer, limit: number): Promise<string[]> {
  const rows = await database.query<{ name: string }>(BOX_NAMES, [recipient, limit])
  return rows.map(row => row.name)
}

const SHARED_NAMES = statement(
  'shared-names',
  'select * from shared_names($1::bytea, $2::bytea, $3::bytea, $4::text[], $5::bigint, $6::integer)'
)

/**
 * Names of messages that can be given to another host, 32 bytes each, ascending; and SHA-256(recipient ‖ name) of each.
 *
 * @param until excluded
 * @param boxes undefined: all of them
 */
export async function sharedNames(
  database: Queryable,
  recipient: Buffer,
  from: Uint8Array,
  until: Uint8Array | undefined,
  boxes: readonly string[] | undefined,
  expiresAfter: number,
  limit: number
): Promise<{ names: Buffer; digests: Buffer }> {
  const [row] = await database.query<{ names: Buffer; digests: Buffer }>(SHARED_NAMES, [
    recipient,
    from,
    until ?? null,
    boxes ?? null,
    expiresAfter,
    limit
  ])
  return row!
}

const JUDGE_OFFERS = statement(
  'judge-offers',
  'select * from judge_offers($1::bytea, $2::bytea, $3::bytea, $4::bytea[], $5::bigint, $6::bigint, $7::bigint)'
)

/**
 * Which of the names that a host holds this node wants; plans what to tell it about the others.
 *
 * @param timeToLive seconds
 * @returns undefined where they do not share the recipient
 */
export async function judgeOffers(
  database: Queryable,
  self: Uint8Array,
  host: Uint8Array,
  recipient: Buffer,
  names: readonly Buffer[],
  timeToLive: number,
  now: number
): Promise<{ wanted: Buffer[]; domain: string | null } | undefined> {
  const [row] = await database.query<{ wanted: Buffer[]; domain: string | null }>(JUDGE_OFFERS, [
    self,
    host,
    recipient,
    names,
    now,
    FORGET_AFTER,
    now + timeToLive * 1000 + FORGET_AFTER
  ])
  return row
}

const PLAN_WANTED = statement(
  'plan-wanted',
  'select plan_wanted($1::bytea, $2::bytea, $3::bytea, $4::bytea[], $5::bigint) as domain'
)

/** Plans deliveries of messages that a host lacks; answers the domain to nudge. */
export async function planWanted(
  database: Queryable,
  self: Uint8Array,
  host: Uint8Array,
  recipient: Buffer,
  names: readonly Buffer[],
  now: number
): Promise<string | undefined> {
  const [row] = await database.query<{ domain: string | null }>(PLAN_WANTED, [
    self,
    host,
    recipient,
    names,
    now
  ])
  return row!.domain ?? undefined
}

const REQUEST = statement(
  'request-reconciliations',
  'select request_reconciliations($1::bytea, $2::bytea, $3::bigint)'
)

/** The hosts of a recipient have changed: this node compares with them soon. */
export async function requestReconciliations(
  database: Queryable,
  recipient: Buffer,
  self: Uint8Array,
  now: number
): Promise<void> {
  await database.query(REQUEST, [recipient, self, now])
}

const REQUEST_ALL = statement(
  'request-all-reconciliations',
  'update reconciliations set next_at = least(next_at, greatest($1::bigint, coalesce(finished_at, 0) + 10000))'
)

/** This node was away: it compares with everybody. */
export async function requestAllReconciliations(database: Queryable, now: number): Promise<void> {
  await database.query(REQUEST_ALL, [now])
}

const DUE = statement(
  'due-reconciliations',
  `select host_key from reconciliations r
   where next_at <= $1::bigint and coalesce(claimed_until, 0) <= $1::bigint
     and not exists (select from destinations b where b.domain = r.domain and b.backoff_until > $1::bigint)
     and not is_held(r.domain)
   order by next_at limit $2::integer`
)

/** Hosts to compare with now. */
export async function dueReconciliations(database: Queryable, now: number, limit: number): Promise<Buffer[]> {
  const rows = await database.query<{ host_key: Buffer }>(DUE, [now, limit])
  return rows.map(row => row.host_key)
}

const CLAIM = statement(
  'claim-reconciliation',
  'select * from claim_reconciliation($1::bytea, $2::bigint, $3::bigint)'
)

export interface ClaimedReconciliation {
  readonly domain: string
  readonly claim: number
  /** Where the last one ended, recipient and name; null: at the end of everything. */
  readonly resume_at: Buffer | null
}

/** Takes the turn to compare with a host; undefined if it is not time, or somebody else has it. */
export async function claimReconciliation(
  database: Queryable,
  host: Uint8Array,
  now: number,
  claimedUntil: number
): Promise<ClaimedReconciliation | undefined> {
  const [row] = await database.query<ClaimedReconciliation>(CLAIM, [host, now, claimedUntil])
  return row
}

const END = statement(
  'end-reconciliation',
  `update reconciliations set claimed_until = null, next_at = $3::bigint, finished_at = coalesce($4::bigint, finished_at),
     resume_at = $5::bytea
   where host_key = $1::bytea and claim = $2::bigint`
)

/** How a comparison ended. */
export interface ReconciliationEnd {
  readonly nextAt: number
  /** Undefined: something failed. */
  readonly finishedAt: number | undefined
  /** Where the next one begins; undefined: at the beginning. */
  readonly resumeAt: Buffer | undefined
}

/** Gives the turn back. */
export async function endReconciliation(
  database: Queryable,
  host: Uint8Array,
  claim: number,
  { nextAt, finishedAt, resumeAt }: ReconciliationEnd
): Promise<void> {
  await database.query(END, [host, claim, nextAt, finishedAt ?? null, resumeAt ?? null])
}

const POSTPONE = statement(
  'postpone-reconciliation',
  'update reconciliations set next_at = greatest(next_at, $2::bigint) where host_key = $1::bytea and claimed_until is null'
)

/** The host compares with this node just now: that serves both. */
export async function postponeReconciliation(
  database: Queryable,
  host: Uint8Array,
  until: number
): Promise<void> {
  await database.query(POSTPONE, [host, until])
}
