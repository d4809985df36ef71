import type { Clock } from '../../src/context.js'
import type { Logger } from '../../src/logger.js'
import type { Database } from '../../src/storage/database.js'
import {
  claimSubmissions,
  type Submission,
  submissionEnded,
  submissionFailed
} from '../storage/overlay-submissions.js'
import { Coalesced } from './coalesced.js'
import { OverlayAnswerError, type OverlayClient } from './overlay-client.js'
import { PHIP_TOPIC } from './topics.js'

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
/** Of what others have made; about a day. */
const FOREIGN_ATTEMPTS = 300

/**
 * Submits this node's transactions to every peer until it has acknowledged them: tokens, so that they are known at once,
 * and spends, because nobody lists those. Spends that others have made go to peers who take such, for a day.
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

  async #send(submission: Submission): Promise<boolean> {
    const { database, client, clock, logger } = this.#options
    const { txid, topic, peer, beef, attempts } = submission
    try {
      await client.submit(peer, topic, beef)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      const delay = Math.min(FIRST_DELAY * 2 ** Math.min(attempts - 1, 10), LONGEST_DELAY)
      logger.info({ peer, txid, topic, attempts, reason }, 'a peer has not taken a transaction')
      if (isForeign(topic) && (attempts >= FOREIGN_ATTEMPTS || isFinal(error))) {
        await submissionEnded(database, submission)
        return true
      }
      await submissionFailed(database, submission, clock.now() + delay, reason.slice(0, LONGEST_ERROR))
      return false
    }
    await submissionEnded(database, submission)
    return true
  }
}

/** Made by a user, not by this node. */
function isForeign(topic: string): boolean {
  return topic !== PHIP_TOPIC
}

/** The peer does not host that topic, or will never take that transaction. */
function isFinal(error: unknown): boolean {
  return error instanceof OverlayAnswerError && !error.isTemporary
}
