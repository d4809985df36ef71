import type { ReplayTicket } from '../../src/auth/caller.js'
import { type Queryable, statement } from '../../src/storage/database.js'
import { FORGET_AFTER, IDS_FORGET_AFTER } from '../../src/storage/messages.js'

/** What another host says that a recipient has acknowledged; its signature holds. */
export interface ReceivedAcknowledgement {
  readonly recipient: Buffer
  readonly names: readonly Buffer[]
  /** The recipient himself, or one of his hosts. */
  readonly signer: Buffer
  readonly signature: string
  /** Who passed it on. */
  readonly caller: Buffer
}

export interface ReceivedAcknowledgementOutcome {
  readonly outcome: 'accepted' | 'not-home' | 'not-host' | 'replayed' | 'unknown'
  /** Messages that were deleted or hidden now. */
  readonly acknowledged: number
}

const ACCEPT = statement(
  'accept-acknowledgement',
  `select * from accept_acknowledgement($1::uuid, $2::bigint, $3::bigint, $4::bigint, $5::bytea, $6::bytea[], $7::bytea,
    $8::bytea, $9::text, $10::bigint, $11::bigint, $12::bigint)`
)

/**
 * Deletes or hides what was acknowledged elsewhere, in one statement; see `accept_acknowledgement` in the migrations.
 *
 * @param timeToLive seconds
 */
export async function acceptAcknowledgement(
  database: Queryable,
  replay: ReplayTicket,
  { recipient, names, signer, signature, caller }: ReceivedAcknowledgement,
  timeToLive: number,
  now: number
): Promise<ReceivedAcknowledgementOutcome> {
  const [row] = await database.query<ReceivedAcknowledgementOutcome>(ACCEPT, [
    replay.digest.toString('hex'),
    replay.issuedAt,
    replay.expiresAt,
    now,
    recipient,
    names,
    signer,
    caller,
    signature,
    FORGET_AFTER,
    now + IDS_FORGET_AFTER,
    now + timeToLive * 1000 + FORGET_AFTER
  ])
  return row!
}

/** A statement on its way to a host, which this worker and no other works on. */
export interface DueStatement {
  readonly id: number
  readonly claim: number
  readonly host_key: Buffer
  readonly recipient: Buffer
  readonly attempts: number
  readonly kind: 'acknowledgement' | 'permission'
  /** Of acknowledged messages. */
  readonly names: Buffer[]
  /** Of a rule; sender empty: everybody, fee null: none any more. */
  readonly message_box: string | null
  readonly sender: Buffer | null
  readonly recipient_fee: number | null
  readonly set_at: number | null
  /** Null: this node's own word, not signed yet. */
  readonly signature: string | null
  /** Where a live token says that the host is now; null if none names it any more. */
  readonly live_domain: string | null
  readonly live_expression: string | null
  /** The domain failed last time: this is the one that probes it. */
  readonly failing: boolean
}

const CLAIM = statement(
  'claim-statements',
  `select d.id, d.claim, d.host_key, d.recipient, d.attempts, s.kind, s.names, s.message_box, s.sender,
    s.recipient_fee, s.set_at, s.signature, h.domain as live_domain, h.box_expression as live_expression,
    exists (select from destinations b where b.domain = d.domain) as failing
  from claim_statements($1::text, $2::bigint, $3::bigint, $4::integer) d
  join statements s on s.id = d.statement_id
  left join phip_hosts h on h.recipient = d.recipient and h.operator_key = d.host_key and h.live
  order by d.id`
)

/** Claims at most `limit` statements that are due at a domain; none while it is left alone. */
export function claimStatements(
  database: Queryable,
  domain: string,
  now: number,
  claimedUntil: number,
  limit: number
): Promise<DueStatement[]> {
  return database.query(CLAIM, [domain, now, claimedUntil, limit])
}

type Claimed = Pick<DueStatement, 'id' | 'claim'>

const END = statement('end-statements', 'select end_statements($1::bigint[], $2::bigint[])')

/** Ends deliveries: they arrived, or never will. A late worker's word changes nothing. */
export async function endStatements(database: Queryable, claimed: readonly Claimed[]): Promise<void> {
  await database.query(END, [claimed.map(({ id }) => id), claimed.map(({ claim }) => claim)])
}

const DEFER = statement(
  'defer-statements',
  `update statement_deliveries d set claimed_until = null, next_attempt_at = $3::bigint
   from unnest($1::bigint[], $2::bigint[]) as c (id, claim) where d.id = c.id and d.claim = c.claim`
)

/** Puts deliveries back until then. */
export async function deferStatements(
  database: Queryable,
  claimed: readonly Claimed[],
  nextAttemptAt: number
): Promise<void> {
  await database.query(DEFER, [claimed.map(({ id }) => id), claimed.map(({ claim }) => claim), nextAttemptAt])
}

const RETARGET = statement(
  'retarget-statement',
  `update statement_deliveries set domain = $3, claimed_until = null where id = $1 and claim = $2`
)

/** The host has moved to another domain. */
export async function retargetStatement(
  database: Queryable,
  { id, claim }: Claimed,
  domain: string
): Promise<void> {
  await database.query(RETARGET, [id, claim, domain])
}

const DUE_DOMAINS = statement(
  'due-statement-domains',
  'select due_statement_domains($1::bigint, $2::integer) as domain'
)

/** Domains with a statement due, at most `limit`. */
export async function dueStatementDomains(
  database: Queryable,
  now: number,
  limit: number
): Promise<string[]> {
  const rows = await database.query<{ domain: string }>(DUE_DOMAINS, [now, limit])
  return rows.map(row => row.domain)
}

const TELL_NEW = statement(
  'tell-new-hosts',
  'select tell_new_hosts($1::bytea, $2::bytea, $3::bigint, $4::bigint, $5::bigint) as domains'
)

/**
 * Plans what a recipient has acknowledged here, and his signed rules, for hosts that are new to him.
 *
 * @param timeToLive seconds
 * @returns domains to nudge
 */
export async function tellNewHosts(
  database: Queryable,
  recipient: Buffer,
  self: Uint8Array,
  timeToLive: number,
  now: number
): Promise<readonly string[]> {
  const [row] = await database.query<{ domains: string[] | null }>(TELL_NEW, [
    recipient,
    self,
    now,
    FORGET_AFTER,
    now + timeToLive * 1000 + FORGET_AFTER
  ])
  return row!.domains ?? []
}

const PRUNE = statement(
  'prune-statements',
  'select prune_statements($1::bigint, $2::bigint, $3::integer) as count'
)

/** Deletes at most `limit` rows of each kind that nobody needs any more; answers how many there were. */
export async function pruneStatements(
  database: Queryable,
  now: number,
  giveUpBefore: number,
  limit: number
): Promise<number> {
  const [row] = await database.query<{ count: number }>(PRUNE, [now, giveUpBefore, limit])
  return row!.count
}
