import { createHash, randomUUID } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { createLogger } from '../../src/logger.js'
import { createDatabase, type Database } from '../../src/storage/database.js'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/storage/embedded-postgres.js'
import { isRunning, prepareCluster } from '../../src/storage/embedded-postgres-cluster.js'
import { launch, removeStalePidFile, untilReady } from '../../src/storage/embedded-postgres-process.js'
import { migrate, migrationsDirectory } from '../../src/storage/migrate.js'

export interface TestDatabase {
  readonly connectionString: string
  readonly database: Database
  /** Closes `database` and removes it from Postgres, whoever is still connected. */
  drop(): Promise<void>
}

/** Databases for which no template is being made by another process at the same time. */
const TEMPLATE_LOCK = 7_391
const silent = createLogger('silent')
let server: Promise<string> | undefined

/**
 * A database of the test's own with the current schema, made in some ten milliseconds by copying a template, on the
 * Postgres of the run (TEST_DATABASE_URL) or, for a single file run by hand, on one that is shared and left running.
 *
 * @param options `empty`: without any table
 */
export async function createTestDatabase(options: { empty?: boolean } = {}): Promise<TestDatabase> {
  server ??= findServer()
  const admin = await server
  const name = `test_${process.pid}_${randomUUID().replaceAll('-', '')}`
  await execute(
    admin,
    `create database ${name} template ${options.empty ? 'template1' : await template(admin)}`
  )
  const connectionString = withDatabase(admin, name)
  const database = createDatabase({ connectionString, logger: silent })
  const drop = async (): Promise<void> => {
    await database.close()
    await execute(admin, `drop database if exists ${name} with (force)`)
  }
  return { connectionString, database, drop }
}

/** A Postgres of the test's own, for tests that kill it. */
export async function startTestPostgres(
  dataDirectory = join(tmpdir(), `peerserv-test-${randomUUID()}`)
): Promise<EmbeddedPostgres & { dataDirectory: string }> {
  const postgres = await startEmbeddedPostgres({ dataDirectory, logger: silent, durable: false })
  return {
    dataDirectory,
    connectionString: postgres.connectionString,
    get pid() {
      return postgres.pid
    },
    async stop() {
      await postgres.stop()
      await rm(dataDirectory, { recursive: true, force: true })
    }
  }
}

let templates: Promise<string> | undefined

/** Name of a database with all migrations; other migrations, other template. */
function template(admin: string): Promise<string> {
  templates ??= makeTemplate(admin)
  return templates
}

async function makeTemplate(admin: string): Promise<string> {
  const name = `template_${hashOfMigrations()}`
  await withClient(admin, async client => {
    await client.query('select pg_advisory_lock($1)', [TEMPLATE_LOCK])
    const { rowCount } = await client.query('select from pg_database where datname = $1', [name])
    if (rowCount === 1) return
    const unfinished = `unfinished_${randomUUID().replaceAll('-', '')}`
    await client.query(`create database ${unfinished}`)
    await migrate(withDatabase(admin, unfinished), silent)
    await client.query(`alter database ${unfinished} rename to ${name}`)
  })
  return name
}

function hashOfMigrations(): string {
  const directory = migrationsDirectory()
  const hash = createHash('sha256')
  for (const file of readdirSync(directory).sort())
    hash.update(file).update(readFileSync(join(directory, file)))
  return hash.digest('hex').slice(0, 16)
}

async function findServer(): Promise<string> {
  const given = process.env.TEST_DATABASE_URL
  if (given !== undefined && given !== '') return given
  const shared = await findSharedServer()
  await removeAbandoned(shared)
  return shared
}

/** Starts the shared Postgres unless it runs; of several test processes that try at once one succeeds. */
async function findSharedServer(): Promise<string> {
  const directory = join(tmpdir(), `peerserv-test-${process.getuid?.()}`)
  const cluster = await prepareCluster(directory, silent, false)
  let failure: unknown
  for (let attempt = 0; attempt < 5; attempt++) {
    try {
      await withClient(cluster.connectionString, async () => {})
      return cluster.connectionString
    } catch {
      removeStalePidFile(cluster)
      const child = launch(cluster, { durable: false, connections: 0 })
      await untilReady(cluster, child).catch(error => {
        failure = error
      })
      child.unref()
      await delay(50)
    }
  }
  throw failure
}

/** Databases of test processes that were killed. */
async function removeAbandoned(admin: string): Promise<void> {
  await withClient(admin, async client => {
    const { rows } = await client.query<{ name: string }>(
      `select datname as name from pg_database where datname like 'test\\_%'`
    )
    for (const { name } of rows) {
      if (isRunning(Number(name.split('_')[1]))) continue
      await client.query(`drop database if exists ${name} with (force)`)
    }
  })
}

function withDatabase(connectionString: string, name: string): string {
  const url = new URL(connectionString)
  url.pathname = `/${name}`
  return url.href
}

async function execute(connectionString: string, sql: string): Promise<void> {
  await withClient(connectionString, async client => {
    await client.query(sql)
  })
}

async function withClient(
  connectionString: string,
  work: (client: pg.Client) => Promise<void>
): Promise<void> {
  const client = new pg.Client({ connectionString })
  client.on('error', () => {})
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}
