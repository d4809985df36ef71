import { RateLimiterPostgres } from 'rate-limiter-flexible'
import { WINDOW_MILLISECONDS } from '../rates/budget.js'
import type { RateStore } from '../rates/store.js'
import { type Database, statement } from './database.js'

const TABLE = 'rate_limits'
const PRUNE = statement('prune-rate-limits', `delete from ${TABLE} where expire <= $1`)

/** What the library asks of a client of Postgres. */
interface Query {
  readonly name: string
  readonly text: string
  readonly values: readonly unknown[]
}

/** Counts in Postgres, on the node's own connections; what has expired is deleted every minute. */
export function postgresRateStore(database: Database): RateStore {
  const limiter = new RateLimiterPostgres({
    storeClient: {
      async query({ name, text, values }: Query) {
        const rows = await database.query(statement(name, text), values)
        return { rows, rowCount: rows.length }
      }
    },
    storeType: 'client',
    tableName: TABLE,
    tableCreated: true,
    keyPrefix: '',
    // Who may have how much is decided by the budgets; here it is only added up.
    points: 1,
    // A process whose clock is behind must find the count of a minute that others have left.
    duration: (2 * WINDOW_MILLISECONDS) / 1000
  })
  let pruning: Promise<unknown> = Promise.resolve()
  const prune = () => {
    // The library writes the times of the system's clock; a row left behind is deleted a minute later.
    pruning = database.query(PRUNE, [Date.now()]).catch(() => undefined)
  }
  const timer = setInterval(prune, WINDOW_MILLISECONDS).unref()
  return {
    add: async (key, count) => (await limiter.penalty(key, count)).consumedPoints,
    async close() {
      clearInterval(timer)
      await pruning
    }
  }
}
