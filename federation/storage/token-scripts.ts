import { type Queryable, statement } from '../../src/storage/database.js'
import type { Outpoint } from './overlay-outputs.js'

/** What the index says of one host of a recipient. Keys of 33 bytes. */
export interface IndexedHost {
  readonly recipient: Buffer
  readonly operatorKey: Buffer
  readonly domain: string
  readonly boxExpression: string | null
}

/** A live token, as the index has it and as it is locked. */
export interface ScriptedToken extends IndexedHost, Outpoint {
  /** Null where the overlay does not keep the output. */
  readonly script: Buffer | null
}

const FIND_SCRIPT = statement(
  'find-script-behind-host',
  `select encode(t.txid, 'hex') as txid, t.output_index, t.domain, t.box_expression, o.locking_script
  from phip_tokens t
  left join overlay_outputs o on o.txid = t.txid and o.output_index = t.output_index and o.topic = 'tm_phip'
  where t.recipient = $1::bytea and t.operator_key = $2::bytea
    and t.spent_at is null and t.set_aside_at is null and not t.withdrawn
  order by t.admitted_at desc, t.txid, t.output_index
  limit 1`
)

/** The operator's newest live token for a recipient: what the index's entry of that host is made from. */
export async function findScriptBehind(
  database: Queryable,
  { recipient, operatorKey }: Pick<IndexedHost, 'recipient' | 'operatorKey'>
): Promise<ScriptedToken | undefined> {
  const [row] = await database.query<{
    txid: string
    output_index: number
    domain: string
    box_expression: string | null
    locking_script: Buffer | null
  }>(FIND_SCRIPT, [recipient, operatorKey])
  if (row === undefined) return undefined
  return {
    txid: row.txid,
    outputIndex: row.output_index,
    recipient,
    operatorKey,
    domain: row.domain,
    boxExpression: row.box_expression,
    script: row.locking_script
  }
}

const SET_ASIDE = statement(
  'set-phip-token-aside',
  `update phip_tokens set set_aside_at = $3::bigint
  where txid = $1::bytea and output_index = $2::integer and set_aside_at is null`
)

/** Leaves a token out of the index until its operator lists it again. Its recipient must be locked. @param now ms */
export async function setTokenAside(
  tx: Queryable,
  { txid, outputIndex }: Outpoint,
  now: number
): Promise<void> {
  await tx.query(SET_ASIDE, [Buffer.from(txid, 'hex'), outputIndex, now])
}

const REFRESH = statement('refresh-phip-host', 'select refresh_phip_host($1::bytea, $2::bytea, $3::bigint)')

/** Makes the entry of one host from its tokens again. Its recipient must be locked. @param now ms */
export async function refreshHost(
  tx: Queryable,
  recipient: Buffer,
  operatorKey: Buffer,
  now: number
): Promise<void> {
  await tx.query(REFRESH, [recipient, operatorKey, now])
}
