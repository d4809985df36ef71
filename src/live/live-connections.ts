import { ApiError } from '../errors.js'
import type { IdentityKey } from '../keys/identity-key.js'
import type { OperatorLists } from '../operator-lists.js'

/** Devices and tabs of one user, at one process. */
const CONNECTIONS_OF_ONE = 64
const RETRY_SECONDS = 60

/** Who is connected to wait for messages: sockets, streams and lists that wait. */
export class LiveConnections {
  readonly #open = new Map<IdentityKey, Set<() => void>>()
  readonly #lists: OperatorLists

  constructor(lists: OperatorLists) {
    this.#lists = lists
    // Whoever only listens asks for nothing that could be refused.
    lists.onChange(() => this.#end(identityKey => !lists.servesIdentity(identityKey)))
  }

  /**
   * @param end is called when the node stops, or the operator no longer serves this identity
   * @returns to be called when it is over
   * @throws ApiError 429 ERR_TOO_MANY_CONNECTIONS; 403 ERR_BLOCKED
   */
  add(identityKey: IdentityKey, end: () => void): () => void {
    this.#lists.user(identityKey)
    const ends = this.#open.get(identityKey) ?? new Set()
    if (ends.size >= CONNECTIONS_OF_ONE) {
      throw new ApiError(
        429,
        'ERR_TOO_MANY_CONNECTIONS',
        `At most ${CONNECTIONS_OF_ONE} connections of one identity may wait for messages at once. Close one.`,
        { retryAfter: RETRY_SECONDS },
        { 'Retry-After': String(RETRY_SECONDS) }
      )
    }
    this.#open.set(identityKey, ends.add(end))
    return () => {
      ends.delete(end)
      if (ends.size === 0) this.#open.delete(identityKey)
    }
  }

  /** Ends all. */
  close(): void {
    this.#end(() => true)
  }

  #end(isMeant: (identityKey: IdentityKey) => boolean): void {
    for (const [identityKey, ends] of this.#open) {
      if (isMeant(identityKey)) for (const end of ends) end()
    }
  }
}
