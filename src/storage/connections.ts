import type pg from 'pg'
import type { Logger } from '../logger.js'

/** How long nobody may have needed a connection that is kept at hand, ms. */
const SPARE_MILLISECONDS = 30_000

/**
 * Connections of a pool, some kept at hand: taking one that is free from the pool costs several timers and listeners,
 * more than many a statement costs itself. The pool still opens and closes all of them, and lets others wait for one.
 */
export class Connections {
  readonly #pool: pg.Pool
  readonly #logger: Logger
  /** The one used last is at the end, and is used first. */
  readonly #free: pg.PoolClient[] = []
  /** Fewest that were free since the last look: so many are too many. */
  #spare = 0
  readonly #timer: NodeJS.Timeout
  #isClosed = false
  /** Connections that died; what is asked of them fails with errors that have no code. */
  readonly #dead = new WeakSet<pg.ClientBase>()

  constructor(pool: pg.Pool, logger: Logger) {
    this.#pool = pool
    this.#logger = logger
    pool.on('connect', client => {
      // Without a listener the error of a connection in use would end the process.
      client.on('error', error => this.#died(client, error))
    })
    pool.on('error', error => logger.warn({ err: error }, 'a database connection was lost'))
    this.#timer = setInterval(() => this.#returnSpare(), SPARE_MILLISECONDS).unref()
  }

  /** One for the caller alone, until he gives it back; rejects as the pool does. */
  acquire(): pg.PoolClient | Promise<pg.PoolClient> {
    const client = this.#free.pop()
    if (client === undefined) return this.#pool.connect()
    this.#spare = Math.min(this.#spare, this.#free.length)
    return client
  }

  release(client: pg.PoolClient, isUnusable: boolean): void {
    // Those who wait are known to the pool only.
    if (isUnusable || this.#isClosed || this.#pool.waitingCount > 0) client.release(isUnusable)
    else this.#free.push(client)
  }

  isDead(client: pg.ClientBase): boolean {
    return this.#dead.has(client)
  }

  markDead(client: pg.ClientBase): void {
    this.#dead.add(client)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearInterval(this.#timer)
    for (const client of this.#free.splice(0)) client.release()
    await this.#pool.end()
  }

  #died(client: pg.PoolClient, error: Error): void {
    this.#dead.add(client)
    const at = this.#free.indexOf(client)
    if (at < 0) return
    const [free] = this.#free.splice(at, 1)
    free!.release(true)
    this.#logger.warn({ err: error }, 'a database connection was lost')
  }

  #returnSpare(): void {
    for (const client of this.#free.splice(0, this.#spare)) client.release()
    this.#spare = this.#free.length
  }
}
