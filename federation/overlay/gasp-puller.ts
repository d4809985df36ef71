import { LRUCache } from 'lru-cache'
import type { Clock } from '../../src/context.js'
import { ApiError } from '../../src/errors.js'
import type { Logger } from '../../src/logger.js'
import type { Database } from '../../src/storage/database.js'
import { type Bump, parseBeef, parseBump, writeBeef } from '../../src/transactions/beef.js'
import { MalformedError } from '../../src/transactions/byte-reader.js'
import { type ParsedTransaction, parseTransaction } from '../../src/transactions/transaction.js'
import { OutboundError } from '../channel/outbound-error.js'
import type { Outpoint } from '../storage/overlay-outputs.js'
import {
  type Admittance,
  claimInteraction,
  findApplied,
  releaseInteraction,
  updateInteraction
} from '../storage/overlay-progress.js'
import type { ScoredOutpoint } from './gasp-server.js'
import { OverlayAnswerError, type OverlayClient } from './overlay-client.js'
import { MAX_ASKED_OUTPOINTS } from './phip-query.js'
import type { SubmitOptions } from './submitter.js'

export interface GaspPullerOptions {
  readonly database: Database
  readonly clock: Clock
  readonly logger: Logger
  readonly client: OverlayClient
  /** What is read: names of BRC-87. */
  readonly topic: { readonly name: string; readonly service: string }
  /** Into the own engine, for that topic. */
  readonly submit: (beef: Uint8Array, options: SubmitOptions) => Promise<Admittance>
}

/** What one round with a peer brought. */
export interface PullReport {
  /** Outputs that the peer listed. */
  readonly listed: number
  /** Of these, transactions that were new here, and were given to the engine. */
  readonly taken: number
  /** Of these, what could not be used. */
  readonly refused: number
  /** False if the peer has more, for the next round. */
  readonly complete: boolean
}

const PAGE = 1_000
const MAX_PAGES = 50
/** Of one round with one peer, ms. Another process may take the peer when the claim ends. */
const ROUND_MILLISECONDS = 20_000
const CLAIM_MILLISECONDS = 60_000
/** Hosts other than this one give scores before they commit, so a little is read twice. */
const OVERLAP = 60_000
/** A score is a time. One from the far future would hide everything that comes after it. */
const LARGEST_AHEAD = 24 * 60 * 60_000
const MAX_GRAPH_NODES = 64
const MAX_GRAPH_BYTES = 1024 * 1024
const AT_ONCE = 4
/** From so many unknown outputs on they are asked for together: a host takes only so many requests of one address. */
const MANY = 10
/** What a peer listed in vain is not fetched again for a while. */
const REMEMBERED = 10_000
const REMEMBERED_MILLISECONDS = 60 * 60_000

const NONE: ReadonlyMap<string, Uint8Array> = new Map()

/**
 * The asking side of GASP (BRC-64), one direction: each host fetches what it misses from the others.
 *
 * The library's own client is not used: it holds every known output in memory twice, fetches a page of ten thousand at
 * once, reads on for ever if the host never ends, and counts what it failed to fetch as read.
 */
export class GaspPuller {
  readonly #options: GaspPullerOptions
  readonly #refused: LRUCache<string, true>

  constructor(options: GaspPullerOptions) {
    this.#options = options
    this.#refused = new LRUCache({ max: REMEMBERED, ttl: REMEMBERED_MILLISECONDS })
  }

  /** What was refused is looked at again when it is listed again. */
  forgetRefused(): void {
    this.#refused.clear()
  }

  /**
   * Reads on where the last round with this peer ended.
   *
   * @param peer base URL
   * @returns undefined if another process is reading from it
   * @throws OutboundError, OverlayAnswerError: what was read before counts
   */
  async pull(peer: string): Promise<PullReport | undefined> {
    const { database, clock, topic } = this.#options
    const start = clock.now()
    const since = await claimInteraction(database, peer, topic.name, start, start + CLAIM_MILLISECONDS)
    if (since === undefined) return undefined
    try {
      return await this.#read(peer, since, start + ROUND_MILLISECONDS)
    } finally {
      await releaseInteraction(database, peer, topic.name)
    }
  }

  async #read(peer: string, lastScore: number, deadline: number): Promise<PullReport> {
    const { database, client, clock, topic } = this.#options
    const report = { listed: 0, taken: 0, refused: 0, complete: false }
    let since = Math.max(0, lastScore - OVERLAP)
    for (let pages = 0; pages < MAX_PAGES && clock.now() < deadline; pages++) {
      const page = (await client.unspentSince(peer, topic.name, since, PAGE)).slice(0, PAGE)
      page.sort((a, b) => a.score - b.score)
      report.listed += page.length
      if (!(await this.#take(peer, page, report, deadline))) return report
      const highest = Math.min(page.at(-1)?.score ?? 0, clock.now() + LARGEST_AHEAD)
      if (highest > lastScore) await updateInteraction(database, peer, topic.name, highest)
      if (page.length < PAGE) return { ...report, complete: true }
      // A whole page of one score: there is no way to ask for the rest of it.
      since = Math.max(highest, since + 1)
    }
    return report
  }

  /** @returns false if the time was over before the end: the page has to be read again */
  async #take(
    peer: string,
    page: readonly ScoredOutpoint[],
    report: { taken: number; refused: number },
    deadline: number
  ): Promise<boolean> {
    const txids = [...new Set(page.map(({ txid }) => txid))]
    const known = await findApplied(this.#options.database, txids, this.#options.topic.name)
    const unknown = page.filter(({ txid }) => !known.has(txid) && !this.#refused.has(`${peer} ${txid}`))
    const roots = [...new Map(unknown.map(outpoint => [outpoint.txid, outpoint])).values()]
    for (let from = 0; from < roots.length; from += MAX_ASKED_OUTPOINTS) {
      const batch = roots.slice(from, from + MAX_ASKED_OUTPOINTS)
      const beefs = batch.length < MANY ? NONE : await this.#fetchTogether(peer, batch)
      if (!(await this.#takeBatch(peer, batch, beefs, report, deadline))) return false
    }
    return true
  }

  async #takeBatch(
    peer: string,
    roots: readonly Outpoint[],
    beefs: ReadonlyMap<string, Uint8Array>,
    report: { taken: number; refused: number },
    deadline: number
  ): Promise<boolean> {
    const next = roots.values()
    let isComplete = true
    const work = async (): Promise<void> => {
      for (const root of next) {
        if (this.#options.clock.now() >= deadline) {
          isComplete = false
          return
        }
        if (await this.#takeOne(peer, root, beefs.get(root.txid))) report.taken++
        else report.refused++
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work))
    return isComplete
  }

  /** By transaction id, as many as the peer gives; none of a host that does not know this question. */
  async #fetchTogether(peer: string, roots: readonly Outpoint[]): Promise<ReadonlyMap<string, Uint8Array>> {
    const { client, topic } = this.#options
    const beefs = new Map<string, Uint8Array>()
    try {
      const outpoints = roots.map(({ txid, outputIndex }) => `${txid}.${outputIndex}`)
      const outputs = await client.lookup(peer, topic.service, { outpoints })
      for (const { beef } of outputs) beefs.set(parseBeef(beef).subject.txid, beef)
    } catch (error) {
      // Whatever it answers to this, it may answer GASP.
      if (!(error instanceof OverlayAnswerError) && !isRefusal(error)) throw error
    }
    return beefs
  }

  /** @returns false for what cannot be used, now or ever */
  async #takeOne(peer: string, root: Outpoint, known: Uint8Array | undefined): Promise<boolean> {
    const { submit, logger } = this.#options
    try {
      const beef = known ?? (await this.#fetchGraph(peer, root))
      const { outputsToAdmit } = await submit(beef, { peer })
      if (outputsToAdmit.includes(root.outputIndex)) return true
    } catch (error) {
      if (!isRefusal(error)) throw error
      logger.debug({ peer, txid: root.txid, reason: error.message }, 'a listed output was refused')
    }
    this.#refused.set(`${peer} ${root.txid}`, true)
    return false
  }

  async #fetchGraph(peer: string, root: Outpoint): Promise<Uint8Array> {
    const fetched = new Map<string, FetchedTransaction>()
    const wanted = [root]
    let bytes = 0
    for (const node of wanted) {
      if (fetched.has(node.txid)) continue
      if (fetched.size === MAX_GRAPH_NODES) throw new MalformedError('the graph has too many transactions')
      const { rawTx, proof } = await this.#options.client.graphNode(peer, root, node)
      bytes += rawTx.length + (proof?.length ?? 0)
      if (bytes > MAX_GRAPH_BYTES) throw new MalformedError('the graph is too large')
      const transaction = { ...parseTransaction(rawTx), proof: proof && parseBump(proof) }
      if (transaction.txid !== node.txid) throw new MalformedError('the peer sent another transaction')
      fetched.set(node.txid, transaction)
      if (proof !== undefined) continue
      for (const input of transaction.inputs) {
        wanted.push({ txid: input.sourceTxid, outputIndex: input.sourceOutputIndex })
      }
    }
    return writeBeef(ancestorsFirst(root.txid, fetched))
  }
}

interface FetchedTransaction extends ParsedTransaction {
  readonly proof: Bump | undefined
}

/** A transaction's inputs name hashes of other transactions, so there can be no circle; the depth is bounded above. */
function ancestorsFirst(
  txid: string,
  fetched: ReadonlyMap<string, FetchedTransaction>
): FetchedTransaction[] {
  const ordered = new Map<string, FetchedTransaction>()
  const visit = (id: string): void => {
    const transaction = fetched.get(id)
    if (transaction === undefined || ordered.has(id)) return
    if (transaction.proof === undefined) for (const { sourceTxid } of transaction.inputs) visit(sourceTxid)
    ordered.set(id, transaction)
  }
  visit(txid)
  return [...ordered.values()]
}

/** What speaks of this output, and not of the peer's absence or of this node's own trouble. */
function isRefusal(error: unknown): error is Error {
  if (error instanceof MalformedError) return true
  if (error instanceof OverlayAnswerError) return !error.isTemporary
  if (error instanceof OutboundError) return error.kind === 'too-large' || error.kind === 'protocol'
  return error instanceof ApiError && error.httpStatus < 500
}
