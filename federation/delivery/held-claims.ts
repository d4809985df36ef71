import { renewDeliveryClaims } from '../storage/claims.js'
import type { DueDelivery } from '../storage/deliveries.js'
import type { DeliveryContext } from './engine.js'

/** So often in its life a claim is renewed: one statement that fails must not end it. */
const RENEWALS = 4

/**
 * The claims of calls that are under way in this process. They are renewed for as long as that takes, and are short: those
 * of a process that was killed soon end. Nearly every call is over before its claim is renewed once.
 */
export class HeldClaims {
  readonly #context: Pick<DeliveryContext, 'database' | 'clock' | 'logger' | 'claimMilliseconds'>
  readonly #interval: number
  /** And since when, ms of the process's own clock. */
  readonly #held = new Map<readonly DueDelivery[], number>()
  #timer: NodeJS.Timeout | undefined

  constructor(context: Pick<DeliveryContext, 'database' | 'clock' | 'logger' | 'claimMilliseconds'>) {
    this.#context = context
    this.#interval = context.claimMilliseconds / RENEWALS
  }

  /** @param deliveries of one call; the array itself is how `release` knows it */
  hold(deliveries: readonly DueDelivery[]): void {
    this.#held.set(deliveries, performance.now())
    this.#timer ??= setInterval(() => void this.#renew(), this.#interval).unref()
  }

  release(deliveries: readonly DueDelivery[]): void {
    this.#held.delete(deliveries)
  }

  async #renew(): Promise<void> {
    if (this.#held.size === 0) {
      clearInterval(this.#timer)
      this.#timer = undefined
      return
    }
    const before = performance.now() - this.#interval / 2
    const old = [...this.#held].filter(([, since]) => since < before).flatMap(([deliveries]) => deliveries)
    if (old.length === 0) return
    const { database, clock, claimMilliseconds, logger } = this.#context
    try {
      await renewDeliveryClaims(database, old, clock.now() + claimMilliseconds)
    } catch (error) {
      logger.debug({ err: error }, 'claims could not be renewed')
    }
  }
}
