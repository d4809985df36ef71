import { LRUCache } from 'lru-cache'
import { Drain, HostState } from './drain.js'
import type { DeliveryContext } from './engine.js'
import { HeldClaims } from './held-claims.js'
import { Settlements } from './settlements.js'

/** Hosts of which a state is kept, some 200 bytes each. */
const HOSTS = 10_000
/** Hosts in the making: those that have not answered lately may each take seconds to fail. */
const STRANGERS = 128

interface Running {
  readonly drain: Drain
  readonly done: Promise<void>
}

/**
 * The domains that this process serves, each by one drain. Hosts that answered their last call are served whatever others
 * do; of the rest so many at a time.
 */
export class Drains {
  readonly #context: DeliveryContext
  readonly #settlements: Settlements
  readonly #claims: HeldClaims
  readonly #hosts = new LRUCache<string, HostState>({ max: HOSTS })
  readonly #running = new Map<string, Running>()
  #strangers = 0
  #isOpen = false

  constructor(context: DeliveryContext) {
    this.#context = context
    this.#claims = new HeldClaims(context)
    this.#settlements = new Settlements(context.database, context.clock, () => !this.#isOpen)
  }

  /** Whether this process delivers. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  open(): void {
    this.#isOpen = true
  }

  isRunning(domain: string): boolean {
    return this.#running.has(domain)
  }

  /**
   * Begins to serve a domain, unless that is under way: then it looks once more. Resolves when nothing is due any more, or
   * the domain fails; at once where too many others may be failing just now, which the sweep comes back to.
   */
  async start(domain: string): Promise<void> {
    if (!this.#isOpen) return
    const running = this.#running.get(domain)
    if (running !== undefined) {
      running.drain.nudge()
      return running.done
    }
    const host = this.#hosts.get(domain) ?? new HostState()
    const isStranger = !host.isWell
    if (isStranger && this.#strangers >= STRANGERS) return
    this.#hosts.set(domain, host)
    if (isStranger) this.#strangers++
    const drain = new Drain(
      this.#context,
      { settlements: this.#settlements, claims: this.#claims },
      domain,
      host
    )
    const done = drain
      .run()
      // Postgres still knows; the sweep comes back to it.
      .catch(error => {
        drain.stop()
        this.#context.logger.warn({ err: error, domain }, 'a drain broke off')
      })
      .finally(() => {
        this.#running.delete(domain)
        if (isStranger) this.#strangers--
        // Between its last look and this moment.
        if (drain.isUnfinished) void this.start(domain)
      })
    this.#running.set(domain, { drain, done })
    return done
  }

  /** Claims nothing more; resolves when all that is under way has ended. */
  async close(): Promise<void> {
    this.#isOpen = false
    for (const { drain } of this.#running.values()) drain.stop()
    await Promise.all([...this.#running.values()].map(({ done }) => done))
  }
}
