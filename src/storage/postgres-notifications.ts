import pg from 'pg'
import type { NotificationListener, Notifications } from '../live/notifications.js'
import type { Logger } from '../logger.js'

const CONNECT_MILLISECONDS = 2_000
const SHORTEST_PAUSE = 100
const LONGEST_PAUSE = 5_000

/**
 * Notifications by LISTEN and NOTIFY, on one connection of its own: a pooled one would be somebody else's the next moment.
 *
 * @param channel an identifier: letters, digits and underscores
 */
export function postgresNotifications(
  connectionString: string,
  channel: string,
  listener: NotificationListener,
  logger: Logger
): Notifications {
  return new PostgresNotifications(connectionString, channel, listener, logger)
}

class PostgresNotifications implements Notifications {
  readonly #connectionString: string
  readonly #channel: string
  readonly #listener: NotificationListener
  readonly #logger: Logger
  #client: pg.Client | undefined
  #pause = SHORTEST_PAUSE
  #timer: NodeJS.Timeout | undefined
  #isClosed = false
  #publishing: Promise<unknown> = Promise.resolve()

  constructor(connectionString: string, channel: string, listener: NotificationListener, logger: Logger) {
    this.#connectionString = connectionString
    this.#channel = channel
    this.#listener = listener
    this.#logger = logger
    void this.#connect()
  }

  publish(payload: string): Promise<void> {
    // A connection takes one statement at a time.
    const published = this.#publishing.then(() => this.#publish(payload))
    this.#publishing = published.catch(() => undefined)
    return published
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    await this.#client?.end().catch(() => undefined)
  }

  async #publish(payload: string): Promise<void> {
    if (this.#client === undefined) throw new Error('the connection for notifications is away')
    await this.#client.query('select pg_notify($1, $2)', [this.#channel, payload])
  }

  async #connect(): Promise<void> {
    const client = new pg.Client({
      connectionString: this.#connectionString,
      application_name: 'peerserv notifications',
      connectionTimeoutMillis: CONNECT_MILLISECONDS,
      keepAlive: true
    })
    let isLost = false
    const lost = (): void => {
      if (isLost) return
      isLost = true
      if (this.#client === client) this.#client = undefined
      void client.end().catch(() => undefined)
      this.#reconnect()
    }
    client.on('error', lost).on('end', lost)
    client.on('notification', ({ payload = '' }) => this.#listener.heard(payload))
    try {
      await client.connect()
      await client.query(`listen ${this.#channel}`)
    } catch (error) {
      this.#logger.debug({ err: error }, 'no connection for notifications')
      return lost()
    }
    if (this.#isClosed) return void client.end().catch(() => undefined)
    this.#client = client
    this.#pause = SHORTEST_PAUSE
    this.#listener.connected()
  }

  #reconnect(): void {
    if (this.#isClosed) return
    this.#timer = setTimeout(() => void this.#connect(), this.#pause)
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE)
  }
}
