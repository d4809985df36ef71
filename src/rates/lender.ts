import type { Clock } from '../context.js'
import type { Logger } from '../logger.js'
import type { RateStore } from './store.js'

/** How long a slice is waited for, its turn included, ms; after that the store counts as away. */
const LEASE_MILLISECONDS = 500
/** While the store is away it is asked again this often, in the background, ms. */
const RETRY_MILLISECONDS = 1_000
/** Questions to the store at once: a flood of strangers must not keep the node's connections from its users. */
const IN_FLIGHT = 4

interface Waiting {
  readonly run: () => void
  readonly abandon: () => void
}

/** Asks the store on behalf of all budgets of this process: some questions at once, none while it is away. */
export class Lender {
  readonly #store: RateStore
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #waiting = new Set<Waiting>()
  #inFlight = 0
  #isAway = false
  #askedAt = 0

  constructor(store: RateStore, clock: Clock, logger: Logger) {
    this.#store = store
    this.#clock = clock
    this.#logger = logger
  }

  /** True from a failure to the next answer: nobody waits for the store, and every process counts for itself. */
  get isAway(): boolean {
    return this.#isAway
  }

  /** False where a question would only be put off. */
  mayAsk(now: number): boolean {
    // Also where the clock was set back.
    return !this.#isAway || Math.abs(now - this.#askedAt) >= RETRY_MILLISECONDS
  }

  /**
   * Never rejects.
   *
   * @returns the sum of all processes after this addition; undefined where there is no answer
   */
  async add(key: string, count: number): Promise<number | undefined> {
    const now = this.#clock.now()
    if (!this.mayAsk(now)) return undefined
    this.#askedAt = now
    try {
      const sum = await this.#inTime(key, count)
      if (sum !== undefined && this.#isAway) this.#returned()
      return sum
    } catch (error) {
      this.#wentAway(error)
      return undefined
    }
  }

  #inTime(key: string, count: number): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        run: () => {
          this.#inFlight++
          const done = (): void => {
            clearTimeout(timer)
            this.#next()
          }
          void this.#store.add(key, count).then(resolve, reject).finally(done)
        },
        abandon: () => {
          clearTimeout(timer)
          resolve(undefined)
        }
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(waiting)
        reject(new Error(`no answer within ${LEASE_MILLISECONDS} ms`))
      }, LEASE_MILLISECONDS)
      if (this.#inFlight < IN_FLIGHT) waiting.run()
      else this.#waiting.add(waiting)
    })
  }

  #next(): void {
    this.#inFlight--
    for (const waiting of this.#waiting) {
      this.#waiting.delete(waiting)
      waiting.run()
      return
    }
  }

  #wentAway(error: unknown): void {
    for (const { abandon } of this.#waiting) abandon()
    this.#waiting.clear()
    if (this.#isAway) return
    this.#isAway = true
    this.#logger.warn({ err: error }, 'the store of rate limits is away: this process counts for itself')
  }

  #returned(): void {
    this.#isAway = false
    this.#logger.info('the store of rate limits is back')
  }
}
