import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'

/** Any number, but always the same one: "pgowner" in ASCII. */
const LOCK = 0x7067_6f77_6e65
const CONNECT_MILLISECONDS = 2_000
const NAME = 'peerserv owner '
/** A killed owner's connection is gone as soon as Postgres notices. */
const PATIENCE_MILLISECONDS = 1_500
const POLL_MILLISECONDS = 50

/** The node that runs the embedded Postgres holds a lock in it, which ends with the node however that ends. */
export class Ownership {
  readonly #client: pg.Client
  /** Resolves when the lock is lost because its connection ended. */
  readonly lost: Promise<void>

  private constructor(client: pg.Client) {
    this.#client = client
    this.lost = new Promise(resolve => client.once('end', () => resolve()))
  }

  /**
   * @returns the ownership, or the process id of the node that has it
   * @throws errors of the connection
   */
  static async take(connectionString: string): Promise<Ownership | number> {
    const client = new pg.Client({
      connectionString,
      application_name: `${NAME}${process.pid}`,
      connectionTimeoutMillis: CONNECT_MILLISECONDS
    })
    client.on('error', () => {})
    await client.connect()
    const ownership = new Ownership(client)
    try {
      for (let waited = 0; waited < PATIENCE_MILLISECONDS; waited += POLL_MILLISECONDS) {
        const { rows } = await client.query<{ taken: boolean }>('select pg_try_advisory_lock($1) as taken', [
          LOCK
        ])
        if (rows[0]?.taken) return ownership
        await delay(POLL_MILLISECONDS)
      }
      const owner = await currentOwner(client)
      await ownership.release()
      return owner
    } catch (error) {
      await ownership.release()
      throw error
    }
  }

  async release(): Promise<void> {
    await this.#client.end().catch(() => {})
  }
}

async function currentOwner(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ name: string }>(
    `select a.application_name as name from pg_locks l join pg_stat_activity a using (pid)
     where l.locktype = 'advisory' and l.granted and a.application_name like '${NAME}%'`
  )
  return Number(rows[0]?.name.slice(NAME.length) ?? Number.NaN)
}
