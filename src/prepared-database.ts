import type { Configuration } from './config.js'
import type { Lifecycle } from './lifecycle.js'
import type { Logger } from './logger.js'
import { startEmbeddedPostgres } from './storage/embedded-postgres.js'
import { migrate } from './storage/migrate.js'

/** What a process opens beside DATABASE_CONNECTIONS at most: for the queue, for its worker, and to listen. */
const OTHER_CONNECTIONS = 16
/** Owner, migrations, those that Postgres keeps for superusers, and somebody who looks with psql. */
const RESERVED_CONNECTIONS = 14

/**
 * The database of a node, ready for any number of its processes: the embedded Postgres is started where none is configured,
 * and the schema is brought up to date.
 *
 * @param lifecycle stops the embedded Postgres
 * @returns the connection string; it may hold a password
 * @throws StartError
 */
export async function prepareDatabase(
  { config, secrets }: Configuration,
  logger: Logger,
  lifecycle: Lifecycle
): Promise<string> {
  let connectionString = secrets.databaseUrl
  if (connectionString === undefined) {
    const { dataDirectory, processes, databaseConnections } = config
    const connections = processes * (databaseConnections + OTHER_CONNECTIONS) + RESERVED_CONNECTIONS
    const postgres = await startEmbeddedPostgres({ dataDirectory, logger, connections })
    lifecycle.add('embedded Postgres', () => postgres.stop())
    connectionString = postgres.connectionString
  }
  await migrate(connectionString, logger)
  return connectionString
}
