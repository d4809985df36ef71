import { unavailable } from '../../src/errors.js'

/** Lets a few through at a time and makes some wait; who comes beyond that is sent away. */
export class Turnstile {
  readonly #atOnce: number
  readonly #waiting: number
  readonly #queue: (() => void)[] = []
  #inside = 0

  constructor(atOnce: number, waiting: number) {
    this.#atOnce = atOnce
    this.#waiting = waiting
  }

  /** @throws ApiError 503 ERR_BUSY if too many wait already; whatever `work` throws */
  async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.#inside < this.#atOnce) this.#inside++
    else await this.#wait()
    try {
      return await work()
    } finally {
      const next = this.#queue.shift()
      if (next === undefined) this.#inside--
      else next()
    }
  }

  #wait(): Promise<void> {
    if (this.#queue.length >= this.#waiting) {
      throw unavailable(
        'ERR_BUSY',
        'This host has as many transactions to judge as it takes; try again shortly.'
      )
    }
    return new Promise(resolve => this.#queue.push(resolve))
  }
}
