import { type IdentityKey, identityKeyBytes, identityKeyFromBytes } from '../../src/keys/identity-key.js'
import { waitingDestinations, wakeDestination } from '../storage/destinations.js'
import type { DeliveryContext } from './engine.js'

/** Between two looks at which hosts are left alone, ms. */
const INTERVAL = 2_000
/** Hosts that are looked out for at most. */
const HOSTS = 10_000
/** A host that calls but cannot be called is probed so often because of it, ms. */
const WAKE_AT_MOST_EVERY = 30_000

/**
 * The hosts that are left alone because they failed. One that shows that it lives is probed at once. Asking whether a host
 * is among them costs no I/O: who calls is well, as a rule.
 */
export class WaitingHosts {
  readonly #context: Pick<DeliveryContext, 'database' | 'clock' | 'logger' | 'forwarding'>
  readonly #timer: NodeJS.Timeout
  #domains = new Map<IdentityKey, string[]>()
  #looking: Promise<void> = Promise.resolve()

  constructor(context: Pick<DeliveryContext, 'database' | 'clock' | 'logger' | 'forwarding'>) {
    this.#context = context
    this.#timer = setInterval(() => {
      this.#looking = this.#look()
    }, INTERVAL)
    this.#timer.unref()
  }

  /** A host has sent a request that is proven to be its own. */
  heard(operatorKey: IdentityKey): void {
    const domains = this.#domains.get(operatorKey)
    if (domains === undefined) return
    this.#domains.delete(operatorKey)
    for (const domain of domains) void this.#wake(domain, operatorKey)
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#looking
  }

  async #wake(domain: string, operatorKey: IdentityKey): Promise<void> {
    const { database, clock, forwarding, logger } = this.#context
    try {
      const key = identityKeyBytes(operatorKey)
      if (await wakeDestination(database, domain, key, clock.now(), WAKE_AT_MOST_EVERY)) {
        forwarding.nudge([domain])
      }
    } catch (error) {
      logger.warn({ err: error, domain }, 'a host that showed itself was not probed')
    }
  }

  async #look(): Promise<void> {
    const { database, clock, logger } = this.#context
    try {
      const domains = new Map<IdentityKey, string[]>()
      for (const { domain, operator_key } of await waitingDestinations(database, clock.now(), HOSTS)) {
        const key = identityKeyFromBytes(operator_key)
        domains.set(key, [...(domains.get(key) ?? []), domain])
      }
      this.#domains = domains
    } catch (error) {
      logger.debug({ err: error }, 'which hosts are left alone could not be read')
    }
  }
}
