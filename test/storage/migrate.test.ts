import { randomUUID } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { createLogger } from '../../src/logger.js'
import { StartError } from '../../src/start-error.js'
import { statement } from '../../src/storage/database.js'
import { migrate, migrationsDirectory } from '../../src/storage/migrate.js'
import { createTestDatabase, type TestDatabase } from '../support/database.js'

const logger = createLogger('silent')
const MIGRATIONS = {
  '000001_first.sql': 'create table first (id int); insert into first values (1);',
  '000002_second.sql': 'select pg_sleep(0.05); create table second (id int); insert into second values (1);',
  'notes.md': 'not a migration'
}

describe('migrate', () => {
  const folders: string[] = []
  let test: TestDatabase

  async function folder(files: Record<string, string>): Promise<string> {
    const path = join(tmpdir(), `peerserv-migrations-${randomUUID()}`)
    folders.push(path)
    await mkdir(path)
    for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text)
    return path
  }

  async function startError(promise: Promise<unknown>): Promise<string> {
    const error = await promise.catch((reason: unknown) => reason)
    expect(error).to.be.instanceOf(StartError)
    return String(error)
  }

  beforeEach(async () => {
    test = await createTestDatabase({ empty: true })
  })

  afterEach(() => test.drop())
  after(() => Promise.all(folders.map(path => rm(path, { recursive: true }))))

  it('applies the files of this package, and nothing the second time', async () => {
    const first = await migrate(test.connectionString, logger)
    expect(first[0]).to.equal('000001_message-boxes')
    expect(await migrate(test.connectionString, logger)).to.deep.equal([])
    expect(migrationsDirectory()).to.match(/\/migrations$/)
  })

  it('applies each file once when twenty start at once', async () => {
    const directory = await folder(MIGRATIONS)
    const runs = Array.from({ length: 20 }, () => migrate(test.connectionString, logger, directory))
    const applied = (await Promise.all(runs)).filter(names => names.length > 0)
    expect(applied).to.deep.equal([['000001_first', '000002_second']])
    const rows = await test.database.query(
      statement(
        'rows',
        'select (select count(*) from first) as first, (select count(*) from second) as second'
      )
    )
    expect(rows).to.deep.equal([{ first: 1, second: 1 }])
  })

  it('leaves nothing of a file that fails, keeps those before it, and goes on later', async () => {
    const broken = await folder({
      ...MIGRATIONS,
      '000002_second.sql': 'create table second (); select wrong;'
    })
    const error = await migrate(test.connectionString, logger, broken).catch((reason: unknown) => reason)
    expect(String(error)).to.contain('column "wrong" does not exist')
    const whole = await folder(MIGRATIONS)
    expect(await migrate(test.connectionString, logger, whole)).to.deep.equal(['000002_second'])
  })

  it('refuses a database that cannot hold every text', async () => {
    const name = `test_${process.pid}_latin1`
    const url = new URL(test.connectionString)
    url.pathname = `/${name}`
    const run = (text: string) => test.database.query(statement('', text))
    await run(`create database ${name} template template0 encoding 'LATIN1' locale_provider libc locale 'C'`)
    try {
      expect(await startError(migrate(url.href, logger))).to.include('LATIN1')
    } finally {
      await run(`drop database ${name}`)
    }
  })

  it('refuses a schema that is newer than the program', async () => {
    await migrate(test.connectionString, logger, await folder(MIGRATIONS))
    const older = await folder({ '000001_first.sql': MIGRATIONS['000001_first.sql'] })
    const message = await startError(migrate(test.connectionString, logger, older))
    expect(message).to.contain('newer than this program: it has 000002_second.')
  })

  it('refuses a file that would have to run before one that ran', async () => {
    await migrate(test.connectionString, logger, await folder(MIGRATIONS))
    const other = await folder({ ...MIGRATIONS, '000001_another.sql': 'select 1' })
    const error = await migrate(test.connectionString, logger, other).catch((reason: unknown) => reason)
    expect(String(error)).to.contain('Not run migration 000001_another')
  })

  it('says in one sentence that there is no database', async () => {
    const message = await startError(migrate('postgresql://somebody:secret@127.0.0.1:1/none', logger))
    expect(message).to.match(/cannot be reached \(.*ECONNREFUSED.*\); check DATABASE_URL/)
    expect(message).not.to.contain('secret')
  })
})
