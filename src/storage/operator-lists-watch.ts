import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { Logger } from '../logger.js'
import type { ListEntry, OperatorLists } from '../operator-lists.js'

export interface OperatorListsWatchOptions {
  readonly connectionString: string
  readonly logger: Logger
  readonly lists: OperatorLists
}

/** Keeps `lists` as Postgres has them until it is stopped. */
export interface OperatorListsWatch {
  stop(): Promise<void>
}

const CONNECT_MILLISECONDS = 1_000
/** An answer that takes longer does not come: the connection is made anew. */
const ANSWER_MILLISECONDS = 5_000
/** Whatever got lost on the way, no process goes on with old lists for longer. */
const LOOK_AGAIN_MILLISECONDS = 1_000

const READ_REVISION = 'select revision::text from operator_lists'
const READ_ENTRIES = 'select list, kind, value from operator_list_entries'

/**
 * Reads the lists, and reads them again whenever they change, over a connection of its own that LISTENs. Resolves when they
 * were read for the first time. While Postgres is away the last ones count.
 *
 * The connection's name in pg_stat_activity says which revision this process has: so the command that changes a list knows
 * when all have it, without a table of processes that nobody would clean up after a crash.
 *
 * @throws what the first connection throws
 */
export async function watchOperatorLists(options: OperatorListsWatchOptions): Promise<OperatorListsWatch> {
  const watch = new Watch(options)
  await watch.begin()
  return watch
}

class Watch implements OperatorListsWatch {
  readonly #options: OperatorListsWatchOptions
  readonly #stopping = new AbortController()
  #client: pg.Client | undefined
  #revision: string | undefined
  #following: Promise<void> = Promise.resolve()
  /** Ends the wait for news. */
  #wake: () => void = () => {}
  #hasNews = false

  constructor(options: OperatorListsWatchOptions) {
    this.#options = options
  }

  async begin(): Promise<void> {
    this.#client = await this.#connect()
    await this.#catchUp(this.#client)
    this.#following = this.#follow(this.#client)
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#wake()
    await this.#following
  }

  async #follow(first: pg.Client): Promise<void> {
    let client: pg.Client | undefined = first
    while (!this.#stopping.signal.aborted) {
      try {
        client ??= await this.#connect()
        await this.#catchUp(client)
        await this.#news()
      } catch (error) {
        this.#options.logger.warn(
          { err: error },
          'the lists of the operator cannot be read; the last ones count'
        )
        // A connection that worked and was lost is made anew at once.
        const hasWorked = client !== undefined && this.#revision !== undefined
        client?.end().catch(() => undefined)
        client = undefined
        if (hasWorked) continue
        await delay(LOOK_AGAIN_MILLISECONDS, undefined, { signal: this.#stopping.signal }).catch(
          () => undefined
        )
      }
    }
    await client?.end().catch(() => undefined)
  }

  async #connect(): Promise<pg.Client> {
    const client = new pg.Client({
      connectionString: this.#options.connectionString,
      application_name: 'peerserv lists',
      connectionTimeoutMillis: CONNECT_MILLISECONDS,
      query_timeout: ANSWER_MILLISECONDS,
      keepAlive: true
    })
    // Its next statement fails, and the connection is made anew.
    client.on('error', () => this.#announce())
    client.on('notification', () => this.#announce())
    this.#revision = undefined
    try {
      await client.connect()
      // Before the first reading: what changes meanwhile is told.
      await client.query('listen operator_lists')
    } catch (error) {
      client.end().catch(() => undefined)
      throw error
    }
    return client
  }

  /** Reads until nothing is newer. */
  async #catchUp(client: pg.Client): Promise<void> {
    this.#hasNews = false
    const { rows } = await client.query<{ revision: string }>(READ_REVISION)
    const revision = rows[0]!.revision
    if (revision === this.#revision) return
    // Read after the revision, so at least as new.
    const entries = await client.query<ListEntry>(READ_ENTRIES)
    this.#options.lists.replace(entries.rows)
    this.#revision = revision
    await client.query(`set application_name = 'peerserv lists ${Number(revision)}'`)
  }

  #announce(): void {
    this.#hasNews = true
    this.#wake()
  }

  async #news(): Promise<void> {
    if (this.#hasNews || this.#stopping.signal.aborted) return
    await new Promise<void>(resolve => {
      const timer = setTimeout(resolve, LOOK_AGAIN_MILLISECONDS)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
