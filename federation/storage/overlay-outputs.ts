import { type Queryable, statement } from '../../src/storage/database.js'

/** One output of one transaction; the id as it is shown, 64 hex characters. */
export interface Outpoint {
  readonly txid: string
  readonly outputIndex: number
}

/** An output that a topic has admitted. */
export interface OverlayOutput extends Outpoint {
  readonly topic: string
  readonly lockingScript: Buffer
  readonly satoshis: number
  readonly spent: boolean
  /** Rises in the order of commits within a topic. */
  readonly score: number
  readonly blockHeight: number | null
  readonly outputsConsumed: readonly Outpoint[]
  readonly consumedBy: readonly Outpoint[]
  /** Null unless asked for. */
  readonly beef: Buffer | null
}

export type NewOverlayOutput = Pick<
  OverlayOutput,
  'txid' | 'outputIndex' | 'topic' | 'lockingScript' | 'satoshis' | 'spent' | 'outputsConsumed' | 'consumedBy'
>

interface OutputRow {
  txid: string
  output_index: number
  topic: string
  locking_script: Buffer
  satoshis: number
  spent: boolean
  score: number
  block_height: number | null
  outputs_consumed: Outpoint[]
  consumed_by: Outpoint[]
  beef: Buffer | null
}

const COLUMNS = `encode(o.txid, 'hex') as txid, o.output_index, o.topic, o.locking_script, o.satoshis, o.spent, o.score,
  o.block_height, o.outputs_consumed, o.consumed_by`

const INSERT_TRANSACTION = statement(
  'insert_overlay_transaction',
  'insert into overlay_transactions (txid, beef) values ($1, $2) on conflict (txid) do nothing'
)

/** Keeps a transaction with its ancestry; one that is kept already stays as it is. */
export async function insertOverlayTransaction(db: Queryable, txid: string, beef: Uint8Array): Promise<void> {
  await db.query(INSERT_TRANSACTION, [bytes(txid), beef])
}

const INSERT_OUTPUT = statement(
  'insert_overlay_output',
  `insert into overlay_outputs (
    txid, output_index, topic, locking_script, satoshis, spent, score, outputs_consumed, consumed_by
  ) values ($1, $2, $3, $4, $5, $6, next_overlay_score($3, $9), $7::jsonb, $8::jsonb)
  on conflict (txid, output_index, topic) do nothing`
)

/** Its transaction must be kept. An output that is there already stays as it is. @param now ms */
export async function insertOverlayOutput(
  db: Queryable,
  output: NewOverlayOutput,
  now: number
): Promise<void> {
  await db.query(INSERT_OUTPUT, [
    bytes(output.txid),
    output.outputIndex,
    output.topic,
    output.lockingScript,
    output.satoshis,
    output.spent,
    JSON.stringify(output.outputsConsumed),
    JSON.stringify(output.consumedBy),
    now
  ])
}

const FIND_OUTPUT = statement(
  'find_overlay_output',
  `select ${COLUMNS}, case when $5 then (select t.beef from overlay_transactions t where t.txid = o.txid) end as beef
  from overlay_outputs o
  where o.txid = $1 and o.output_index = $2 and ($3::text is null or o.topic = $3)
    and ($4::boolean is null or o.spent = $4)
  order by o.topic limit 1`
)

/** @param filter topic and spent: undefined is any */
export async function findOverlayOutput(
  db: Queryable,
  { txid, outputIndex }: Outpoint,
  filter: { topic?: string | undefined; spent?: boolean | undefined; withBeef?: boolean } = {}
): Promise<OverlayOutput | undefined> {
  const [row] = await db.query<OutputRow>(FIND_OUTPUT, [
    bytes(txid),
    outputIndex,
    filter.topic,
    filter.spent,
    filter.withBeef ?? false
  ])
  return row && toOutput(row)
}

const FIND_OUTPUTS_OF_TRANSACTION = statement(
  'find_overlay_outputs_of_transaction',
  `select ${COLUMNS}, case when $2 then (select t.beef from overlay_transactions t where t.txid = o.txid) end as beef
  from overlay_outputs o where o.txid = $1 order by o.output_index, o.topic`
)

export async function findOutputsOfTransaction(
  db: Queryable,
  txid: string,
  withBeef: boolean
): Promise<OverlayOutput[]> {
  const rows = await db.query<OutputRow>(FIND_OUTPUTS_OF_TRANSACTION, [bytes(txid), withBeef])
  return rows.map(toOutput)
}

const FIND_UNSPENT_OUTPUTS = statement(
  'find_unspent_overlay_outputs',
  `select ${COLUMNS}, case when $4 then (select t.beef from overlay_transactions t where t.txid = o.txid) end as beef
  from overlay_outputs o
  where o.topic = $1 and not o.spent and o.score >= $2
  order by o.score limit $3`
)

/** Unspent outputs of a topic from a score on, that score included; lowest first. */
export async function findUnspentOutputs(
  db: Queryable,
  topic: string,
  since: number,
  limit: number,
  withBeef = false
): Promise<OverlayOutput[]> {
  const rows = await db.query<OutputRow>(FIND_UNSPENT_OUTPUTS, [topic, since, limit, withBeef])
  return rows.map(toOutput)
}

const FIND_UNSPENT_SCORES = statement(
  'find_unspent_overlay_scores',
  `select encode(o.txid, 'hex') as txid, o.output_index, o.score from overlay_outputs o
  where o.topic = $1 and not o.spent and o.score >= $2
  order by o.score limit $3`
)

/** As `findUnspentOutputs`, without what is in them. */
export async function findUnspentScores(
  db: Queryable,
  topic: string,
  since: number,
  limit: number
): Promise<(Outpoint & { readonly score: number })[]> {
  const rows = await db.query<{ txid: string; output_index: number; score: number }>(FIND_UNSPENT_SCORES, [
    topic,
    since,
    limit
  ])
  return rows.map(row => ({ txid: row.txid, outputIndex: row.output_index, score: row.score }))
}

const TRACKED_OUTPOINTS = statement(
  'tracked_overlay_outpoints',
  `select encode(o.txid, 'hex') as txid, o.output_index
  from unnest($1::bytea[], $2::integer[]) as asked (txid, output_index)
  join overlay_outputs o on o.txid = asked.txid and o.output_index = asked.output_index and o.topic = $3`
)

/** Those of the outpoints that a topic holds. */
export async function findTrackedOutpoints(
  db: Queryable,
  outpoints: readonly Outpoint[],
  topic: string
): Promise<Outpoint[]> {
  const rows = await db.query<{ txid: string; output_index: number }>(TRACKED_OUTPOINTS, [
    outpoints.map(({ txid }) => bytes(txid)),
    outpoints.map(({ outputIndex }) => outputIndex),
    topic
  ])
  return rows.map(row => ({ txid: row.txid, outputIndex: row.output_index }))
}

const DELETE_OUTPUT = statement(
  'delete_overlay_output',
  'delete from overlay_outputs where txid = $1 and output_index = $2 and topic = $3'
)

/** Takes an output from one topic; its transaction goes with it if nothing else needs that. */
export async function deleteOverlayOutput(db: Queryable, outpoint: Outpoint, topic: string): Promise<void> {
  await db.query(DELETE_OUTPUT, [bytes(outpoint.txid), outpoint.outputIndex, topic])
}

const MARK_SPENT = statement(
  'mark_overlay_output_spent',
  'update overlay_outputs set spent = true where txid = $1 and output_index = $2 and topic = $3'
)

export async function markOutputSpent(db: Queryable, outpoint: Outpoint, topic: string): Promise<void> {
  await db.query(MARK_SPENT, [bytes(outpoint.txid), outpoint.outputIndex, topic])
}

const UPDATE_CONSUMED_BY = statement(
  'update_overlay_output_consumed_by',
  'update overlay_outputs set consumed_by = $4::jsonb where txid = $1 and output_index = $2 and topic = $3'
)

export async function updateConsumedBy(
  db: Queryable,
  outpoint: Outpoint,
  topic: string,
  consumedBy: readonly Outpoint[]
): Promise<void> {
  await db.query(UPDATE_CONSUMED_BY, [
    bytes(outpoint.txid),
    outpoint.outputIndex,
    topic,
    JSON.stringify(consumedBy)
  ])
}

const UPDATE_BEEF = statement(
  'update_overlay_beef',
  'update overlay_transactions set beef = $2 where txid = $1'
)

export async function updateBeef(db: Queryable, txid: string, beef: Uint8Array): Promise<void> {
  await db.query(UPDATE_BEEF, [bytes(txid), beef])
}

const UPDATE_BLOCK_HEIGHT = statement(
  'update_overlay_output_block_height',
  'update overlay_outputs set block_height = $4 where txid = $1 and output_index = $2 and topic = $3'
)

export async function updateBlockHeight(
  db: Queryable,
  outpoint: Outpoint,
  topic: string,
  blockHeight: number
): Promise<void> {
  await db.query(UPDATE_BLOCK_HEIGHT, [bytes(outpoint.txid), outpoint.outputIndex, topic, blockHeight])
}

function toOutput(row: OutputRow): OverlayOutput {
  return {
    txid: row.txid,
    outputIndex: row.output_index,
    topic: row.topic,
    lockingScript: row.locking_script,
    satoshis: row.satoshis,
    spent: row.spent,
    score: row.score,
    blockHeight: row.block_height,
    outputsConsumed: row.outputs_consumed,
    consumedBy: row.consumed_by,
    beef: row.beef
  }
}

function bytes(txid: string): Buffer {
  return Buffer.from(txid, 'hex')
}
