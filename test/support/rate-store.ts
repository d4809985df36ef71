import type { RateStore } from '../../src/rates/store.js'

/** `away` rejects; `silent` answers when it is there again. */
type State = 'there' | 'away' | 'silent'

/** Counts in memory, as processes share them; can be taken away. */
export class MemoryRateStore implements RateStore {
  readonly counts = new Map<string, number>()
  #state: State = 'there'
  readonly #unanswered: (() => void)[] = []
  /** Questions asked. */
  asked = 0
  /** Each answer waits for this. */
  latency: () => Promise<unknown> = async () => undefined

  set state(state: State) {
    this.#state = state
    if (state !== 'silent') for (const answer of this.#unanswered.splice(0)) answer()
  }

  async add(key: string, count: number): Promise<number> {
    this.asked++
    if (this.#state === 'away') throw new Error('the store is away')
    if (this.#state === 'silent') await new Promise<void>(resolve => this.#unanswered.push(resolve))
    const sum = (this.counts.get(key) ?? 0) + count
    this.counts.set(key, sum)
    await this.latency()
    return sum
  }

  async close(): Promise<void> {}
}
