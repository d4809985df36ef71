import { randomInt } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { ApiError } from '../errors.js'
import type { Logger } from '../logger.js'
import { databaseUnavailable, isConflict, isStalePlan, neverAnswered, saysAway } from './database-errors.js'

/** A statement that is prepared once per connection under its name. */
export interface Statement {
  /** Unique in the program, at most 63 bytes: Postgres cuts longer names. */
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
  readonly #pool: pg.Pool
  readonly #logger: Logger
  /** Connections that died; what is asked of them fails with errors that have no code. */
  readonly #dead = new WeakSet<pg.ClientBase>()
  #closed: Promise<void> | undefined

  constructor(options: DatabaseOptions) {
    this.connectionString = options.connectionString
    this.#logger = options.logger
    this.#pool = new pg.Pool({
      connectionString: options.connectionString,
      Client: ImpatientClient,
      application_name: options.applicationName ?? 'peerserv',
      max: options.maxConnections ?? 20,
      idleTimeoutMillis: IDLE_MILLISECONDS,
      connectionTimeoutMillis: ACQUIRE_MILLISECONDS,
      statement_timeout: STATEMENT_MILLISECONDS,
      query_timeout: ANSWER_MILLISECONDS,
      idle_in_transaction_session_timeout: STATEMENT_MILLISECONDS,
      keepAlive: true,
      types: { getTypeParser }
    })
    this.#pool.on('connect', client => {
      // Without a listener the error of a connection in use would end the process.
      client.on('error', () => this.#dead.add(client))
    })
    this.#pool.on('error', error => this.#logger.warn({ err: error }, 'a database connection was lost'))
  }

  async query<Row>(statement: Statement, values?: readonly unknown[]): Promise<Row[]> {
    return this.#retrying(async () => {
      const client = await this.#acquire()
      let failure: unknown
      try {
        return await run<Row>(client, statement, values)
      } catch (error) {
        failure = error
        throw this.#translate(error, client)
      } finally {
        client.release(this.#unusableAfter(failure, client))
      }
    })
  }

  async transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T> {
    return this.#retrying(() => this.#transactionOnce(work))
  }

  async close(): Promise<void> {
    this.#closed ??= this.#pool.end()
    await this.#closed
  }

  async #transactionOnce<T>(work: (tx: Queryable) => Promise<T>): Promise<T> {
    const client = await this.#acquire()
    const tx = new Transaction(client)
    let failure: unknown
    try {
      await client.query(BEGIN)
      const result = await work(tx)
      const { command } = await client.query(COMMIT)
      if (command === 'ROLLBACK') throw new Error('a statement of the transaction failed and was ignored')
      return result
    } catch (error) {
      failure = error
      if (!this.#unusableAfter(error, client))
        await client.query(ROLLBACK).catch(() => this.#dead.add(client))
      throw this.#translate(error, client)
    } finally {
      tx.ended = true
      client.release(this.#unusableAfter(failure, client))
    }
  }

  async #acquire(): Promise<pg.PoolClient> {
    try {
      return await this.#pool.connect()
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
    const away = saysAway(error) || neverAnswered(error) || this.#dead.has(client)
    return away ? databaseUnavailable(error) : error
  }

  #unusableAfter(error: unknown, client: pg.ClientBase): boolean {
    if (error === undefined) return false
    return this.#dead.has(client) || saysAway(error) || neverAnswered(error) || isStalePlan(error)
  }
}

class Transaction implements Queryable {
  ended = false
  readonly #client: pg.ClientBase

  constructor(client: pg.ClientBase) {
    this.#client = client
  }

  async query<Row>(statement: Statement, values?: readonly unknown[]): Promise<Row[]> {
    if (this.ended) throw new Error(`statement ${statement.name} came after the end of its transaction`)
    return run<Row>(this.#client, statement, values)
  }
}

async function run<Row>(
  client: pg.ClientBase,
  { name, text }: Statement,
  values: readonly unknown[] = []
): Promise<Row[]> {
  const result = await client.query({ name, text, values: values as unknown[] })
  return result.rows as Row[]
}

const INT8 = 20
const INT8_ARRAY = 1016

function getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
  if (oid === INT8 && format !== 'binary') return parseInt8
  if (oid === INT8_ARRAY && format !== 'binary') return parseInt8Array
  return pg.types.getTypeParser(oid, format)
}

function parseInt8(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value)) throw new RangeError(`bigint ${text} from Postgres is beyond 2^53`)
  return value
}

/** Arrays of one dimension: `{1,NULL,3}`. */
function parseInt8Array(text: string): (number | null)[] {
  if (text === '{}') return []
  return text
    .slice(1, -1)
    .split(',')
    .map(item => (item === 'NULL' ? null : parseInt8(item)))
}
