import { type Queryable, statement } from '../../src/storage/database.js'
import type { Outpoint } from './overlay-outputs.js'

/** A PHIP token as the index keeps it. Keys of 33 bytes. */
export interface IndexedToken extends Outpoint {
  readonly operatorKey: Buffer
  readonly domain: string
  readonly recipient: Buffer
  readonly boxExpression: string | null
  /** SHA-256 of the text that the recipient signed. */
  readonly textDigest: Buffer
}

const INSERT_TOKEN = statement(
  'insert_phip_token',
  `insert into phip_tokens (
    txid, output_index, operator_key, domain, recipient, box_expression, authorization_text_digest, admitted_at
  ) values ($1, $2, $3, $4, $5, $6, $7, $8)
  on conflict (txid, output_index) do nothing`
)

/** Adds a verified token; one that is there already stays as it is. Its recipient must be locked. @param now ms */
export async function insertToken(db: Queryable, token: IndexedToken, now: number): Promise<void> {
  await db.query(INSERT_TOKEN, [
    bytes(token.txid),
    token.outputIndex,
    token.operatorKey,
    token.domain,
    token.recipient,
    token.boxExpression,
    token.textDigest,
    now
  ])
}

const LOCK_RECIPIENTS = statement(
  'lock_phip_recipients',
  `select pg_advisory_xact_lock(hashtextextended(recipient, 34))
  from (select distinct encode(r, 'hex') as recipient from unnest($1::bytea[]) r order by 1) sorted`
)

/**
 * Holds these recipients alone until the transaction ends: whoever routes their mail holds them shared, so mail is
 * either planned for a new host at once, or found when it is planned again.
 */
export async function lockRecipients(tx: Queryable, recipients: readonly Uint8Array[]): Promise<void> {
  await tx.query(LOCK_RECIPIENTS, [recipients])
}

const RECIPIENTS_OF_OUTPOINTS = statement(
  'phip_recipients_of_outpoints',
  `select distinct found.recipient from unnest($1::bytea[], $2::integer[]) as asked (txid, output_index)
  cross join lateral (
    select recipient from phip_tokens t where t.txid = asked.txid and t.output_index = asked.output_index
    union all
    select recipient from phip_withdrawals w where w.txid = asked.txid and w.output_index = asked.output_index
  ) found`
)

/** The recipients of those outpoints that are tokens or withdrawals. */
export async function findRecipientsOfOutpoints(
  db: Queryable,
  outpoints: readonly Outpoint[]
): Promise<Buffer[]> {
  const rows = await db.query<{ recipient: Buffer }>(RECIPIENTS_OF_OUTPOINTS, outpointArrays(outpoints))
  return rows.map(row => row.recipient)
}

const MARK_SPENT = statement(
  'mark_phip_output_spent',
  `with token as (
    update phip_tokens set spent_at = $3 where txid = $1 and output_index = $2 and spent_at is null
  )
  update phip_withdrawals set spent_at = $3 where txid = $1 and output_index = $2 and spent_at is null`
)

/** A token or a withdrawal was spent. @param now ms */
export async function markTokenSpent(db: Queryable, outpoint: Outpoint, now: number): Promise<void> {
  await db.query(MARK_SPENT, [bytes(outpoint.txid), outpoint.outputIndex, now])
}

const FORGET_OUTPUT = statement(
  'forget_phip_output',
  `with token as (delete from phip_tokens where txid = $1 and output_index = $2)
  delete from phip_withdrawals where txid = $1 and output_index = $2`
)

/** Takes an output out of the index as if it had never been there. */
export async function forgetToken(db: Queryable, outpoint: Outpoint): Promise<void> {
  await db.query(FORGET_OUTPUT, [bytes(outpoint.txid), outpoint.outputIndex])
}

/** What of an output a lookup answers. */
export interface FoundOutput extends Outpoint {
  readonly beef: Buffer
}

interface FoundRow {
  txid: string
  output_index: number
  beef: Buffer
}

const FIND_TOKENS_OF_RECIPIENT = statement(
  'find_phip_tokens_of_recipient',
  `select encode(t.txid, 'hex') as txid, t.output_index, x.beef
  from phip_tokens t join overlay_transactions x on x.txid = t.txid
  where t.recipient = $1 and t.spent_at is null and t.set_aside_at is null and not t.withdrawn
  order by t.admitted_at desc, t.txid, t.output_index limit $2`
)

/** Live tokens of a recipient, newest first. */
export async function findTokensOfRecipient(
  db: Queryable,
  recipient: Buffer,
  limit: number
): Promise<FoundOutput[]> {
  return toFound(await db.query<FoundRow>(FIND_TOKENS_OF_RECIPIENT, [recipient, limit]))
}

const FIND_TOKENS_OF_OPERATOR = statement(
  'find_phip_tokens_of_operator',
  `select encode(t.txid, 'hex') as txid, t.output_index, x.beef
  from phip_tokens t join overlay_transactions x on x.txid = t.txid
  where t.operator_key = $1 and t.spent_at is null and not t.withdrawn
  order by t.admitted_at desc, t.txid, t.output_index limit $2`
)

/** Unspent tokens of an operator, newest first; also those that he did not list when he was asked last. */
export async function findTokensOfOperator(
  db: Queryable,
  operatorKey: Buffer,
  limit: number
): Promise<FoundOutput[]> {
  return toFound(await db.query<FoundRow>(FIND_TOKENS_OF_OPERATOR, [operatorKey, limit]))
}

const FIND_LISTED_TOKENS = statement(
  'find_listed_phip_tokens',
  `select encode(t.txid, 'hex') as txid, t.output_index, x.beef
  from unnest($2::bytea[], $3::integer[]) as asked (txid, output_index)
  join phip_tokens t on t.txid = asked.txid and t.output_index = asked.output_index
  join overlay_transactions x on x.txid = t.txid
  where t.operator_key = $1 and t.spent_at is null and not t.withdrawn`
)

/** Those of the outpoints that are unspent tokens of the operator. */
export async function findListedTokens(
  db: Queryable,
  operatorKey: Buffer,
  outpoints: readonly Outpoint[]
): Promise<FoundOutput[]> {
  return toFound(await db.query<FoundRow>(FIND_LISTED_TOKENS, [operatorKey, ...outpointArrays(outpoints)]))
}

const FIND_UNSPENT_OUTPUTS = statement(
  'find_unspent_phip_outputs',
  `select encode(o.txid, 'hex') as txid, o.output_index, x.beef
  from unnest($2::bytea[], $3::integer[]) as asked (txid, output_index)
  join overlay_outputs o on o.txid = asked.txid and o.output_index = asked.output_index and o.topic = $1
  join overlay_transactions x on x.txid = o.txid
  where not o.spent`
)

/** Those of the outpoints that are unspent outputs of the topic, tokens and withdrawals alike. */
export async function findUnspentOutputs(
  db: Queryable,
  topic: string,
  outpoints: readonly Outpoint[]
): Promise<FoundOutput[]> {
  return toFound(await db.query<FoundRow>(FIND_UNSPENT_OUTPUTS, [topic, ...outpointArrays(outpoints)]))
}

/** A token of one operator, with what spending it needs. */
export interface SpendableToken extends Outpoint {
  readonly textDigest: Buffer
  readonly withdrawn: boolean
  readonly beef: Buffer
}

const FIND_SPENDABLE = statement(
  'find_spendable_phip_tokens',
  `select encode(t.txid, 'hex') as txid, t.output_index, t.authorization_text_digest, t.withdrawn, x.beef
  from phip_tokens t join overlay_transactions x on x.txid = t.txid
  where t.recipient = $2 and t.spent_at is null and t.operator_key = $1
  order by t.admitted_at desc, t.txid, t.output_index limit $3`
)

/** Unspent tokens of an operator for one recipient, newest first. */
export async function findSpendableTokens(
  db: Queryable,
  operatorKey: Uint8Array,
  recipient: Uint8Array,
  limit: number
): Promise<SpendableToken[]> {
  const rows = await db.query<FoundRow & { authorization_text_digest: Buffer; withdrawn: boolean }>(
    FIND_SPENDABLE,
    [operatorKey, recipient, limit]
  )
  return rows.map(row => ({
    txid: row.txid,
    outputIndex: row.output_index,
    textDigest: row.authorization_text_digest,
    withdrawn: row.withdrawn,
    beef: row.beef
  }))
}

const WITHDRAWN_RECIPIENTS = statement(
  'withdrawn_phip_recipients',
  `select distinct recipient from phip_tokens
  where operator_key = $1 and spent_at is null and withdrawn limit $2`
)

/** Recipients who have withdrawn a text of which the operator still has a token. */
export async function findWithdrawnRecipients(
  db: Queryable,
  operatorKey: Uint8Array,
  limit: number
): Promise<Buffer[]> {
  const rows = await db.query<{ recipient: Buffer }>(WITHDRAWN_RECIPIENTS, [operatorKey, limit])
  return rows.map(row => row.recipient)
}

function toFound(rows: readonly FoundRow[]): FoundOutput[] {
  return rows.map(row => ({ txid: row.txid, outputIndex: row.output_index, beef: row.beef }))
}

function outpointArrays(outpoints: readonly Outpoint[]): [Buffer[], number[]] {
  return [outpoints.map(({ txid }) => bytes(txid)), outpoints.map(({ outputIndex }) => outputIndex)]
}

function bytes(txid: string): Buffer {
  return Buffer.from(txid, 'hex')
}
