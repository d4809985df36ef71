import type { Clock } from '../../src/context.js'
import type { Logger } from '../../src/logger.js'
import type { Database } from '../../src/storage/database.js'
import {
  claimSubmissions,
  type Submission,
  submissionAcknowledged,
  submissionFailed
} from '../storage/overlay-submissions.js'
import { Coalesced } from './coalesced.js'
import type { OverlayClient } from './overlay-client.js'

export interface SubmissionSenderOptions {
  readonly database: Database
  readonly clock: Clock
  readonly logger: Logger
  readonly client: OverlayClient
  /** Base URLs. */
  readonly peers: readonly string[]
}

const BATCH = 20
/** Longer than the door waits for one answer, ms. */
const CLAIM_MILLISECONDS = 60_000
const FIRST_DELAY = 5_000
const LONGEST_DELAY = 5 * 60_000
const LONGEST_ERROR = 200

/**
 * Submits this node's transactions to every peer until it has acknowledged them: tokens, so that they are known at once,
 * and spends, because nobody lists those.
 */
export class SubmissionSender {
  readonly #options: SubmissionSenderOptions
  readonly #sending: Coalesced

  constructor(options: SubmissionSenderOptions) {
    this.#options = options
    // Each peer on its own, so that a slow one holds up nobody.
    this.#sending = new Coalesced(async () => {
      await Promise.all(options.peers.map(peer => this.#sendTo(peer)))
    })
  }

  /** Sends what is due; resolves when nothing is. */
  flush(): Promise<void> {
    return this.#sending.run()
  }

  /** Resolves when nothing is being sent. */
  settled(): Promise<void> {
    return this.#sending.settled()
  }

  async #sendTo(peer: string): Promise<void> {
    const { database, clock } = this.#options
    for (;;) {
      const now = clock.now()
      const due = await claimSubmissions(database, [peer], BATCH, now, now + CLAIM_MILLISECONDS)
      const sent = await Promise.all(due.map(submission => this.#send(submission)))
      // A peer that failed is left alone; the rest of its submissions stays due.
      if (due.length < BATCH || sent.includes(false)) return
    }
  }

  async #send({ txid, peer, beef, attempts }: Submission): Promise<boolean> {
    const { database, client, clock, logger } = this.#options
    try {
      await client.submit(peer, beef)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      const delay = Math.min(FIRST_DELAY * 2 ** Math.min(attempts - 1, 10), LONGEST_DELAY)
      logger.info({ peer, txid, attempts, reason }, 'a peer has not taken a transaction of this node')
      await submissionFailed(database, txid, peer, clock.now() + delay, reason.slice(0, LONGEST_ERROR))
      return false
    }
    await submissionAcknowledged(database, txid, peer)
    return true
  }
}
