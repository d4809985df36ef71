/** Random numbers that a seed repeats (mulberry32). */
export class SeededRandom {
  #state: number

  /** @param seed an integer; 32 bits of it count */
  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** From 0 up to 1, without it. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** An integer from `least` to `most`, both included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1))
  }

  pick<T>(among: readonly T[]): T {
    return among[this.between(0, among.length - 1)]!
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.between(0, 255)))
  }
}

/** The seed of a run: FAULT_SEED repeats one that was printed. */
export function chosenSeed(): number {
  const given = process.env.FAULT_SEED
  return given === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(given)
}
