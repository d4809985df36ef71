/** The part of a deadline by which it may be late. */
const LATENESS = 1 / 10
const LATEST_MILLISECONDS = 1_000

/** Called once, unless it was ended before. */
export type Deadline = () => void

/**
 * Deadlines that all lie equally far ahead. They are looked after together, by one timer: a timer for each would cost
 * more than most of what is waited for, since nearly everything is done long before its deadline.
 */
export class Deadlines {
  readonly #milliseconds: number
  /** In the order in which they pass. */
  readonly #pending = new Map<Deadline, number>()
  #timer: NodeJS.Timeout | undefined

  /** @param milliseconds how far ahead; each may be late by a tenth of that, at most a second */
  constructor(milliseconds: number) {
    this.#milliseconds = milliseconds
  }

  /** @param expire a function of its own, since it also names the deadline */
  begin(expire: Deadline): void {
    this.#pending.set(expire, performance.now() + this.#milliseconds)
    // Unreferenced: it keeps no process alive, and goes on as long as it finds anything.
    this.#timer ??= setInterval(
      () => this.#look(),
      Math.min(this.#milliseconds * LATENESS, LATEST_MILLISECONDS)
    ).unref()
  }

  end(expire: Deadline): void {
    this.#pending.delete(expire)
  }

  #look(): void {
    if (this.#pending.size === 0) {
      clearInterval(this.#timer)
      this.#timer = undefined
      return
    }
    const now = performance.now()
    for (const [expire, at] of this.#pending) {
      if (at > now) return
      this.#pending.delete(expire)
      expire()
    }
  }
}
