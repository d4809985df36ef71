import type { Clock } from '../../src/context.js'
import { ApiError } from '../../src/errors.js'
import type { Database } from '../../src/storage/database.js'
import { type MintKind, releaseMint, reserveMint } from '../storage/mints.js'

export interface MintCeilingOptions {
  readonly database: Database
  readonly clock: Clock
  /** Made a day (UTC) at most, by all processes of the node together. */
  readonly ceilings: Readonly<Record<MintKind, number>>
}

const DAY = 24 * 60 * 60 * 1000

/**
 * Every token and every withdrawal costs the operator a transaction, and strangers ask for them with keys that cost
 * nothing. Withdrawals have a ceiling of their own, so that whoever wants to be advertised keeps nobody from leaving.
 */
export class MintCeiling {
  readonly #options: MintCeilingOptions

  constructor(options: MintCeilingOptions) {
    this.#options = options
  }

  /**
   * Makes one more, and counts it unless nothing came of it.
   *
   * @throws ApiError 429 ERR_DAILY_CEILING with `Retry-After`: the seconds until the day (UTC) ends
   */
  async within<T>(kind: MintKind, make: () => Promise<T>): Promise<T> {
    const { database, clock, ceilings } = this.#options
    const now = clock.now()
    const day = Math.floor(now / DAY)
    if (!(await reserveMint(database, kind, day, ceilings[kind]))) throw reached(kind, (day + 1) * DAY - now)
    try {
      return await make()
    } catch (error) {
      // Why nothing was made matters more than a count that is one too high until midnight.
      await releaseMint(database, kind, day).catch(() => undefined)
      throw error
    }
  }
}

function reached(kind: MintKind, wait: number): ApiError {
  const seconds = Math.ceil(wait / 1000)
  return new ApiError(
    429,
    'ERR_DAILY_CEILING',
    `This host has published as many ${kind}s today as its operator pays for; again in ${seconds} s, or at another host.`,
    { retryAfter: seconds },
    { 'retry-after': String(seconds) }
  )
}
