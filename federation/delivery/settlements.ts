import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../../src/context.js'
import { ApiError } from '../../src/errors.js'
import { Batches } from '../../src/storage/batches.js'
import type { Database } from '../../src/storage/database.js'
import {
  type ClaimedDelivery,
  type Deferral,
  deferDeliveries,
  finishDeliveries
} from '../storage/deliveries.js'

/** Endings in one statement at most. */
const BATCH = 64
/**
 * While the database is away, what ended meanwhile is kept in mind, so that it need not be delivered again, ms: nobody
 * else can take it over while that lasts.
 */
const PERSISTENCE_MILLISECONDS = 10_000
const RETRY_MILLISECONDS = 200

/** Records how attempts ended. What ends together, whatever its host, shares a statement and its commit. */
export class Settlements {
  readonly #delivered: Batches<ClaimedDelivery, undefined>
  readonly #deferred: Batches<Deferral, undefined>

  /** @param isClosing true once nobody should wait for a database that is away */
  constructor(database: Database, clock: Clock, isClosing: () => boolean) {
    const persistently = async (work: () => Promise<unknown>): Promise<void> => {
      const end = performance.now() + PERSISTENCE_MILLISECONDS
      for (;;) {
        try {
          await work()
          return
        } catch (error) {
          if (!isAway(error) || isClosing() || performance.now() > end) throw error
        }
        await delay(RETRY_MILLISECONDS)
      }
    }
    const finish = async (deliveries: readonly ClaimedDelivery[]) => {
      const endings = deliveries.map(
        delivery => ({ delivery, state: 'delivered', answer: 'success' }) as const
      )
      await persistently(() => finishDeliveries(database, endings, clock.now()))
      return deliveries.map(() => undefined)
    }
    const defer = async (deferrals: readonly Deferral[]) => {
      await persistently(() => deferDeliveries(database, deferrals, clock.now()))
      return deferrals.map(() => undefined)
    }
    this.#delivered = new Batches<ClaimedDelivery, undefined>({
      size: BATCH,
      order: delivery => delivery.recipient,
      keys: () => [],
      together: finish,
      alone: async delivery => (await finish([delivery]))[0]
    })
    this.#deferred = new Batches<Deferral, undefined>({
      size: BATCH,
      order: ({ delivery }) => delivery.recipient,
      keys: () => [],
      together: defer,
      alone: async deferral => (await defer([deferral]))[0]
    })
  }

  /** Resolves after the commit, when the lane of the delivery is free. */
  delivered(delivery: ClaimedDelivery): Promise<void> {
    return this.#delivered.add(delivery)
  }

  /** As `delivered`, for what is to be tried again. */
  deferred(deferral: Deferral): Promise<void> {
    return this.#deferred.add(deferral)
  }
}

function isAway(error: unknown): boolean {
  return error instanceof ApiError && error.httpStatus === 503
}
