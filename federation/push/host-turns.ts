/** Push services that one process talks to at once: those that work, and all others. */
const WORKING_AT_ONCE = 24
const OTHERS_AT_ONCE = 8
/** Those remembered as working. */
const REMEMBERED = 1_000

/**
 * Whose turn it is. Strangers name as many push services as they like, and slow ones: those have few turns among themselves, and
 * take none from services that do their work.
 */
export class HostTurns {
  /** The one that worked last at the end. */
  readonly #working: Set<string>
  /** Those that have a turn, and whether it is one of those for services that work. */
  readonly #turns = new Map<string, boolean>()
  #workingTurns = 0

  /** @param trusted services of the operator's own choice */
  constructor(trusted: readonly string[]) {
    this.#working = new Set(trusted)
  }

  /** False: not now. */
  begin(host: string): boolean {
    if (this.#turns.has(host)) return false
    const isWorking = this.#working.has(host)
    const taken = isWorking ? this.#workingTurns : this.#turns.size - this.#workingTurns
    if (taken >= (isWorking ? WORKING_AT_ONCE : OTHERS_AT_ONCE)) return false
    this.#turns.set(host, isWorking)
    if (isWorking) this.#workingTurns += 1
    return true
  }

  end(host: string): void {
    if (this.#turns.get(host) === true) this.#workingTurns -= 1
    this.#turns.delete(host)
  }

  worked(host: string): void {
    this.#working.delete(host)
    this.#working.add(host)
    const [oldest] = this.#working
    if (this.#working.size > REMEMBERED && oldest !== undefined) this.#working.delete(oldest)
  }

  failed(host: string): void {
    this.#working.delete(host)
  }
}
