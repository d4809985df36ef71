import { ApiError } from '../../src/errors.js'
import type { Database } from '../../src/storage/database.js'
import { parseBeef } from '../../src/transactions/beef.js'
import { findOverlayOutput, findUnspentScores, type Outpoint } from '../storage/overlay-outputs.js'

export interface ScoredOutpoint extends Outpoint {
  readonly score: number
}

/** One transaction of a graph, as GASP hands it over; hex. */
export interface GaspNode {
  readonly graphID: string
  readonly rawTx: string
  readonly outputIndex: number
  /** BUMP. */
  readonly proof?: string
}

/** What stock hosts ask for at once, and the most that anybody gets. */
const MAX_PAGE = 10_000

/**
 * The answering side of GASP (BRC-64). It reads the BEEF of an output itself: the library gives up on a graph as soon as
 * it meets a proven ancestor beside the one that is wanted.
 */
export class GaspServer {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** From that score on, lowest first; at most 10,000. */
  unspentSince(topic: string, since: number, limit: number | undefined): Promise<ScoredOutpoint[]> {
    return findUnspentScores(this.#database, topic, since, Math.min(limit ?? MAX_PAGE, MAX_PAGE))
  }

  /** @throws ApiError 404 ERR_OUTPUT_NOT_FOUND */
  async graphNode(root: Outpoint, node: Outpoint): Promise<GaspNode> {
    const output = await findOverlayOutput(this.#database, root, { withBeef: true })
    const transactions = output?.beef ? parseBeef(output.beef).transactions : []
    const found = transactions.find(({ txid }) => txid === node.txid)
    if (found === undefined) {
      throw new ApiError(
        404,
        'ERR_OUTPUT_NOT_FOUND',
        'This host does not hold that transaction in that graph.'
      )
    }
    return {
      graphID: `${root.txid}.${root.outputIndex}`,
      rawTx: Buffer.from(found.bytes).toString('hex'),
      outputIndex: node.outputIndex,
      ...(found.proof === undefined ? {} : { proof: Buffer.from(found.proof.bytes).toString('hex') })
    }
  }
}
