import { type Queryable, statement } from '../../src/storage/database.js'

/** What an overlay host says about a transaction and one topic (BRC-22 "STEAK"). Output and input indexes. */
export interface Admittance {
  readonly outputsToAdmit: readonly number[]
  readonly coinsToRetain: readonly number[]
  readonly coinsRemoved: readonly number[]
}

const FIND_APPLIED = statement(
  'find_applied_transactions',
  `select encode(txid, 'hex') as txid, outputs_admitted, coins_removed from overlay_applied_transactions
  where txid = any ($1::bytea[]) and topic = $2`
)

/** What was said of those of the transactions that the topic has judged, by id. */
export async function findApplied(
  db: Queryable,
  txids: readonly string[],
  topic: string
): Promise<Map<string, Admittance>> {
  const rows = await db.query<{ txid: string; outputs_admitted: number[]; coins_removed: number[] }>(
    FIND_APPLIED,
    [txids.map(bytes), topic]
  )
  return new Map(
    rows.map(row => [
      row.txid,
      { outputsToAdmit: row.outputs_admitted, coinsToRetain: [], coinsRemoved: row.coins_removed }
    ])
  )
}

const INSERT_APPLIED = statement(
  'insert_applied_transaction',
  'insert into overlay_applied_transactions (txid, topic) values ($1, $2) on conflict do nothing'
)

/** Remembers that the topic has judged a transaction. */
export async function insertApplied(db: Queryable, txid: string, topic: string): Promise<void> {
  await db.query(INSERT_APPLIED, [bytes(txid), topic])
}

const RECORD_ADMITTANCE = statement(
  'record_admittance',
  `update overlay_applied_transactions set outputs_admitted = $3, coins_removed = $4 where txid = $1 and topic = $2`
)

/** Remembers what was said, for whoever submits the same transaction again. */
export async function recordAdmittance(
  db: Queryable,
  txid: string,
  topic: string,
  admittance: Admittance
): Promise<void> {
  await db.query(RECORD_ADMITTANCE, [bytes(txid), topic, admittance.outputsToAdmit, admittance.coinsRemoved])
}

const FIND_INTERACTION = statement(
  'find_overlay_interaction',
  'select since from overlay_interactions where host = $1 and topic = $2'
)

/** The score up to which a host has been read; 0 at first. */
export async function findInteraction(db: Queryable, host: string, topic: string): Promise<number> {
  const [row] = await db.query<{ since: number }>(FIND_INTERACTION, [host, topic])
  return row?.since ?? 0
}

const UPDATE_INTERACTION = statement(
  'update_overlay_interaction',
  `insert into overlay_interactions (host, topic, since) values ($1, $2, $3)
  on conflict (host, topic) do update set since = excluded.since`
)

export async function updateInteraction(
  db: Queryable,
  host: string,
  topic: string,
  since: number
): Promise<void> {
  await db.query(UPDATE_INTERACTION, [host, topic, since])
}

const READ_AGAIN = statement(
  'read_overlay_hosts_again',
  'update overlay_interactions set since = 0 where topic = $1'
)

/** Lets every host be read from its beginning, at the next round. */
export async function readHostsAgain(db: Queryable, topic: string): Promise<void> {
  await db.query(READ_AGAIN, [topic])
}

const FORGET_APPLIED = statement(
  'forget_applied_overlay_transaction',
  'delete from overlay_applied_transactions where txid = $1 and topic = $2'
)

/** Lets a transaction be judged again when it comes again. */
export async function forgetApplied(db: Queryable, txid: string, topic: string): Promise<void> {
  await db.query(FORGET_APPLIED, [bytes(txid), topic])
}

const CLAIM_INTERACTION = statement(
  'claim_overlay_interaction',
  `insert into overlay_interactions as i (host, topic, claimed_until) values ($1, $2, $4)
  on conflict (host, topic) do update set claimed_until = excluded.claimed_until where i.claimed_until <= $3
  returning since`
)

/**
 * Takes a host for one round of reading, so that no two processes read it at once.
 *
 * @param now ms; the claim ends by itself at `until`
 * @returns the score up to which it has been read; undefined if another process has it
 */
export async function claimInteraction(
  db: Queryable,
  host: string,
  topic: string,
  now: number,
  until: number
): Promise<number | undefined> {
  const [row] = await db.query<{ since: number }>(CLAIM_INTERACTION, [host, topic, now, until])
  return row?.since
}

const RELEASE_INTERACTION = statement(
  'release_overlay_interaction',
  'update overlay_interactions set claimed_until = 0 where host = $1 and topic = $2'
)

export async function releaseInteraction(db: Queryable, host: string, topic: string): Promise<void> {
  await db.query(RELEASE_INTERACTION, [host, topic])
}

function bytes(txid: string): Buffer {
  return Buffer.from(txid, 'hex')
}
