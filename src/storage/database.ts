import { randomInt } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { Deadlines } from '../deadlines.js'
import { ApiError } from '../errors.js'
import type { Logger } from '../logger.js'
import { Connections } from './connections.js'
import { databaseUnavailable, isConflict, isStalePlan, NeverAnswered, saysAway } from './database-errors.js'
import { PreparedQuery } from './prepared-query.js'

/** A statement that is prepared once per connection under its name. */
export interface Statement {
  /** Unique in the program, at most 63 bytes: Postgres cuts longer names. Empty: prepared anew each time. */
  readonly name: string
  readonly text: string
}

/** Something statements run on: the database, or one transaction of it. */
export interface Queryable {
  /**
   * Runs one prepared statement.
   *
   * Values come back as: `bytea` a Buffer, `bigint` a number (a value beyond 2^53 is a `RangeError`; nothing we
   * store gets there), `timestamptz` a Date, `jsonb` parsed, `numeric` text (cast sums of bigint back to bigint).
   *
   * @throws ApiError 503 ERR_DATABASE_UNAVAILABLE while Postgres is away; other errors of Postgres unchanged,
   * with their SQLSTATE in `code`
   */
  query<Row>(statement: Statement, values?: readonly unknown[]): Promise<Row[]>
}

export interface Database extends Queryable {
  /**
   * Runs `work` in one transaction on one connection: commits when it resolves, rolls back when it rejects.
   * After a serialization failure or a deadlock the whole `work` runs again, up to three times, so it must have
   * no effect outside `tx`, and it must not wait for the network. `tx` throws once the transaction has ended.
   */
  transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T>
  /**
   * For libraries that keep connections of their own (the queue, migrations); it may hold a password.
   * The pool itself stays private: it maps types and cuts off long statements in ways that suit only us.
   */
  readonly connectionString: string
  /** Closes every connection after the statement it is running. */
  close(): Promise<void>
}

export interface DatabaseOptions {
  /** `postgresql://…`; a Unix socket is named by `?host=/folder`. */
  readonly connectionString: string
  readonly logger: Logger
  /** Connections at once; default 20. Those beyond wait, at most ACQUIRE_MILLISECONDS. */
  readonly maxConnections?: number
  /** Shown in pg_stat_activity. */
  readonly applicationName?: string
}

const CONNECT_MILLISECONDS = 1_000
/** How long a statement waits for a free connection before the client is told 503. */
const ACQUIRE_MILLISECONDS = 2_000
/** Postgres cancels a statement after this long … */
const STATEMENT_MILLISECONDS = 20_000
/** … and if even the cancellation does not arrive, the connection is dead. */
const ANSWER_MILLISECONDS = 25_000
const IDLE_MILLISECONDS = 60_000
const MAX_RETRIES = 3

/** Names a statement; see `Statement`. */
export function statement(name: string, text: string): Statement {
  return { name, text }
}

const BEGIN = { text: 'begin' }
const COMMIT = { text: 'commit' }
const ROLLBACK = { text: 'rollback' }

/** Opens no connection by itself: the first statement does. */
export function createDatabase(options: DatabaseOptions): Database {
  return new PooledDatabase(options)
}

/** Connecting is cut off earlier than waiting for one's turn, which the pool counts with the same setting. */
class ImpatientClient extends pg.Client {
  constructor(config?: pg.ClientConfig) {
    super({ ...config, connectionTimeoutMillis: CONNECT_MILLISECONDS })
  }
}

class PooledDatabase implements Database {
  readonly connectionString: string
  readonly #connections: Connections
  readonly #deadlines = new Deadlines(ANSWER_MILLISECONDS)
  #closed: Promise<void> | undefined

  constructor(options: DatabaseOptions) {
    this.connectionString = options.connectionString
    const pool = new pg.Pool({
      connectionString: options.connectionString,
      Client: ImpatientClient,
      application_name: options.applicationName ?? 'peerserv',
      max: options.maxConnections ?? 20,
      idleTimeoutMillis: IDLE_MILLISECONDS,
      connectionTimeoutMillis: ACQUIRE_MILLISECONDS,
      statement_timeout: STATEMENT_MILLISECONDS,
      idle_in_transaction_session_timeout: STATEMENT_MILLISECONDS,
      keepAlive: true
    })
    this.#connections = new Connections(pool, options.logger)
  }

  async query<Row>(statement: Statement, values?: readonly unknown[]): Promise<Row[]> {
    return this.#retrying(async () => {
      const client = await this.#acquire()
      let failure: unknown
      try {
        return await this.#run<Row>(client, statement, values)
      } catch (error) {
        failure = error
        throw this.#translate(error, client)
      } finally {
        this.#connections.release(client, this.#unusableAfter(failure, client))
      }
    })
  }

  async transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T> {
    return this.#retrying(() => this.#transactionOnce(work))
  }

  async close(): Promise<void> {
    this.#closed ??= this.#connections.close()
    await this.#closed
  }

  async #transactionOnce<T>(work: (tx: Queryable) => Promise<T>): Promise<T> {
    const client = await this.#acquire()
    const tx = new Transaction((statement, values) => this.#run(client, statement, values))
    let failure: unknown
    try {
      await this.#inTime(client.query(BEGIN))
      const result = await work(tx)
      const { command } = await this.#inTime(client.query(COMMIT))
      if (command === 'ROLLBACK') throw new Error('a statement of the transaction failed and was ignored')
      return result
    } catch (error) {
      failure = error
      if (!this.#unusableAfter(error, client))
        await this.#inTime(client.query(ROLLBACK)).catch(() => this.#connections.markDead(client))
      throw this.#translate(error, client)
    } finally {
      tx.ended = true
      this.#connections.release(client, this.#unusableAfter(failure, client))
    }
  }

  #run<Row>(client: pg.ClientBase, statement: Statement, values: readonly unknown[] = []): Promise<Row[]> {
    const query = new PreparedQuery<Row>(statement, values)
    client.query(query)
    return this.#inTime(query.rows)
  }

  /** An answer that never comes must not be waited for: the connection is given up. */
  #inTime<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => reject(new NeverAnswered())
      this.#deadlines.begin(giveUp)
      answer.then(
        result => {
          this.#deadlines.end(giveUp)
          resolve(result)
        },
        error => {
          this.#deadlines.end(giveUp)
          reject(error)
        }
      )
    })
  }

  async #acquire(): Promise<pg.PoolClient> {
    try {
      return await this.#connections.acquire()
    } catch (error) {
      throw databaseUnavailable(error)
    }
  }

  async #retrying<T>(attempt: () => Promise<T>): Promise<T> {
    for (let retries = 0; ; retries++) {
      try {
        return await attempt()
      } catch (error) {
        if (retries === MAX_RETRIES || !(isConflict(error) || isStalePlan(error))) throw error
        // Those who collided must not collide again.
        await delay(randomInt(1, 10 * 4 ** retries))
      }
    }
  }

  #translate(error: unknown, client: pg.ClientBase): unknown {
    if (error instanceof ApiError) return error
    const away = saysAway(error) || error instanceof NeverAnswered || this.#connections.isDead(client)
    return away ? databaseUnavailable(error) : error
  }

  #unusableAfter(error: unknown, client: pg.ClientBase): boolean {
    if (error === undefined) return false
    return (
      this.#connections.isDead(client) ||
      saysAway(error) ||
      error instanceof NeverAnswered ||
      isStalePlan(error)
    )
  }
}

class Transaction implements Queryable {
  ended = false
  readonly #run: (statement: Statement, values?: readonly unknown[]) => Promise<unknown[]>

  constructor(run: (statement: Statement, values?: readonly unknown[]) => Promise<unknown[]>) {
    this.#run = run
  }

  async query<Row>(statement: Statement, values?: readonly unknown[]): Promise<Row[]> {
    if (this.ended) throw new Error(`statement ${statement.name} came after the end of its transaction`)
    return (await this.#run(statement, values)) as Row[]
  }
}
