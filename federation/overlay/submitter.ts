import type { Network } from '../../src/config.js'
import type { Clock } from '../../src/context.js'
import type { Curve } from '../../src/curve/curve.js'
import type { ApiError } from '../../src/errors.js'
import { type IdentityKey, identityKeyFromBytes } from '../../src/keys/identity-key.js'
import type { Logger } from '../../src/logger.js'
import type { ListKind } from '../../src/operator-lists.js'
import type { Database, Queryable } from '../../src/storage/database.js'
import { type BeefTransaction, extractBeef } from '../../src/transactions/beef.js'
import { MalformedError } from '../../src/transactions/byte-reader.js'
import { askChain, type ChainTracker, isMadeUp, readAsLibrary } from '../../src/transactions/chain.js'
import { findTrackedOutpoints, type Outpoint } from '../storage/overlay-outputs.js'
import { type Admittance, findApplied, forgetApplied, recordAdmittance } from '../storage/overlay-progress.js'
import { findRecipientsOfOutpoints, lockRecipients } from '../storage/tokens.js'
import {
  deferWithdrawal,
  findDeferredWithdrawals,
  findTextState,
  forgetDeferredWithdrawals,
  type RecipientText
} from '../storage/withdrawals.js'
import { createEngine } from './engine.js'
import { PhipLookupService } from './lookup-service.js'
import type { PhipOutput, PhipScripts } from './phip-scripts.js'
import { SerialQueryable } from './serial-queryable.js'
import { OverlayStorage } from './storage.js'
import {
  badTransaction,
  invalidBeef,
  parseSubmission,
  type Submission,
  spentOutpoints
} from './submission.js'
import { PhipTopicManager, type TokenRefusal } from './topic-manager.js'
import { PHIP_SERVICE, PHIP_TOPIC } from './topics.js'

export interface SubmitterOptions {
  readonly database: Database
  readonly curve: Curve
  readonly network: Network
  readonly clock: Clock
  readonly logger: Logger
  readonly scripts: PhipScripts
  /** Needed on `test` and `main`; without one, nothing is taken there that has a Merkle path. */
  readonly chainTracker: ChainTracker | undefined
  /** Called after the commit; losing a call costs time only. */
  readonly onHostsChanged: (recipient: IdentityKey) => void
  /** Called after the commit with the texts of withdrawals that were admitted; losing a call costs time only. */
  readonly onWithdrawn: (text: string) => void
  /** Absent: no token is refused for whom it names. */
  readonly refusalOf?: TokenRefusal
  /** What whoever submits is told about tokens that were not admitted for that reason. */
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
/** Withdrawals kept of one peer. */
const MAX_DEFERRED = 10_000

/** What one submission changed. */
interface Change {
  admittance: Admittance
  /** Whose hosts may be others now. */
  recipients: readonly Buffer[]
  /** Of tokens that were admitted. */
  readonly texts: RecipientText[]
  /** Texts of withdrawals that were admitted. */
  readonly withdrawn: string[]
}

/**
 * Gives transactions to the overlay engine, each in one database transaction: outputs, spends, scores, the index of
 * tokens, and that it was judged, all or nothing. The library does these one by one, and some without waiting.
 *
 * A transaction that concerns nothing here is neither verified nor remembered: the library would remember it as judged,
 * and never look again when it does concern something.
 */
export class Submitter {
  readonly #options: SubmitterOptions

  constructor(options: SubmitterOptions) {
    this.#options = options
  }

  /**
   * @param bytes BEEF of either version, atomic or not
   * @returns what was admitted and removed; for a repeat, what was told the first time
   * @throws ApiError 400 ERR_INVALID_BEEF (malformed, too dear to verify) or ERR_INVALID_TRANSACTION (does not verify);
   * 403 ERR_BLOCKED where the operator wants no token of it
   */
  async submit(bytes: Uint8Array, options: SubmitOptions = {}): Promise<Admittance> {
    const { database, scripts, network } = this.#options
    const submission = parseSubmission(bytes, scripts, network)
    const { subject } = submission.beef
    const known = (await findApplied(database, [subject.txid], PHIP_TOPIC)).get(subject.txid)
    if (known !== undefined) return known
    if (!(await this.#concerns(submission))) return NOTHING
    const chainTracker = await this.#chainTracker(submission, bytes)
    const change = await database.transaction(tx => this.#apply(tx, submission, chainTracker, options))
    for (const recipient of change.recipients) this.#options.onHostsChanged(identityKeyFromBytes(recipient))
    for (const text of change.withdrawn) this.#options.onWithdrawn(text)
    if (change.texts.length > 0) await this.#submitDeferred(change.texts)
    if (change.admittance.outputsToAdmit.length === 0) this.#tellBlocked(submission)
    return change.admittance
  }

  /** Whatever it spends is spent; but its tokens are not wanted, and that is no secret. */
  #tellBlocked({ beef, phipOutputs }: Submission): void {
    const { blocked } = this.#options
    const kind = this.#refusals(phipOutputs.get(beef.subject.txid) ?? [])[0]
    if (blocked !== undefined && kind !== undefined) throw blocked(kind)
  }

  #refusals(outputs: readonly PhipOutput[]): ListKind[] {
    return outputs.flatMap(output =>
      output.kind === 'token' ? (this.#options.refusalOf?.(output) ?? []) : []
    )
  }

  async #concerns({ beef, phipOutputs }: Submission): Promise<boolean> {
    if (phipOutputs.size > 0) return true
    const spent = beef.transactions.flatMap(spentOutpoints)
    return (await findTrackedOutpoints(this.#options.database, spent, PHIP_TOPIC)).length > 0
  }

  async #chainTracker({ beef }: Submission, bytes: Uint8Array): Promise<ChainTracker | 'scripts only'> {
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
    submission: Submission,
    chainTracker: ChainTracker | 'scripts only',
    options: SubmitOptions
  ): Promise<Change> {
    const { beef } = submission
    const db = new SerialQueryable(tx)
    const recipients = await lockConcerned(db, submission)
    await options.before?.(db)
    const txids = beef.transactions.map(({ txid }) => txid)
    const applied = await findApplied(db, txids, PHIP_TOPIC)
    const spent = beef.transactions.flatMap(spentOutpoints)
    const tracked = new Set((await findTrackedOutpoints(db, spent, PHIP_TOPIC)).map(outpointName))
    const change: Change = {
      admittance: applied.get(beef.subject.txid) ?? NOTHING,
      recipients: [],
      texts: [],
      withdrawn: []
    }
    for (const transaction of beef.transactions) {
      if (applied.has(transaction.txid)) continue
      const spends = spentOutpoints(transaction).some(outpoint => tracked.has(outpointName(outpoint)))
      const admissible = await this.#admissible(db, submission, transaction, options.peer)
      if (!spends && admissible.length === 0) continue
      const admittance = await this.#judge(db, submission, transaction, chainTracker)
      // To be judged again once the operator has changed his mind.
      if (this.#refusals(submission.phipOutputs.get(transaction.txid) ?? []).length > 0)
        await forgetApplied(db, transaction.txid, PHIP_TOPIC)
      for (const outputIndex of admittance.outputsToAdmit)
        tracked.add(outpointName({ txid: transaction.txid, outputIndex }))
      change.recipients = recipients
      for (const output of admissible) {
        if (output.kind === 'token') change.texts.push(output)
        else change.withdrawn.push(output.text)
      }
      if (transaction === beef.subject) change.admittance = admittance
    }
    await options.after?.(db)
    await db.settled()
    return change
  }

  async #admissible(
    db: Queryable,
    { beef, phipOutputs }: Submission,
    transaction: BeefTransaction,
    peer: string | undefined
  ): Promise<PhipOutput[]> {
    const outputs = phipOutputs.get(transaction.txid) ?? []
    const admissible = await new PhipTopicManager(
      db,
      this.#options.scripts,
      this.#options.refusalOf
    ).admissible(outputs)
    if (peer === undefined) return admissible
    for (const output of outputs) {
      if (output.kind !== 'withdrawal' || admissible.includes(output)) continue
      if ((await findTextState(db, output)).seen) continue
      const own = extractBeef(beef, transaction)
      await deferWithdrawal(db, output, transaction.txid, peer, own, MAX_DEFERRED)
    }
    return admissible
  }

  async #judge(
    db: SerialQueryable,
    { beef }: Submission,
    transaction: BeefTransaction,
    chainTracker: ChainTracker | 'scripts only'
  ): Promise<Admittance> {
    const { curve, scripts, clock, logger, refusalOf } = this.#options
    const now = clock.now()
    const storage = new OverlayStorage(db, now)
    const engine = createEngine({
      managers: { [PHIP_TOPIC]: new PhipTopicManager(db, scripts, refusalOf) },
      services: { [PHIP_SERVICE]: new PhipLookupService(db, storage, curve, scripts, now) },
      storage,
      chainTracker,
      logger
    })
    const taggedBeef = { beef: Array.from(extractBeef(beef, transaction)), topics: [PHIP_TOPIC] }
    const steak = await engine
      .submit(taggedBeef, undefined, 'historical-tx')
      .catch(async (error: unknown) => {
        // Either the database failed, and that is told as such, or the transaction does not verify.
        await db.settled()
        throw badTransaction(error)
      })
    await db.settled()
    const told = steak[PHIP_TOPIC]
    const admittance: Admittance = {
      outputsToAdmit: told?.outputsToAdmit ?? [],
      coinsToRetain: told?.coinsToRetain ?? [],
      coinsRemoved: told?.coinsRemoved ?? []
    }
    await recordAdmittance(db, transaction.txid, PHIP_TOPIC, admittance)
    return admittance
  }

  /** A token was seen: withdrawals of its text that a peer listed before can be admitted now. */
  async #submitDeferred(texts: readonly RecipientText[]): Promise<void> {
    const { database, logger } = this.#options
    for (const beef of await findDeferredWithdrawals(database, texts)) {
      await this.submit(beef).catch((error: unknown) =>
        logger.debug({ err: error }, 'a deferred withdrawal was refused')
      )
    }
    await forgetDeferredWithdrawals(database, texts)
  }
}

/**
 * Locks the recipients whose hosts this may change. What it spends may have been admitted while it waited for a lock,
 * so it looks again until nobody is added.
 */
async function lockConcerned(db: Queryable, { beef, phipOutputs }: Submission): Promise<Buffer[]> {
  const spent = beef.transactions.flatMap(spentOutpoints)
  const locked = new Map<string, Buffer>()
  for (;;) {
    const concerned = [
      ...[...phipOutputs.values()].flat().map(({ recipient }) => recipient),
      ...(await findRecipientsOfOutpoints(db, spent))
    ]
    const added = concerned.filter(recipient => !locked.has(recipient.toString('hex')))
    if (added.length === 0) return [...locked.values()]
    await lockRecipients(db, added)
    for (const recipient of added) locked.set(recipient.toString('hex'), recipient)
  }
}

function outpointName({ txid, outputIndex }: Outpoint): string {
  return `${txid}.${outputIndex}`
}
