import type { Output, Storage } from '@bsv/overlay'
import type { Queryable } from '../../src/storage/database.js'
import {
  deleteOverlayOutput,
  findOutputsOfTransaction,
  findOverlayOutput,
  findUnspentOutputs,
  insertOverlayOutput,
  insertOverlayTransaction,
  markOutputSpent,
  type Outpoint,
  type OverlayOutput,
  updateBeef,
  updateBlockHeight,
  updateConsumedBy
} from '../storage/overlay-outputs.js'
import {
  findApplied,
  findInteraction,
  insertApplied,
  updateInteraction
} from '../storage/overlay-progress.js'

/** The most that a caller without a limit gets. */
const MAX_OUTPUTS = 10_000

/** An output that a lookup service found, to be hydrated without a second look into the database. */
export interface PreparedOutput extends Outpoint {
  readonly beef: Uint8Array
}

/**
 * What @bsv/overlay keeps, in Postgres: one object for each submission or lookup, on the transaction or database it is
 * given. The library's `number[]` ends here.
 *
 * Scores are not the library's (the time of the admission) but rise in the order of commits, so that whoever reads
 * on from a score misses nothing.
 */
export class OverlayStorage implements Storage {
  readonly #db: Queryable
  readonly #now: number
  readonly #prepared = new Map<string, PreparedOutput>()

  /** @param now ms */
  constructor(db: Queryable, now: number) {
    this.#db = db
    this.#now = now
  }

  /** Makes `findOutput` answer this output from memory: the engine asks for each found one on its own. */
  prepare(output: PreparedOutput): void {
    this.#prepared.set(outpointName(output), output)
  }

  async insertOutput(output: Output): Promise<void> {
    if (output.beef !== undefined)
      await insertOverlayTransaction(this.#db, output.txid, Buffer.from(output.beef))
    const { txid, outputIndex, topic, satoshis, spent, outputsConsumed, consumedBy } = output
    const lockingScript = Buffer.from(output.outputScript)
    await insertOverlayOutput(
      this.#db,
      { txid, outputIndex, topic, lockingScript, satoshis, spent, outputsConsumed, consumedBy },
      this.#now
    )
  }

  async findOutput(
    txid: string,
    outputIndex: number,
    topic?: string,
    spent?: boolean,
    includeBEEF = false
  ): Promise<Output | null> {
    const prepared = this.#prepared.get(outpointName({ txid, outputIndex }))
    if (prepared !== undefined) return preparedOutput(prepared)
    const output = await findOverlayOutput(
      this.#db,
      { txid, outputIndex },
      { topic, spent, withBeef: includeBEEF }
    )
    return output === undefined ? null : engineOutput(output)
  }

  async findOutputsForTransaction(txid: string, includeBEEF = false): Promise<Output[]> {
    return (await findOutputsOfTransaction(this.#db, txid, includeBEEF)).map(engineOutput)
  }

  async findUTXOsForTopic(
    topic: string,
    since = 0,
    limit = MAX_OUTPUTS,
    includeBEEF = false
  ): Promise<Output[]> {
    const most = Math.min(limit, MAX_OUTPUTS)
    return (await findUnspentOutputs(this.#db, topic, since, most, includeBEEF)).map(engineOutput)
  }

  async deleteOutput(txid: string, outputIndex: number, topic: string): Promise<void> {
    await deleteOverlayOutput(this.#db, { txid, outputIndex }, topic)
  }

  async markUTXOAsSpent(txid: string, outputIndex: number, topic: string): Promise<void> {
    await markOutputSpent(this.#db, { txid, outputIndex }, topic)
  }

  async updateConsumedBy(
    txid: string,
    outputIndex: number,
    topic: string,
    consumedBy: readonly Outpoint[]
  ): Promise<void> {
    await updateConsumedBy(this.#db, { txid, outputIndex }, topic, consumedBy)
  }

  async updateTransactionBEEF(txid: string, beef: readonly number[]): Promise<void> {
    await updateBeef(this.#db, txid, Buffer.from(beef))
  }

  async updateOutputBlockHeight(
    txid: string,
    outputIndex: number,
    topic: string,
    blockHeight: number
  ): Promise<void> {
    await updateBlockHeight(this.#db, { txid, outputIndex }, topic, blockHeight)
  }

  async insertAppliedTransaction({ txid, topic }: { txid: string; topic: string }): Promise<void> {
    await insertApplied(this.#db, txid, topic)
  }

  async doesAppliedTransactionExist({ txid, topic }: { txid: string; topic: string }): Promise<boolean> {
    return (await findApplied(this.#db, [txid], topic)).has(txid)
  }

  async updateLastInteraction(host: string, topic: string, since: number): Promise<void> {
    await updateInteraction(this.#db, host, topic, since)
  }

  async getLastInteraction(host: string, topic: string): Promise<number> {
    return findInteraction(this.#db, host, topic)
  }
}

function engineOutput(output: OverlayOutput): Output {
  return {
    txid: output.txid,
    outputIndex: output.outputIndex,
    outputScript: Array.from(output.lockingScript),
    satoshis: output.satoshis,
    topic: output.topic,
    spent: output.spent,
    outputsConsumed: [...output.outputsConsumed],
    consumedBy: [...output.consumedBy],
    score: output.score,
    ...(output.beef === null ? {} : { beef: Array.from(output.beef) }),
    ...(output.blockHeight === null ? {} : { blockHeight: output.blockHeight })
  }
}

/** The engine takes nothing from a found output but its BEEF. */
function preparedOutput({ txid, outputIndex, beef }: PreparedOutput): Output {
  return {
    txid,
    outputIndex,
    outputScript: [],
    satoshis: 0,
    topic: '',
    spent: false,
    outputsConsumed: [],
    consumedBy: [],
    beef: Array.from(beef)
  }
}

function outpointName({ txid, outputIndex }: Outpoint): string {
  return `${txid}.${outputIndex}`
}
