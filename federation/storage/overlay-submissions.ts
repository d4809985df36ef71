import { type Queryable, statement } from '../../src/storage/database.js'

/** A transaction that a peer must learn of and has not acknowledged. */
export interface Submission {
  readonly txid: string
  readonly topic: string
  /** Base URL. */
  readonly peer: string
  readonly beef: Buffer
  /** This one included. */
  readonly attempts: number
}

type SubmissionName = Pick<Submission, 'txid' | 'topic' | 'peer'>

const ENQUEUE = statement(
  'enqueue_overlay_submissions',
  `insert into overlay_submissions (txid, topic, peer, next_attempt_at)
  select $1, $2, peer, $4 from unnest($3::text[]) as peer
  on conflict do nothing`
)

/** The transaction must be kept (`insertOverlayTransaction`). @param now ms: due at once */
export async function enqueueSubmissions(
  db: Queryable,
  topic: string,
  txid: string,
  peers: readonly string[],
  now: number
): Promise<void> {
  await db.query(ENQUEUE, [Buffer.from(txid, 'hex'), topic, peers, now])
}

const CLAIM = statement(
  'claim_overlay_submissions',
  `with due as (
    select txid, topic, peer from overlay_submissions
    where next_attempt_at <= $1 and peer = any ($2::text[])
    order by next_attempt_at limit $3
    for update skip locked
  )
  update overlay_submissions s set attempts = s.attempts + 1, next_attempt_at = $4
  from due, overlay_transactions t
  where s.txid = due.txid and s.topic = due.topic and s.peer = due.peer and t.txid = s.txid
  returning encode(s.txid, 'hex') as txid, s.topic, s.peer, s.attempts, t.beef`
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

const ENDED = statement(
  'overlay_submission_ended',
  'delete from overlay_submissions where txid = $1 and topic = $2 and peer = $3'
)

/** The peer has the transaction, or will never take it. */
export async function submissionEnded(db: Queryable, { txid, topic, peer }: SubmissionName): Promise<void> {
  await db.query(ENDED, [Buffer.from(txid, 'hex'), topic, peer])
}

const FAILED = statement(
  'overlay_submission_failed',
  'update overlay_submissions set next_attempt_at = $4, last_error = $5 where txid = $1 and topic = $2 and peer = $3'
)

/** @param nextAttemptAt ms */
export async function submissionFailed(
  db: Queryable,
  { txid, topic, peer }: SubmissionName,
  nextAttemptAt: number,
  error: string
): Promise<void> {
  await db.query(FAILED, [Buffer.from(txid, 'hex'), topic, peer, nextAttemptAt, error])
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
