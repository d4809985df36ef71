import { LRUCache } from 'lru-cache'
import type { Clock } from '../context.js'
import type { IdentityKey } from '../keys/identity-key.js'

/** An answer is asked for anew after this time, in the background, ms. */
const FRESH_MILLISECONDS = 60_000

interface Answer {
  isHost: boolean
  askedAt: number
}

/**
 * Which callers are hosts, without anybody waiting for the answer: until the first one is there a caller is taken for a
 * user, and while it cannot be had the last one counts.
 */
export class KnownHosts {
  readonly #ask: (identityKey: IdentityKey) => Promise<boolean>
  readonly #clock: Clock
  readonly #answers: LRUCache<IdentityKey, Answer>

  constructor(ask: (identityKey: IdentityKey) => Promise<boolean>, clock: Clock, keys: number) {
    this.#ask = ask
    this.#clock = clock
    this.#answers = new LRUCache({ max: keys })
  }

  has(identityKey: IdentityKey): boolean {
    const now = this.#clock.now()
    let answer = this.#answers.get(identityKey)
    if (answer === undefined) {
      answer = { isHost: false, askedAt: Number.NEGATIVE_INFINITY }
      this.#answers.set(identityKey, answer)
    }
    if (now - answer.askedAt >= FRESH_MILLISECONDS) {
      answer.askedAt = now
      void this.#refresh(identityKey, answer)
    }
    return answer.isHost
  }

  async #refresh(identityKey: IdentityKey, answer: Answer): Promise<void> {
    try {
      answer.isHost = await this.#ask(identityKey)
    } catch {
      // The database is away, which others tell.
    }
  }
}
