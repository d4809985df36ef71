import { isPostgresError, saysAway } from './database-errors.js'

/** How requests of one kind share statements. */
export interface Batching<Request, Outcome> {
  /** Requests in one statement at most. */
  readonly size: number
  /** Recipients of the requests, by which they are ordered: everybody locks them so. */
  order(request: Request): Buffer
  /** What no two requests of one statement may have in common. */
  keys(request: Request): readonly string[]
  /** One statement; outcomes in the order of the requests. */
  together(requests: readonly Request[]): Promise<readonly Outcome[]>
  /** One request for itself, where a statement for several has failed. */
  alone(request: Request): Promise<Outcome>
}

/**
 * Statements of one kind under way. As a rule one: while it commits the next is filled, and what a statement costs beside
 * its requests is shared by more of them. A second runs beside it where half a statement waits, or if the first takes long.
 */
const STATEMENTS_AT_ONCE = 2
const PART_THAT_WAITS = 1 / 2
/** From here on a statement takes long, as one that waits for somebody's lock, ms. */
const LONG_MILLISECONDS = 20

interface Waiting<Request, Outcome> {
  readonly request: Request
  readonly resolve: (outcome: Outcome) => void
  readonly reject: (error: unknown) => void
}

/**
 * Requests that arrive together share a statement and its commit: most of what a small request costs in Postgres is the
 * commit and the way there. Nobody is answered before it, and nobody fails because of another.
 */
export class Batches<Request, Outcome> {
  readonly #batching: Batching<Request, Outcome>
  readonly #longMilliseconds: number
  #waiting: Waiting<Request, Outcome>[] = []
  #running = 0
  /** When the last statement began. */
  #begun = 0
  #isScheduled = false

  /** @param longMilliseconds from when on a statement under way is not waited for */
  constructor(batching: Batching<Request, Outcome>, longMilliseconds = LONG_MILLISECONDS) {
    this.#batching = batching
    this.#longMilliseconds = longMilliseconds
  }

  /** Resolves after the commit. */
  add(request: Request): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, resolve, reject })
      this.#schedule()
    })
  }

  #schedule(): void {
    if (this.#isScheduled || this.#waiting.length === 0 || !this.#mayBegin()) return
    this.#isScheduled = true
    // What else this turn of the event loop has read comes along.
    setImmediate(() => {
      this.#isScheduled = false
      void this.#flush()
    })
  }

  #mayBegin(): boolean {
    if (this.#running === 0) return true
    if (this.#running >= STATEMENTS_AT_ONCE) return false
    if (this.#waiting.length >= this.#batching.size * PART_THAT_WAITS) return true
    return performance.now() - this.#begun > this.#longMilliseconds
  }

  async #flush(): Promise<void> {
    const batch = this.#next()
    this.#running++
    this.#begun = performance.now()
    this.#schedule()
    try {
      await this.#run(batch)
    } finally {
      this.#running--
      this.#schedule()
    }
  }

  /** The oldest that have nothing in common; the others wait on. */
  #next(): Waiting<Request, Outcome>[] {
    const { size, keys } = this.#batching
    const batch: Waiting<Request, Outcome>[] = []
    const left: Waiting<Request, Outcome>[] = []
    const taken = new Set<string>()
    let looked = 0
    for (const waiting of this.#waiting) {
      if (batch.length === size) break
      looked++
      const own = keys(waiting.request)
      if (own.some(key => taken.has(key))) left.push(waiting)
      else {
        for (const key of own) taken.add(key)
        batch.push(waiting)
      }
    }
    this.#waiting = [...left, ...this.#waiting.slice(looked)]
    return batch
  }

  async #run(batch: Waiting<Request, Outcome>[]): Promise<void> {
    const { order, together } = this.#batching
    if (batch.length > 1) batch.sort((a, b) => Buffer.compare(order(a.request), order(b.request)))
    try {
      const outcomes = await together(batch.map(({ request }) => request))
      batch.forEach(({ resolve }, i) => {
        resolve(outcomes[i]!)
      })
    } catch (error) {
      if (isPostgresError(error) && !saysAway(error)) await this.#settleEach(batch)
      else for (const { reject } of batch) reject(error)
    }
  }

  /** One of them has undone all: each for itself, then. */
  async #settleEach(batch: readonly Waiting<Request, Outcome>[]): Promise<void> {
    for (const { request, resolve, reject } of batch) {
      await this.#batching.alone(request).then(resolve, reject)
    }
  }
}
