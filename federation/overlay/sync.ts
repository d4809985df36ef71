import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../../src/context.js'
import type { Logger } from '../../src/logger.js'
import type { Database } from '../../src/storage/database.js'
import { OutboundError } from '../channel/outbound-error.js'
import { forgetOtherPeers, hastenSubmissions } from '../storage/overlay-submissions.js'
import type { GaspPuller, PullReport } from './gasp-puller.js'
import type { OperatorCheck } from './operator-check.js'
import { OverlayAnswerError } from './overlay-client.js'
import type { SubmissionSender } from './submission-sender.js'

export interface SyncOptions {
  readonly database: Database
  readonly clock: Clock
  readonly logger: Logger
  /** Of PHIP tokens. */
  readonly puller: GaspPuller
  /** Of host advertisements. */
  readonly hostPuller: GaspPuller
  readonly sender: SubmissionSender
  readonly operators: OperatorCheck
  /** Spends own tokens that were withdrawn while nobody looked. */
  readonly spendWithdrawn: () => Promise<void>
  /** Base URLs. */
  readonly peers: readonly string[]
  /** Between the end of a round and the next, ms. */
  readonly interval: number
}

/** What one round brought from each peer; undefined from those that failed, or that another process was reading. */
export type RoundReport = ReadonlyMap<string, PullReport | undefined>

/** What is under way when the node stops gets this long, ms. */
const STOP_MILLISECONDS = 3_000
const PEERS_AT_ONCE = 4

/** Keeps this index in step with other overlay hosts: at start, and after every interval. */
export class Sync {
  readonly #options: SyncOptions
  #timer: NodeJS.Timeout | undefined
  #round: Promise<unknown> = Promise.resolve()
  #isStarted = false

  constructor(options: SyncOptions) {
    this.#options = options
  }

  start(): void {
    if (this.#isStarted) return
    this.#isStarted = true
    this.#round = this.#guarded('forgetting peers', () =>
      forgetOtherPeers(this.#options.database, this.#options.peers)
    )
      .then(() => this.runOnce())
      .then(() => this.#schedule())
  }

  /** No round begins after this; one under way is waited for, at most 3 s. */
  async stop(): Promise<void> {
    this.#isStarted = false
    clearTimeout(this.#timer)
    await Promise.race([this.#round, delay(STOP_MILLISECONDS, undefined, { ref: false })])
  }

  /** One round with every peer and some operators. Never rejects: whatever a peer does, the next round comes. */
  async runOnce(): Promise<RoundReport> {
    const { peers, sender, operators, spendWithdrawn } = this.#options
    const report = new Map<string, PullReport | undefined>()
    const next = peers.values()
    const work = async (): Promise<void> => {
      for (const peer of next) report.set(peer, await this.#pull(peer))
    }
    await Promise.all(Array.from({ length: PEERS_AT_ONCE }, work))
    await this.#guarded('spending what was withdrawn', spendWithdrawn)
    await this.#guarded('submitting', () => sender.flush())
    await this.#guarded('asking operators', () => operators.run())
    return report
  }

  #schedule(): void {
    if (!this.#isStarted) return
    this.#timer = setTimeout(() => {
      this.#round = this.runOnce().then(() => this.#schedule())
    }, this.#options.interval)
    this.#timer.unref()
  }

  async #pull(peer: string): Promise<PullReport | undefined> {
    const { puller, database, clock, logger } = this.#options
    try {
      const report = await puller.pull(peer)
      if (report !== undefined && report.taken > 0)
        logger.info({ peer, ...report }, 'read from an overlay host')
      // Who lists tokens without end gets no second turn in one round.
      if (report?.complete) await this.#pullHosts(peer)
      await hastenSubmissions(database, peer, clock.now())
      return report
    } catch (error) {
      if (error instanceof OutboundError || error instanceof OverlayAnswerError) {
        logger.info({ peer, reason: error.message }, 'an overlay host cannot be read')
      } else {
        logger.error({ err: error, peer }, 'reading from an overlay host failed')
      }
      return undefined
    }
  }

  /** Not every host of PHIP tokens hosts these. */
  async #pullHosts(peer: string): Promise<void> {
    const { hostPuller, logger } = this.#options
    try {
      await hostPuller.pull(peer)
    } catch (error) {
      if (!(error instanceof OutboundError || error instanceof OverlayAnswerError)) throw error
      logger.debug({ peer, reason: error.message }, 'host advertisements of a peer cannot be read')
    }
  }

  async #guarded(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#options.logger.error({ err: error }, `overlay sync: ${what} failed`)
    }
  }
}
