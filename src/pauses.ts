import { setImmediate as nextTurn } from 'node:timers/promises'

/** Work on so many bytes takes a millisecond or so: parsing, escaping, hashing. */
const BYTES_PER_TURN = 1_048_576

/** Lets others have their turn in the middle of long work, so that one large request does not hold up all the others. */
export class Pauses {
  #left = BYTES_PER_TURN

  /** To be called after each piece of work; undefined while there is no need to wait. */
  after(bytes: number): Promise<void> | undefined {
    this.#left -= bytes
    if (this.#left > 0) return undefined
    this.#left = BYTES_PER_TURN
    return nextTurn()
  }
}
