import { setTimeout as delay } from 'node:timers/promises'
import type { LocalContext } from '../context.js'
import type { IdentityKey } from '../keys/identity-key.js'

/** Notices what arrives in one box from the moment it is made. */
export class BoxWatch {
  readonly #over = new AbortController()
  readonly #forget: () => void
  readonly #disconnect: () => void
  #hasArrived = false
  #wake: (() => void) | undefined

  /** @throws ApiError 429 ERR_TOO_MANY_CONNECTIONS */
  constructor(
    { arrivals, connections }: Pick<LocalContext, 'arrivals' | 'connections'>,
    owner: IdentityKey,
    messageBox: string
  ) {
    this.#disconnect = connections.add(owner, () => this.end())
    this.#forget = arrivals.listen(owner, {
      arrived: name => {
        if (name === messageBox) this.#arrived()
      },
      missed: () => this.#arrived()
    })
  }

  /**
   * Resolves when something has arrived since the last call, at once if it has already.
   *
   * @returns false if nothing did within the time, ms, or the watch was ended
   */
  async arrival(milliseconds: number): Promise<boolean> {
    if (!this.#hasArrived) {
      const ended = new AbortController()
      const signal = AbortSignal.any([ended.signal, this.#over.signal])
      const arrived = new Promise<void>(resolve => {
        this.#wake = resolve
      })
      await Promise.race([arrived, delay(milliseconds, undefined, { signal }).catch(() => undefined)])
      ended.abort()
    }
    const hasArrived = this.#hasArrived && !this.#over.signal.aborted
    this.#hasArrived = false
    return hasArrived
  }

  /** Nobody waits any more, or may. */
  end(): void {
    this.#over.abort()
  }

  stop(): void {
    this.#forget()
    this.#disconnect()
  }

  #arrived(): void {
    this.#hasArrived = true
    this.#wake?.()
  }
}
