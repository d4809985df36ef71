import { type IdentityKey, identityKeyBytes } from '../../src/keys/identity-key.js'
import type { Arrival } from '../../src/live/arrivals.js'
import { markDevices } from '../storage/pushes.js'
import type { PushContext } from './context.js'

/**
 * How long arrivals are collected, ms: a burst is one push, and who reads live acknowledges in that time and is not
 * disturbed.
 */
const COLLECT_MILLISECONDS = 500
/** Recipients collected at most; beyond these the sweep finds what was missed. */
const WAITING_AT_MOST = 10_000

/** Marks the devices of those for whom this process has taken something; never while anybody waits for an answer. */
export class PushMarks {
  readonly #context: PushContext
  readonly #boxes: ReadonlySet<string>
  #waiting = new Set<IdentityKey>()
  #timer: NodeJS.Timeout | undefined
  #marking: Promise<void> = Promise.resolve()

  constructor(context: PushContext) {
    this.#context = context
    this.#boxes = new Set(context.pushRules.boxes)
  }

  arrived(arrivals: readonly Arrival[]): void {
    for (const { recipient, messageBox } of arrivals) {
      if (this.#boxes.has(messageBox) && this.#waiting.size < WAITING_AT_MOST) this.#waiting.add(recipient)
    }
    if (this.#waiting.size > 0) this.#timer ??= setTimeout(() => this.#flush(), COLLECT_MILLISECONDS)
  }

  /** Marks what still waits. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#flush()
    await this.#marking
  }

  #flush(): void {
    this.#timer = undefined
    const recipients = [...this.#waiting].map(identityKeyBytes)
    this.#waiting = new Set()
    if (recipients.length > 0) this.#marking = this.#marking.then(() => this.#mark(recipients))
  }

  async #mark(recipients: readonly Buffer[]): Promise<void> {
    const { database, pushRules, clock, queue, logger } = this.#context
    try {
      for (const host of await markDevices(database, recipients, pushRules, clock.now()))
        queue.add('push', host)
    } catch (error) {
      logger.warn({ err: error }, 'devices could not be marked; the sweep finds them')
    }
  }
}
