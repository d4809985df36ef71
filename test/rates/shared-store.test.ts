import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { systemClock } from '../../src/context.js'
import { createLogger } from '../../src/logger.js'
import { createRates, type RateLimits, type Rates, type Resource } from '../../src/rates/rates.js'
import { redisRateStore } from '../../src/rates/redis-store.js'
import type { RateStore } from '../../src/rates/store.js'
import { createDatabase } from '../../src/storage/database.js'
import { postgresRateStore } from '../../src/storage/rate-limits.js'
import { createTestDatabase, type TestDatabase } from '../support/database.js'

const LIMITS: RateLimits = { address: 600, identity: 1_000, peer: 6_000, pair: 120 }
const logger = createLogger('silent')

/** The node's rates in one process. */
function ratesOn(store: RateStore, refused: Resource[] = []): Rates {
  return createRates({
    limits: LIMITS,
    clock: systemClock,
    logger,
    onRefused: resource => refused.push(resource),
    store,
    isHost: async () => false
  })
}

/** Requests of one key, some at once, until one after another is refused. */
async function flood(ask: () => Promise<void> | void, requests: number): Promise<number> {
  let count = 0
  const client = async () => {
    for (let i = 0; i < requests / 5; i++) {
      try {
        await ask()
        count++
      } catch {
        // Refused.
      }
    }
  }
  await Promise.all(Array.from({ length: 5 }, client))
  return count
}

function sharesRates(open: () => RateStore): void {
  let stores: RateStore[]
  beforeEach(() => {
    stores = [open(), open()]
  })
  afterEach(() => Promise.all(stores.map(store => store.close())))

  for (const [resource, limit] of Object.entries(LIMITS)) {
    if (resource === 'peer') continue
    it(`lets through at most a tenth too much of what one ${resource} may, ${limit} a minute`, async () => {
      const key = randomBytes(33).toString('hex')
      const sums = await Promise.all(
        stores.map(store => {
          const rates = ratesOn(store)
          const ask = {
            address: () => rates.stranger(key),
            identity: () => rates.caller(key, false),
            pair: () => rates.sends(key, [key])
          }[resource as Exclude<Resource, 'peer'>]
          return flood(ask, limit * 1.5)
        })
      )
      const [one, other] = sums as [number, number]
      expect(one + other).to.be.within(limit, limit * 1.1)
      expect(Math.min(one, other)).to.be.above(0)
    })
  }

  it('adds up what all processes take, key by key', async () => {
    const [one, other] = stores as [RateStore, RateStore]
    const [a, b] = [randomBytes(8).toString('hex'), randomBytes(8).toString('hex')]
    expect(await one.add(a, 3)).to.equal(3)
    expect(await other.add(a, 4)).to.equal(7)
    expect(await one.add(b, 1)).to.equal(1)
  })
}

describe('rates shared by two processes', () => {
  describe('on Postgres', () => {
    let test: TestDatabase
    before(async () => {
      test = await createTestDatabase()
    })
    after(() => test.drop())

    sharesRates(() => postgresRateStore(test.database))

    it('holds to the limit of this process while Postgres is away', async () => {
      const database = createDatabase({ connectionString: 'postgresql://nobody@127.0.0.1:1/none', logger })
      const store = postgresRateStore(database)
      try {
        const refused: Resource[] = []
        const rates = ratesOn(store, refused)
        expect(await flood(() => rates.stranger('192.0.2.1'), 1_000)).to.equal(600)
        expect(refused).to.have.length(400)
      } finally {
        await store.close()
        await database.close()
      }
    })
  })

  describe('on Redis', () => {
    const url = process.env.TEST_REDIS_URL
    before(function () {
      if (url === undefined || url === '') this.skip()
    })
    const node = randomBytes(33).toString('hex')
    sharesRates(() => redisRateStore(url ?? '', node))
  })

  it('holds to the limit of this process while Redis is away', async () => {
    const store = redisRateStore('redis://127.0.0.1:1', 'node')
    try {
      const rates = ratesOn(store)
      expect(await flood(() => rates.caller('identity', false), 1_500)).to.equal(1_000)
    } finally {
      await store.close()
    }
  })
})
