/** Calls at once to a host about which nothing is known. */
const FIRST = 4
/** Of a host that takes them as fast as they come. */
const MOST = 24
/** An answer that takes so long tells of a host with too much to do, ms; also one that takes so many times the shortest. */
const SLOW = 500
const SLOWER_THAN_SHORTEST = 20

/**
 * How many calls to one host may be under way: one more for each answer at first, later one more for each round of answers;
 * half as many when it answers late, or that it has too much to do (additive increase, multiplicative decrease).
 */
export class HostWindow {
  #size = FIRST
  /** Below it the window grows fast. */
  #threshold = MOST
  #shortest = Number.POSITIVE_INFINITY
  /** Answers until it may shrink again: those under way now speak of the load that it has just answered to. */
  #settling = 0

  get size(): number {
    return Math.floor(this.#size)
  }

  /** @param milliseconds that the call took */
  answered(milliseconds: number): void {
    if (this.#settling > 0) this.#settling--
    this.#shortest = Math.min(this.#shortest, milliseconds)
    if (milliseconds > Math.max(SLOW, SLOWER_THAN_SHORTEST * this.#shortest)) this.congested()
    else this.#size = Math.min(MOST, this.#size + (this.#size < this.#threshold ? 1 : 1 / this.#size))
  }

  /** It said so, or gave no answer. */
  congested(): void {
    if (this.#settling > 0) {
      this.#settling--
      return
    }
    this.#settling = this.size - 1
    this.#size = Math.max(1, this.#size / 2)
    this.#threshold = this.#size
  }
}
