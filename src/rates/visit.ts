import type { LRUCache } from 'lru-cache'

/** One request until its sender is proven. */
export interface Visit {
  /**
   * It shows a session that this node gave to the identity it names.
   *
   * @throws ApiError 429 ERR_RATE_LIMITED
   */
  show(session: string): Promise<void> | void
  proven(): void
  /**
   * It was refused before its sender was proven.
   *
   * @throws ApiError 429 ERR_RATE_LIMITED, to be told in place of the refusal
   */
  refused(): Promise<void> | void
}

/**
 * What such a request costs the address it comes from. Who proves himself costs his address nothing: hundreds may share it, and one of
 * them must not spend what the others need. Who shows a session of this node gets as far as the proof even where
 * the address has nothing left, unless the last request of that session failed: then he counts as a stranger again until
 * one succeeds. So forged requests in a good session are bounded by the address, like all others that are refused.
 */
export class CountedVisit implements Visit {
  readonly #count: () => Promise<void> | void
  readonly #suspects: LRUCache<string, true>
  #session: string | undefined
  #isCounted = false

  /**
   * @param count counts one request of the address
   * @param suspects sessions whose last request did not prove its sender, by their nonce
   */
  constructor(count: () => Promise<void> | void, suspects: LRUCache<string, true>) {
    this.#count = count
    this.#suspects = suspects
  }

  show(session: string): Promise<void> | void {
    this.#session = session
    if (!this.#suspects.has(session)) return
    this.#isCounted = true
    return this.#count()
  }

  proven(): void {
    if (this.#isCounted && this.#session !== undefined) this.#suspects.delete(this.#session)
  }

  refused(): Promise<void> | void {
    if (this.#session !== undefined) this.#suspects.set(this.#session, true)
    if (!this.#isCounted) return this.#count()
  }
}
