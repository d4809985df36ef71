import pg from 'pg'
import { startTestPostgres } from './database.js'

/**
 * A Postgres of the test's own which keeps over SIGKILL what was committed, as those of nodes do.
 *
 * @param dataDirectory default: a new one
 */
export async function startCrashingPostgres(dataDirectory?: string): ReturnType<typeof startTestPostgres> {
  const postgres = await startTestPostgres(dataDirectory)
  const client = new pg.Client({ connectionString: postgres.connectionString })
  await client.connect()
  await client.query('alter database postgres set synchronous_commit = on')
  await client.end()
  return postgres
}
