import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { runner } from 'node-pg-migrate'
import pg from 'pg'
import type { Logger } from '../logger.js'
import { StartError } from '../start-error.js'

const TABLE = 'schema_migrations'
const OLDEST_POSTGRES = 15
const CONNECT_MILLISECONDS = 5_000

/**
 * Brings the schema up to date: applies the files of `migrations/` that are missing, in order, each in a
 * transaction of its own. Any number of processes may do this at once; one works, the others wait for it.
 *
 * @param connectionString of the database; its user must be allowed to create tables
 * @param directory folder of `000001_name.sql` files
 * @returns names of the migrations applied now, without `.sql`
 * @throws StartError if Postgres cannot be reached, is older than 15, or its schema is newer than this program
 */
export async function migrate(
  connectionString: string,
  logger: Logger,
  directory: string = migrationsDirectory()
): Promise<string[]> {
  const client = await connect(connectionString)
  // The connection is watched by the statements that run on it.
  client.on('error', () => {})
  try {
    await refuseUnfitPostgres(client)
    const applied = await runner({
      dbClient: client,
      dir: directory,
      ignorePattern: '(?!.*\\.sql$).*',
      migrationsTable: TABLE,
      direction: 'up',
      checkOrder: true,
      singleTransaction: false,
      advisoryLockMode: 'wait',
      logger: quiet(logger)
    })
    await refuseNewerSchema(client, directory)
    const names = applied.map(({ name }) => name)
    if (names.length > 0) logger.info({ migrations: names }, 'the database schema was brought up to date')
    return names
  } finally {
    await client.end().catch(() => {})
  }
}

/** The `migrations/` folder of this package, seen from `src/storage/` and from `dist/src/storage/`. */
export function migrationsDirectory(): string {
  const candidates = ['../..', '../../..'].map(up => join(import.meta.dirname, up, 'migrations'))
  const found = candidates.find(existsSync)
  if (found === undefined)
    throw new StartError(`The migrations folder is missing; it belongs at ${candidates[0]}.`)
  return found
}

async function connect(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString,
    application_name: 'peerserv migrations',
    connectionTimeoutMillis: CONNECT_MILLISECONDS
  })
  try {
    await client.connect()
    return client
  } catch (error) {
    const reason = error instanceof Error ? error.message || String(error.cause ?? error.name) : String(error)
    throw new StartError(
      `The database cannot be reached (${reason}); check DATABASE_URL and that Postgres runs.`,
      {
        cause: error
      }
    )
  }
}

async function refuseUnfitPostgres(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ number: number; name: string; encoding: string }>(
    `select current_setting('server_version_num')::int as number, current_setting('server_version') as name,
      current_setting('server_encoding') as encoding`
  )
  const [server] = rows
  if (server === undefined || server.number < OLDEST_POSTGRES * 10_000) {
    throw new StartError(`The database is Postgres ${server?.name}; ${OLDEST_POSTGRES} or newer is needed.`)
  }
  // Others cannot hold every name of a box, nor show every body.
  if (server.encoding !== 'UTF8') {
    throw new StartError(`The encoding of the database is ${server.encoding}; UTF8 is needed.`)
  }
}

/** Files of the future: this program would read and write tables whose rules it does not know. */
async function refuseNewerSchema(client: pg.Client, directory: string): Promise<void> {
  const known = new Set((await readdir(directory)).map(file => file.replace(/\.sql$/, '')))
  const { rows } = await client.query<{ name: string }>(`select name from ${TABLE} order by id`)
  const unknown = rows.map(({ name }) => name).filter(name => !known.has(name))
  if (unknown.length === 0) return
  throw new StartError(
    `The schema of the database is newer than this program: it has ${unknown.join(', ')}. ` +
      'Start the newer version of the program, or restore a backup made before the upgrade.'
  )
}

/** The runner narrates each step at info level, and its errors are thrown as well. */
function quiet(logger: Logger): {
  [level in 'debug' | 'info' | 'warn' | 'error']: (message: string) => void
} {
  const debug = (message: string): void => logger.debug(message)
  return { debug, info: debug, warn: debug, error: message => logger.error(message) }
}
