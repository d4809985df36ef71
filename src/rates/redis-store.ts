import { Redis } from 'ioredis'
import { RateLimiterRedis } from 'rate-limiter-flexible'
import { WINDOW_MILLISECONDS } from './budget.js'
import type { RateStore } from './store.js'

/** What Redis does not answer by then has failed, ms. */
const COMMAND_MILLISECONDS = 1_000

/**
 * Counts in Redis, which forgets them by itself. Nothing is waited for while the connection is away.
 *
 * @param identityKey the node's; every name in Redis begins with it
 */
export function redisRateStore(redisUrl: string, identityKey: string): RateStore {
  // Commands wait for the first connection, and for no later one.
  const redis = new Redis(redisUrl, { maxRetriesPerRequest: 0, commandTimeout: COMMAND_MILLISECONDS })
  // What fails because of it is told by whoever asked; without a listener it would end the process.
  redis.on('error', () => {})
  const limiter = new RateLimiterRedis({
    storeClient: redis,
    keyPrefix: `${identityKey}:rates`,
    // Who may have how much is decided by the budgets; here it is only added up.
    points: 1,
    // A process whose clock is behind must find the count of a minute that others have left.
    duration: (2 * WINDOW_MILLISECONDS) / 1000
  })
  return {
    add: async (key, count) => (await limiter.penalty(key, count)).consumedPoints,
    close: async () => redis.disconnect()
  }
}
