import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { on, once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'chai'
import { createLogger } from '../../src/logger.js'
import { StartError } from '../../src/start-error.js'
import { createDatabase, type Database, statement } from '../../src/storage/database.js'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/storage/embedded-postgres.js'

const logger = createLogger('silent')
const isRoot = process.getuid?.() === 0
const isLinux = process.platform === 'linux'
const COUNT = statement('count', 'select count(*) as n from kept')

function start(dataDirectory: string, durable = false): Promise<EmbeddedPostgres> {
  return startEmbeddedPostgres({ dataDirectory, logger, durable })
}

async function setting(database: Database, name: string): Promise<string | undefined> {
  const rows = await database.query<{ value: string }>(
    statement('setting', 'select current_setting($1) as value'),
    [name]
  )
  return rows[0]?.value
}

/** Connections of a killed Postgres may answer for a moment, so another one must run first. */
async function untilAnotherAnswers(
  postgres: EmbeddedPostgres,
  killed: number,
  database: Database
): Promise<unknown> {
  for (;;) {
    await delay(10)
    const answer = await database.query(COUNT).catch(() => undefined)
    if (answer !== undefined && postgres.pid !== killed) return answer
  }
}

/** A process that runs an embedded Postgres as a node does, until it is killed. */
async function startOwner(dataDirectory: string): Promise<{ owner: ChildProcess; postgres: number }> {
  const program = `
    import { startEmbeddedPostgres } from './src/storage/embedded-postgres.ts'
    import { createLogger } from './src/logger.ts'
    const logger = createLogger('silent')
    const postgres = await startEmbeddedPostgres({ dataDirectory: process.argv[1], logger, durable: false })
    console.log(postgres.pid)`
  const owner = spawn(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '--eval', program, dataDirectory],
    { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, PLANTED_SECRET: 'planted' } }
  )
  for await (const [chunk] of on(owner.stdout, 'data')) return { owner, postgres: Number(chunk) }
  throw new Error('the owner ended')
}

describe('embedded Postgres', function () {
  this.timeout(60_000)
  let folder: string
  let postgres: EmbeddedPostgres
  let database: Database

  before(async () => {
    folder = join(tmpdir(), `peerserv-embedded-${randomUUID()}`)
    postgres = await start(folder, true)
    database = createDatabase({ connectionString: postgres.connectionString, logger })
    await database.query(statement('make', 'create table kept as select 1 as id'))
  })

  after(async () => {
    await database.close()
    await postgres.stop()
    rmSync(folder, { recursive: true })
  })

  it('keeps what was committed through a power failure, in UTF-8 whatever the system speaks', async () => {
    for (const name of ['fsync', 'synchronous_commit', 'full_page_writes', 'data_checksums']) {
      expect([name, await setting(database, name)]).to.deep.equal([name, 'on'])
    }
    const rows = await database.query(
      statement(
        'locale',
        `select pg_encoding_to_char(encoding) as encoding, datlocprovider as provider, datlocale as locale
         from pg_database where datname = current_database()`
      )
    )
    expect(rows).to.deep.equal([{ encoding: 'UTF8', provider: 'b', locale: 'C.UTF-8' }])
  })

  it('can be reached through its socket alone, which only its user can open', async () => {
    expect(await setting(database, 'listen_addresses')).to.equal('')
    expect(statSync(join(folder, 'postgres')).mode & 0o777).to.equal(0o700)
    expect(await setting(database, 'unix_socket_directories')).to.equal(join(folder, 'postgres'))
  })

  it('runs as an ordinary user though the node is root', function () {
    if (!isRoot || !isLinux) this.skip()
    expect(statSync(`/proc/${postgres.pid}`).uid).not.to.equal(0)
  })

  it('refuses a second node on the same folder, and leaves the first alone', async () => {
    const error = await start(folder).catch((reason: unknown) => reason)
    expect(error).to.be.instanceOf(StartError)
    expect(String(error)).to.contain(`in use by another node (process ${process.pid}`)
    expect(await database.query(COUNT)).to.deep.equal([{ n: 1 }])
  })

  it('is started again when it is killed, and again', async () => {
    for (let time = 0; time < 2; time++) {
      const killed = postgres.pid ?? Number.NaN
      process.kill(killed, 'SIGKILL')
      expect(await untilAnotherAnswers(postgres, killed, database)).to.deep.equal([{ n: 1 }])
    }
    // The lock that makes it ours came back too.
    const held = statement(
      'held',
      `select count(*) as n from pg_locks where locktype = 'advisory' and granted`
    )
    while ((await database.query<{ n: number }>(held))[0]?.n !== 1);
  })

  it('is gone after stop, and finds its data at the next start', async () => {
    const { pid } = postgres
    await database.close()
    await postgres.stop()
    expect(() => process.kill(pid ?? Number.NaN, 0)).to.throw('ESRCH')
    // As left by a machine that went down, whose process numbers begin anew: somebody else has this one now.
    writeFileSync(join(folder, 'postgres', 'cluster', 'postmaster.pid'), `${process.pid}\n`)
    postgres = await start(folder)
    database = createDatabase({ connectionString: postgres.connectionString, logger })
    expect(await database.query(COUNT)).to.deep.equal([{ n: 1 }])
  })

  it("takes over what a killed node left running, and gave that none of the node's environment", async () => {
    await database.close()
    await postgres.stop()
    const left = await startOwner(folder)
    if (isLinux) expect(readFileSync(`/proc/${left.postgres}/environ`, 'utf8')).not.to.contain('planted')
    left.owner.kill('SIGKILL')
    await once(left.owner, 'exit')
    process.kill(left.postgres, 0)
    postgres = await start(folder)
    expect(postgres.pid).not.to.equal(left.postgres)
    database = createDatabase({ connectionString: postgres.connectionString, logger })
    expect(await database.query(COUNT)).to.deep.equal([{ n: 1 }])
  })
})

describe('embedded Postgres in awkward places', function () {
  this.timeout(60_000)
  let top: string

  async function answersIn(dataDirectory: string): Promise<EmbeddedPostgres> {
    const postgres = await start(dataDirectory)
    const database = createDatabase({ connectionString: postgres.connectionString, logger })
    expect(await database.query(statement('one', 'select 1 as one'))).to.deep.equal([{ one: 1 }])
    await database.close()
    await postgres.stop()
    return postgres
  }

  beforeEach(() => {
    // Made with mode 0700.
    top = mkdtempSync(join(tmpdir(), 'peerserv-awkward '))
  })

  afterEach(() => rmSync(top, { recursive: true }))

  it('runs in a DATA_DIR that others may not enter, with a path too long for a socket', async () => {
    chmodSync(top, 0o711)
    const long = join(top, 'long'.repeat(20))
    mkdirSync(long, { mode: 0o700 })
    const { connectionString } = await answersIn(long)
    const socketFolder = new URL(connectionString).searchParams.get('host') ?? ''
    expect(socketFolder).to.match(/^\/tmp\/peerserv-/)
    expect(statSync(socketFolder).mode & 0o777).to.equal(0o700)
    rmSync(socketFolder, { recursive: true })
  })

  it('lives elsewhere, with a link to it, where only root may enter', async function () {
    if (!isRoot) this.skip()
    const dataDirectory = join(top, 'data')
    await answersIn(dataDirectory)
    const elsewhere = readlinkSync(join(dataDirectory, 'postgres'))
    expect(existsSync(join(elsewhere, 'cluster', 'PG_VERSION'))).to.equal(true)
    await answersIn(dataDirectory)
    rmSync(elsewhere, { recursive: true })
  })

  it('has one owner when several start at once on a new folder', async () => {
    chmodSync(top, 0o711)
    const starts = await Promise.allSettled([1, 2, 3, 4, 5, 6].map(() => start(join(top, 'shared'))))
    const owners = starts.flatMap(result => (result.status === 'fulfilled' ? [result.value] : []))
    const refusals = starts.flatMap(result => (result.status === 'rejected' ? [String(result.reason)] : []))
    for (const owner of owners) await owner.stop()
    expect(owners).to.have.length(1)
    for (const refusal of refusals) expect(refusal).to.contain('in use by another node')
  })

  it('says in one sentence that a folder cannot be made', async () => {
    writeFileSync(join(top, 'file'), '')
    const error = await start(join(top, 'file', 'data')).catch((reason: unknown) => reason)
    expect(error).to.be.instanceOf(StartError)
    expect(String(error)).to.match(/DATA_DIR .* cannot be made \(ENOTDIR\)/)
  })
})
