import type { Clock } from '../../src/context.js'
import { correctDeliveryTimes, correctOtherTimes } from '../storage/wrong-times.js'
import type { DeliveryContext } from './engine.js'

/** Less than this is what a clock that is kept by NTP is set back at most, ms. */
const STEP = 60_000
const PAGE = 1_000

/**
 * Notices that the clock has been set back: what was put off until a time by the clock as it was would otherwise wait
 * until that comes. A process that begins cannot know what the clock was before, and takes it for set back.
 */
export class ClockWatch {
  readonly #clock: Clock
  /** By how much the clock is ahead of the process's own, which is never set; ms. */
  #offset = Number.POSITIVE_INFINITY

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * @param correct called if the clock was set back since it last succeeded
   */
  async look(correct: () => Promise<void>): Promise<void> {
    const offset = this.#clock.now() - performance.now()
    if (offset < this.#offset - STEP) await correct()
    this.#offset = offset
  }
}

/** Lets everything be tried now that a clock which was ahead has put off for longer than anything waits. */
export async function correctTimes({ database, clock }: DeliveryContext): Promise<void> {
  await correctOtherTimes(database, clock.now())
  for (let after: number | undefined = 0; after !== undefined; ) {
    after = await correctDeliveryTimes(database, after, clock.now(), PAGE)
  }
}
