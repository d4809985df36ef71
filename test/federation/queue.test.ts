import { expect } from 'chai'
import { createQueue } from '../../federation/queue.js'
import { createLogger } from '../../src/logger.js'
import { createTestDatabase, type TestDatabase } from '../support/database.js'

const logger = createLogger('silent')
const options = { redisUrl: undefined, identityKey: `02${'11'.repeat(32)}`, logger }

describe('the queue', () => {
  let databases: TestDatabase
  before(async () => {
    databases = await createTestDatabase()
  })
  after(() => databases.drop())

  it('keeps its place where DATABASE_URL sets options of its own', async () => {
    const url = new URL(databases.connectionString)
    url.searchParams.set('options', '-c statement_timeout=30000')
    const queue = await createQueue({ ...options, databaseUrl: url.href })
    try {
      const worked = new Promise<string>(resolve => {
        const done = async (subject: string) => resolve(subject)
        void queue.work(
          { drain: done, statements: done, reconcile: done, 'catch-up': done, lookup: done, push: done },
          1
        )
      })
      queue.add('drain', 'relay.example.org')
      expect(await worked).to.equal('relay.example.org')
    } finally {
      await queue.close()
    }
  })

  it('says at start, in one sentence, that Redis is not there', async () => {
    const queue = createQueue({
      ...options,
      databaseUrl: databases.connectionString,
      redisUrl: 'redis://127.0.0.1:1'
    })
    const error = await queue.then(
      () => undefined,
      (reason: unknown) => reason
    )
    expect(error).to.be.instanceOf(Error)
    expect((error as Error).message).to.include('REDIS_URL')
  })
})
