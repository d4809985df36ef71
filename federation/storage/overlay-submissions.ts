import { type Queryable, statement } from '../../src/storage/database.js'

/** A transaction of this node that a peer has not acknowledged. */
export interface Submission {
  readonly txid: string
  /** Base URL. */
  readonly peer: string
  readonly beef: Buffer
  /** This one included. */
  readonly attempts: number
}

const ENQUEUE = statement(
  'enqueue_overlay_submissions',
  `insert into overlay_submissions (txid, peer, next_attempt_at)
  select $1, peer, $3 from unnest($2::text[]) as peer
  on conflict do nothing`
)

/** The transaction must be kept (`insertOverlayTransaction`). @param now ms: due at once */
export async function enqueueSubmissions(
  db: Queryable,
  txid: string,
  peers: readonly string[],
  now: number
): Promise<void> {
  await db.query(ENQUEUE, [Buffer.from(txid, 'hex'), peers, now])
}

const CLAIM = statement(
  'claim_overlay_submissions',
  `with due as (
    select txid, peer from overlay_submissions
    where next_attempt_at <= $1 and peer = any ($2::text[])
    order by next_attempt_at limit $3
    for update skip locked
  )
  update overlay_submissions s set attempts = s.attempts + 1, next_attempt_at = $4
  from due, overlay_transactions t
  where s.txid = due.txid and s.peer = due.peer and t.txid = s.txid
  returning encode(s.txid, 'hex') as txid, s.peer, s.attempts, t.beef`
)

/**
 * Takes submissions that are due. Whoever takes them and dies has them tried again at `until`.
 *
 * @param now ms
 */
export async function claimSubmissions(
  db: Queryable,
  peers: readonly string[],
  limit: number,
  now: number,
  until: number
): Promise<Submission[]> {
  return db.query<Submission>(CLAIM, [now, peers, limit, until])
}

const ACKNOWLEDGED = statement(
  'overlay_submission_acknowledged',
  'delete from overlay_submissions where txid = $1 and peer = $2'
)

/** The peer has the transaction. */
export async function submissionAcknowledged(db: Queryable, txid: string, peer: string): Promise<void> {
  await db.query(ACKNOWLEDGED, [Buffer.from(txid, 'hex'), peer])
}

const FAILED = statement(
  'overlay_submission_failed',
  'update overlay_submissions set next_attempt_at = $3, last_error = $4 where txid = $1 and peer = $2'
)

/** @param nextAttemptAt ms */
export async function submissionFailed(
  db: Queryable,
  txid: string,
  peer: string,
  nextAttemptAt: number,
  error: string
): Promise<void> {
  await db.query(FAILED, [Buffer.from(txid, 'hex'), peer, nextAttemptAt, error])
}

const HASTEN = statement(
  'hasten_overlay_submissions',
  'update overlay_submissions set next_attempt_at = $2 where peer = $1 and last_error is not null and next_attempt_at > $2'
)

/** The peer is there: what failed before is due now. @param now ms */
export async function hastenSubmissions(db: Queryable, peer: string, now: number): Promise<void> {
  await db.query(HASTEN, [peer, now])
}

const FORGET_PEERS = statement(
  'forget_submissions_to_other_peers',
  'delete from overlay_submissions where peer <> all ($1::text[])'
)

/** Drops what was meant for hosts that are peers no longer. */
export async function forgetOtherPeers(db: Queryable, peers: readonly string[]): Promise<void> {
  await db.query(FORGET_PEERS, [peers])
}
