import { type Queryable, statement } from '../../src/storage/database.js'
import type { Outpoint } from './overlay-outputs.js'

/** An operator with tokens here, and where he says that he is. */
export interface Operator {
  readonly operatorKey: Buffer
  /** Of his newest token. */
  readonly domain: string
}

const NEXT_OPERATORS = statement(
  'next_phip_operators',
  `with recursive operators as (
    (select operator_key from phip_tokens where spent_at is null and operator_key > $1 order by operator_key limit 1)
    union all
    select (
      select t.operator_key from phip_tokens t
      where t.spent_at is null and t.operator_key > o.operator_key order by t.operator_key limit 1
    )
    from operators o where o.operator_key is not null
  )
  select o.operator_key, newest.domain
  from (select operator_key from operators where operator_key is not null limit $2) o
  cross join lateral (
    select t.domain from phip_tokens t
    where t.operator_key = o.operator_key and t.spent_at is null order by t.admitted_at desc limit 1
  ) newest
  order by o.operator_key`
)

/** The operators with unspent tokens that follow a key, in the order of their keys. */
export async function findNextOperators(
  db: Queryable,
  after: Uint8Array,
  limit: number
): Promise<Operator[]> {
  const rows = await db.query<{ operator_key: Buffer; domain: string }>(NEXT_OPERATORS, [after, limit])
  return rows.map(row => ({ operatorKey: row.operator_key, domain: row.domain }))
}

const IS_OPERATOR = statement(
  'is_phip_operator',
  `select exists (
    select from phip_tokens
    where operator_key = $1 and spent_at is null and set_aside_at is null and not withdrawn
  ) as is_operator`
)

/** Whether a key is the operator key of a token that lives here. */
export async function isOperator(db: Queryable, operatorKey: Uint8Array): Promise<boolean> {
  const rows = await db.query<{ is_operator: boolean }>(IS_OPERATOR, [operatorKey])
  return rows[0]!.is_operator
}

const DOMAINS_OF_OPERATORS = statement(
  'domains_of_phip_operators',
  `select distinct newest.domain from unnest($1::bytea[]) as asked (operator_key)
  cross join lateral (
    select t.domain from phip_tokens t
    where t.operator_key = asked.operator_key and t.spent_at is null order by t.admitted_at desc limit $2
  ) newest`
)

/** Where operators say that they are, in the newest `limit` unspent tokens of each. */
export async function domainsOfOperators(
  db: Queryable,
  operatorKeys: readonly Uint8Array[],
  limit: number
): Promise<string[]> {
  const rows = await db.query<{ domain: string }>(DOMAINS_OF_OPERATORS, [operatorKeys, limit])
  return rows.map(row => row.domain)
}

const HELD_TOKENS = statement(
  'held_phip_tokens',
  `select encode(txid, 'hex') as txid, output_index from phip_tokens
  where operator_key = $1 and spent_at is null and (phip_tokens.txid, output_index) > ($2::bytea, $3::integer)
  order by phip_tokens.txid, output_index limit $4`
)

/** The unspent tokens of an operator that follow an outpoint, set aside or not, in the order of their outpoints. */
export async function findHeldTokens(
  db: Queryable,
  operatorKey: Buffer,
  after: Outpoint,
  limit: number
): Promise<Outpoint[]> {
  const rows = await db.query<{ txid: string; output_index: number }>(HELD_TOKENS, [
    operatorKey,
    Buffer.from(after.txid, 'hex'),
    after.outputIndex,
    limit
  ])
  return rows.map(row => ({ txid: row.txid, outputIndex: row.output_index }))
}

const SET_ASIDE = statement(
  'set_aside_phip_tokens',
  `with judged as (
    select t.txid, t.output_index, t.recipient, asked.listed
    from unnest($2::bytea[], $3::integer[], $4::boolean[]) as asked (txid, output_index, listed)
    join phip_tokens t on t.txid = asked.txid and t.output_index = asked.output_index
    where t.operator_key = $1 and t.spent_at is null and (t.set_aside_at is null) <> asked.listed
  )
  update phip_tokens t set set_aside_at = case when judged.listed then null else $5::bigint end
  from judged where t.txid = judged.txid and t.output_index = judged.output_index
  returning t.recipient`
)

/**
 * Sets aside the tokens that their operator did not list, and takes back those that he lists again.
 *
 * @param now ms
 * @returns recipients whose hosts may have changed
 */
export async function setTokensAside(
  db: Queryable,
  operatorKey: Buffer,
  tokens: readonly (Outpoint & { readonly listed: boolean })[],
  now: number
): Promise<Buffer[]> {
  const rows = await db.query<{ recipient: Buffer }>(SET_ASIDE, [
    operatorKey,
    tokens.map(({ txid }) => Buffer.from(txid, 'hex')),
    tokens.map(({ outputIndex }) => outputIndex),
    tokens.map(({ listed }) => listed),
    now
  ])
  return rows.map(row => row.recipient)
}
