import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect } from 'chai'
import { createLogger } from '../../src/logger.js'
import { Budget } from '../../src/rates/budget.js'
import { Lender } from '../../src/rates/lender.js'
import { MemoryRateStore } from '../support/rate-store.js'

const MINUTE = 60_000

class Clock {
  time = 1_700_000_000_000
  now(): number {
    return this.time
  }
}

describe('a budget', () => {
  let clock: Clock
  let store: MemoryRateStore
  let log: string[]

  beforeEach(() => {
    clock = new Clock()
    store = new MemoryRateStore()
    log = []
  })

  /** The budget of one process. */
  function budget(limit: number, keys = 10_000): Budget {
    const logger = createLogger('silent')
    logger.warn = (_: unknown, text?: string) => void log.push(`warn: ${text}`)
    logger.info = (text: unknown) => void log.push(`info: ${text}`)
    return new Budget({ name: 'test', limit, keys, clock, lender: new Lender(store, clock, logger) })
  }

  /** How many of these requests, one after the other, are let through. */
  async function letThrough(from: Budget, requests: number, key = 'key'): Promise<number> {
    let count = 0
    for (let i = 0; i < requests; i++) if ((await from.take(key)) === 0) count++
    return count
  }

  for (const limit of [1, 7, 120, 600, 6_000, 600_000]) {
    it(`lets through ${limit} a minute, no more and no fewer, and as many in the next`, async () => {
      const process = budget(limit)
      for (let minute = 0; minute < 3; minute++) {
        expect(await letThrough(process, limit)).to.equal(limit)
        const wait = await process.take('key')
        expect(wait).to.be.within(1, MINUTE)
        clock.time += wait - 1
        expect(await process.take('key')).to.equal(1)
        clock.time += 1
      }
    })
  }

  it('leaves nothing in the store for whoever stays within half of the advance', async () => {
    const process = budget(1_000)
    for (let i = 0; i < 50; i++) expect(await letThrough(process, 4, `stranger ${i}`)).to.equal(4)
    expect(store.asked).to.equal(0)
  })

  it('asks the store some twenty times for a whole budget, and never makes an even stream wait', async () => {
    const process = budget(1_000)
    let waits = 0
    for (let i = 0; i < 1_000; i++) {
      if (typeof process.take('key') !== 'number') waits++
      await new Promise(setImmediate)
    }
    expect(waits).to.equal(0)
    expect(store.asked).to.be.within(10, 35)
    expect([...store.counts.values()][0]).to.be.within(990, 1_000)
  })

  it('lets a burst within the limit through at once, whatever the advance', async () => {
    const process = budget(120)
    const answers = await Promise.all(Array.from({ length: 130 }, () => process.take('key')))
    expect(answers.filter(wait => wait === 0)).to.have.length(120)
  })

  for (const [processes, limit] of [
    [2, 120],
    [2, 600],
    [10, 120],
    [10, 600],
    [10, 6_000]
  ] as const) {
    it(`is exceeded by at most a tenth where ${processes} processes are flooded: ${limit} a minute`, async () => {
      store.latency = () => new Promise(setImmediate)
      const all = Array.from({ length: processes }, () => budget(limit))
      const counts = await Promise.all(all.map(process => letThrough(process, limit * 2)))
      const sum = counts.reduce((a, b) => a + b)
      expect(sum).to.be.within(limit, limit * 1.1)
    })
  }

  it('is used up almost whole by whoever asks every process a little first', async () => {
    const all = Array.from({ length: 4 }, () => budget(600))
    let count = 0
    for (const process of all) count += await letThrough(process, 5)
    count += await letThrough(all[0]!, 600)
    expect(count).to.be.within(560, 606)
  })

  it('takes back what was counted', async () => {
    const process = budget(5)
    expect(await letThrough(process, 6)).to.equal(5)
    process.giveBack('key')
    expect(await letThrough(process, 2)).to.equal(1)
    process.giveBack('another key')
  })

  for (const state of ['away', 'silent'] as const) {
    it(`is this process's own while the store is ${state}, which is logged once`, async () => {
      store.state = state
      const [one, other] = [budget(100), budget(100)]
      expect(await letThrough(one, 150)).to.equal(100)
      for (let i = 0; i < 3; i++) {
        clock.time += MINUTE
        expect(await letThrough(one, 150)).to.equal(100)
      }
      expect(log).to.have.length(1)
      expect(await letThrough(other, 150)).to.equal(100)
      expect(log).to.have.length(2)
      expect(log[0]).to.match(/^warn: the store of rate limits is away/)

      store.state = 'there'
      clock.time += MINUTE
      expect((await letThrough(one, 100)) + (await letThrough(other, 100))).to.be.within(100, 110)
      expect(log.slice(2)).to.deep.equal(Array(2).fill('info: the store of rate limits is back'))
    })
  }

  it('does not ask a store that is away for every request', async () => {
    store.state = 'away'
    await letThrough(budget(1_000), 1_000)
    expect(store.asked).to.equal(1)
  })

  it('counts in the store what was let through while it was away', async () => {
    const process = budget(100)
    await letThrough(process, 10)
    store.state = 'away'
    await letThrough(process, 50)
    store.state = 'there'
    clock.time += 1_000
    const before = [...store.counts.keys()].length
    expect(await letThrough(process, 100)).to.equal(40)
    expect([...store.counts.keys()]).to.have.length(before)
    expect(await letThrough(budget(100), 100)).to.be.at.most(1)
  })

  it('begins its minutes at other times for other keys', async () => {
    const process = budget(1)
    const ends = new Set<number>()
    for (let i = 0; i < 50; i++) {
      await process.take(`key ${i}`)
      ends.add(await process.take(`key ${i}`))
    }
    expect(ends.size).to.be.above(40)
  })

  it('survives a clock that is set back', async () => {
    const process = budget(10)
    expect(await letThrough(process, 20)).to.equal(10)
    clock.time -= 3_600_000
    expect(await letThrough(process, 20)).to.equal(10)
  })

  it('remembers so many keys and no more', async function () {
    this.timeout(60_000)
    setFlagsFromString('--expose-gc')
    const gc = runInNewContext('gc') as () => void
    const process = budget(1_000)
    const visit = (from: number, to: number) => {
      for (let i = from; i < to; i++) void process.take(`stranger number ${i} from somewhere far away`)
    }
    visit(0, 20_000)
    gc()
    const before = memoryInUse()
    visit(20_000, 300_000)
    gc()
    expect(memoryInUse() - before).to.be.below(1_000_000)
    expect(store.counts.size).to.equal(0)
  })

  it('serves everybody who waits, also where more keys wait than are remembered', async () => {
    const process = budget(3, 10)
    const keys = Array.from({ length: 200 }, (_, i) => `key ${i}`)
    const waits = await Promise.all(keys.map(key => process.take(key)))
    expect(new Set(waits)).to.deep.equal(new Set([0]))
  })
})

function memoryInUse(): number {
  return process.memoryUsage().heapUsed
}
