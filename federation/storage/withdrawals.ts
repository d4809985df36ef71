import { type Queryable, statement } from '../../src/storage/database.js'
import type { Outpoint } from './overlay-outputs.js'
import type { FoundOutput } from './tokens.js'

/** A withdrawal as the index keeps it. */
export interface IndexedWithdrawal extends Outpoint {
  /** 33 bytes. */
  readonly recipient: Buffer
  readonly text: string
  /** SHA-256 of the text. */
  readonly textDigest: Buffer
}

/** A text of one recipient: the same text may be signed by others. */
export interface RecipientText {
  readonly recipient: Buffer
  readonly textDigest: Buffer
}

const INSERT_WITHDRAWAL = statement(
  'insert_phip_withdrawal',
  `insert into phip_withdrawals (txid, output_index, recipient, text, text_digest, admitted_at)
  values ($1, $2, $3, $4, $5, $6) on conflict do nothing`
)

/** Adds a verified withdrawal, unless there was one of this text. Its recipient must be locked. @param now ms */
export async function insertWithdrawal(
  db: Queryable,
  withdrawal: IndexedWithdrawal,
  now: number
): Promise<void> {
  await db.query(INSERT_WITHDRAWAL, [
    Buffer.from(withdrawal.txid, 'hex'),
    withdrawal.outputIndex,
    withdrawal.recipient,
    withdrawal.text,
    withdrawal.textDigest,
    now
  ])
}

const TEXT_STATE = statement(
  'phip_text_state',
  `select
    exists (select from phip_tokens where recipient = $1 and authorization_text_digest = $2) as seen,
    exists (select from phip_withdrawals where recipient = $1 and text_digest = $2) as withdrawn,
    exists (
      select from phip_withdrawals where recipient = $1 and text_digest = $2 and spent_at is null
    ) as void`
)

/** What this index knows of a text. */
export interface TextState {
  /** A valid token with this text was admitted once. */
  readonly seen: boolean
  /** It was withdrawn once. */
  readonly withdrawn: boolean
  /** It is withdrawn now. */
  readonly void: boolean
}

export async function findTextState(
  db: Queryable,
  { recipient, textDigest }: RecipientText
): Promise<TextState> {
  const [row] = await db.query<TextState>(TEXT_STATE, [recipient, textDigest])
  return row ?? { seen: false, withdrawn: false, void: false }
}

const FIND_WITHDRAWALS = statement(
  'find_phip_withdrawals_of_recipient',
  `select encode(w.txid, 'hex') as txid, w.output_index, x.beef
  from phip_withdrawals w join overlay_transactions x on x.txid = w.txid
  where w.recipient = $1 and w.spent_at is null
  order by w.admitted_at desc, w.txid, w.output_index limit $2`
)

/** Unspent withdrawals of a recipient, newest first. */
export async function findWithdrawals(
  db: Queryable,
  recipient: Buffer,
  limit: number
): Promise<FoundOutput[]> {
  const rows = await db.query<{ txid: string; output_index: number; beef: Buffer }>(FIND_WITHDRAWALS, [
    recipient,
    limit
  ])
  return rows.map(row => ({ txid: row.txid, outputIndex: row.output_index, beef: row.beef }))
}

const DEFER = statement(
  'defer_phip_withdrawal',
  `insert into phip_deferred_withdrawals (recipient, text_digest, txid, peer, beef)
  select $1, $2, $3, $4, $5
  where (select count(*) from phip_deferred_withdrawals where peer = $4) < $6
  on conflict do nothing`
)

/** Keeps a withdrawal that a peer lists until a token of its text appears; at most `limit` of each peer. */
export async function deferWithdrawal(
  db: Queryable,
  { recipient, textDigest }: RecipientText,
  txid: string,
  peer: string,
  beef: Uint8Array,
  limit: number
): Promise<void> {
  await db.query(DEFER, [recipient, textDigest, Buffer.from(txid, 'hex'), peer, beef, limit])
}

const FIND_DEFERRED = statement(
  'find_deferred_phip_withdrawals',
  `select d.beef from phip_deferred_withdrawals d
  join unnest($1::bytea[], $2::bytea[]) as seen (recipient, text_digest)
    on d.recipient = seen.recipient and d.text_digest = seen.text_digest
  limit 100`
)

/** Deferred withdrawals of these texts: one of each text is enough, so not all of very many. */
export async function findDeferredWithdrawals(
  db: Queryable,
  texts: readonly RecipientText[]
): Promise<Buffer[]> {
  const rows = await db.query<{ beef: Buffer }>(FIND_DEFERRED, textArrays(texts))
  return rows.map(row => row.beef)
}

const FORGET_DEFERRED = statement(
  'forget_deferred_phip_withdrawals',
  `delete from phip_deferred_withdrawals d using unnest($1::bytea[], $2::bytea[]) as seen (recipient, text_digest)
  where d.recipient = seen.recipient and d.text_digest = seen.text_digest`
)

export async function forgetDeferredWithdrawals(
  db: Queryable,
  texts: readonly RecipientText[]
): Promise<void> {
  await db.query(FORGET_DEFERRED, textArrays(texts))
}

function textArrays(texts: readonly RecipientText[]): [Buffer[], Buffer[]] {
  return [texts.map(({ recipient }) => recipient), texts.map(({ textDigest }) => textDigest)]
}
