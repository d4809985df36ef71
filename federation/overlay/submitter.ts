import type { Network } from '../../src/config.js'
import type { Clock } from '../../src/context.js'
import type { ApiError } from '../../src/errors.js'
import type { Logger } from '../../src/logger.js'
import type { ListKind } from '../../src/operator-lists.js'
import type { Database, Queryable } from '../../src/storage/database.js'
import { type BeefTransaction, extractBeef } from '../../src/transactions/beef.js'
import { MalformedError } from '../../src/transactions/byte-reader.js'
import { askChain, type ChainTracker, isMadeUp, readAsLibrary } from '../../src/transactions/chain.js'
import { findTrackedOutpoints, type Outpoint } from '../storage/overlay-outputs.js'
import { type Admittance, findApplied, forgetApplied, recordAdmittance } from '../storage/overlay-progress.js'
import { lockRecipients } from '../storage/tokens.js'
import { createEngine } from './engine.js'
import { SerialQueryable } from './serial-queryable.js'
import { OverlayStorage } from './storage.js'
import {
  badTransaction,
  invalidBeef,
  parseSubmission,
  type Submission,
  spentOutpoints
} from './submission.js'
import type { Topic, TopicChange, TopicOutput } from './topic.js'

export interface SubmitterOptions {
  readonly database: Database
  readonly network: Network
  readonly clock: Clock
  readonly logger: Logger
  /** Needed on `test` and `main`; without one, nothing is taken there that has a Merkle path. */
  readonly chainTracker: ChainTracker | undefined
  /** What whoever submits is told about outputs that the operator does not want. */
  readonly blocked?: (kind: ListKind) => ApiError
}

export interface SubmitOptions {
  /** Base URL of the peer that lists this transaction: what cannot be admitted yet is kept for later. */
  readonly peer?: string
  /** Runs first in the same database transaction, with the recipients locked; what it throws undoes everything. */
  readonly before?: (tx: Queryable) => Promise<void>
  /** Runs last in the same database transaction. */
  readonly after?: (tx: Queryable) => Promise<void>
}

const NOTHING: Admittance = { outputsToAdmit: [], coinsToRetain: [], coinsRemoved: [] }

/** What one submission changed, and what is answered. */
interface Applied<Output extends TopicOutput> {
  readonly admittance: Admittance
  /** Undefined where nothing did. */
  readonly change: TopicChange<Output> | undefined
}

/**
 * Gives transactions to the overlay engine for one topic, each in one database transaction: outputs, spends, scores, the
 * topic's index, and that it was judged, all or nothing. The library does these one by one, and some without waiting.
 *
 * A transaction that concerns nothing here is neither verified nor remembered: the library would remember it as judged,
 * and never look again when it does concern something.
 */
export class Submitter<Output extends TopicOutput> {
  readonly #options: SubmitterOptions
  readonly #topic: Topic<Output>

  constructor(options: SubmitterOptions, topic: Topic<Output>) {
    this.#options = options
    this.#topic = topic
  }

  /**
   * @param bytes BEEF of either version, atomic or not
   * @returns what was admitted and removed; for a repeat, what was told the first time
   * @throws ApiError 400 ERR_INVALID_BEEF (malformed, too dear to verify) or ERR_INVALID_TRANSACTION (does not verify);
   * 403 ERR_BLOCKED where the operator wants no output of it
   */
  async submit(bytes: Uint8Array, options: SubmitOptions = {}): Promise<Admittance> {
    const { database, network } = this.#options
    const submission = parseSubmission(bytes, this.#topic.scripts, network)
    const { subject } = submission.beef
    const known = (await findApplied(database, [subject.txid], this.#topic.name)).get(subject.txid)
    if (known !== undefined) return known
    if (!(await this.#concerns(submission))) return NOTHING
    const chainTracker = await this.#chainTracker(submission, bytes)
    const { admittance, change } = await database.transaction(tx =>
      this.#apply(tx, submission, chainTracker, options)
    )
    if (change !== undefined) await this.#topic.afterCommit(change, beef => this.submit(beef))
    if (admittance.outputsToAdmit.length === 0) this.#tellBlocked(submission)
    return admittance
  }

  /** Whatever it spends is spent; but its outputs are not wanted, and that is no secret. */
  #tellBlocked({ beef, outputs }: Submission<Output>): void {
    const { blocked } = this.#options
    const kind = this.#refusals(outputs.get(beef.subject.txid) ?? [])[0]
    if (blocked !== undefined && kind !== undefined) throw blocked(kind)
  }

  #refusals(outputs: readonly Output[]): ListKind[] {
    return outputs.flatMap(output => this.#topic.refusalOf(output) ?? [])
  }

  async #concerns({ beef, outputs }: Submission<Output>): Promise<boolean> {
    if (outputs.size > 0) return true
    const spent = beef.transactions.flatMap(spentOutpoints)
    return (await findTrackedOutpoints(this.#options.database, spent, this.#topic.name)).length > 0
  }

  async #chainTracker(
    { beef }: Submission<Output>,
    bytes: Uint8Array
  ): Promise<ChainTracker | 'scripts only'> {
    const { network, chainTracker } = this.#options
    try {
      const library = readAsLibrary(beef, bytes)
      if (isMadeUp(network)) return 'scripts only'
      if (chainTracker === undefined)
        throw new MalformedError('this host knows no chain to compare Merkle paths with')
      return await askChain(chainTracker, beef, library)
    } catch (error) {
      throw error instanceof MalformedError ? invalidBeef(error.message) : error
    }
  }

  async #apply(
    tx: Queryable,
    submission: Submission<Output>,
    chainTracker: ChainTracker | 'scripts only',
    options: SubmitOptions
  ): Promise<Applied<Output>> {
    const { beef } = submission
    const { name: topicName } = this.#topic
    const db = new SerialQueryable(tx)
    const recipients = await this.#lockConcerned(db, submission)
    await options.before?.(db)
    const txids = beef.transactions.map(({ txid }) => txid)
    const applied = await findApplied(db, txids, topicName)
    const spent = beef.transactions.flatMap(spentOutpoints)
    const tracked = new Set((await findTrackedOutpoints(db, spent, topicName)).map(outpointName))
    let admittance = applied.get(beef.subject.txid) ?? NOTHING
    const admitted: Output[] = []
    let changed = false
    let removed = false
    for (const transaction of beef.transactions) {
      if (applied.has(transaction.txid)) continue
      const spends = spentOutpoints(transaction).some(outpoint => tracked.has(outpointName(outpoint)))
      const admissible = await this.#admissible(db, submission, transaction, options.peer)
      if (!spends && admissible.length === 0) continue
      const judged = await this.#judge(db, submission, transaction, chainTracker)
      // To be judged again once the operator has changed his mind.
      if (this.#refusals(submission.outputs.get(transaction.txid) ?? []).length > 0)
        await forgetApplied(db, transaction.txid, topicName)
      for (const outputIndex of judged.outputsToAdmit)
        tracked.add(outpointName({ txid: transaction.txid, outputIndex }))
      changed = true
      removed ||= spends
      const recognized = submission.outputs.get(transaction.txid) ?? []
      admitted.push(...recognized.filter(({ outputIndex }) => judged.outputsToAdmit.includes(outputIndex)))
      if (transaction === beef.subject) admittance = judged
    }
    const change = changed ? { txid: beef.subject.txid, recipients, admitted, spends: removed } : undefined
    if (change !== undefined) await this.#topic.beforeCommit?.(db, change, extractBeef(beef, beef.subject))
    await options.after?.(db)
    await db.settled()
    return { admittance, change }
  }

  async #admissible(
    db: Queryable,
    { beef, outputs: recognized }: Submission<Output>,
    transaction: BeefTransaction,
    peer: string | undefined
  ): Promise<Output[]> {
    const outputs = recognized.get(transaction.txid) ?? []
    const admissible = await this.#topic.judge(db).admissible(outputs)
    if (peer !== undefined) {
      const refused = outputs.filter(output => !admissible.includes(output))
      await this.#topic.keepForLater?.(db, { beef, transaction, outputs: refused }, peer)
    }
    return admissible
  }

  async #judge(
    db: SerialQueryable,
    { beef }: Submission<Output>,
    transaction: BeefTransaction,
    chainTracker: ChainTracker | 'scripts only'
  ): Promise<Admittance> {
    const { clock, logger } = this.#options
    const { name: topicName, service } = this.#topic
    const now = clock.now()
    const storage = new OverlayStorage(db, now)
    const engine = createEngine({
      managers: { [topicName]: this.#topic.judge(db) },
      services: { [service]: this.#topic.lookupService(db, storage, now) },
      storage,
      chainTracker,
      logger
    })
    const taggedBeef = { beef: Array.from(extractBeef(beef, transaction)), topics: [topicName] }
    const steak = await engine
      .submit(taggedBeef, undefined, 'historical-tx')
      .catch(async (error: unknown) => {
        // Either the database failed, and that is told as such, or the transaction does not verify.
        await db.settled()
        throw badTransaction(error)
      })
    await db.settled()
    const told = steak[topicName]
    const admittance: Admittance = {
      outputsToAdmit: told?.outputsToAdmit ?? [],
      coinsToRetain: told?.coinsToRetain ?? [],
      coinsRemoved: told?.coinsRemoved ?? []
    }
    await recordAdmittance(db, transaction.txid, topicName, admittance)
    return admittance
  }

  /**
   * Locks the recipients whose hosts this may change. What it spends may have been admitted while it waited for a lock,
   * so it looks again until nobody is added.
   */
  async #lockConcerned(db: Queryable, { beef, outputs }: Submission<Output>): Promise<Buffer[]> {
    const spent = beef.transactions.flatMap(spentOutpoints)
    const locked = new Map<string, Buffer>()
    for (;;) {
      const concerned = [
        ...[...outputs.values()].flat().map(({ recipient }) => recipient),
        ...(await this.#topic.findRecipients(db, spent))
      ]
      const added = concerned.filter(recipient => !locked.has(recipient.toString('hex')))
      if (added.length === 0) return [...locked.values()]
      await lockRecipients(db, added)
      for (const recipient of added) locked.set(recipient.toString('hex'), recipient)
    }
  }
}

function outpointName({ txid, outputIndex }: Outpoint): string {
  return `${txid}.${outputIndex}`
}
