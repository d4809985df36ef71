import { setImmediate as immediate } from 'node:timers/promises'
import { expect } from 'chai'
import { Batches } from '../../src/storage/batches.js'

/** As Postgres reports it. */
function postgresError(code: string): Error {
  return Object.assign(new Error(code), { code, severity: 'ERROR' })
}

describe('batches of requests', () => {
  const statements: string[][] = []
  let failure: Error | undefined
  const batches = new Batches<string, string>({
    size: 3,
    order: request => Buffer.from(request),
    keys: request => [request[0]!],
    async together(requests) {
      statements.push([...requests])
      if (failure !== undefined) throw failure
      return requests.map(request => `${request} together`)
    },
    async alone(request) {
      if (request.endsWith('bad')) throw new Error(request)
      return `${request} alone`
    }
  })
  beforeEach(() => {
    statements.length = 0
    failure = undefined
  })

  const addAll = (...requests: string[]) =>
    Promise.allSettled(requests.map(request => batches.add(request))).then(settled =>
      settled.map(outcome => (outcome.status === 'fulfilled' ? outcome.value : `${outcome.reason}`))
    )

  it('put what arrives together into statements in order, so many in each, and answer each its own', async () => {
    expect(await addAll('d', 'c', 'b', 'a')).to.deep.equal([
      'd together',
      'c together',
      'b together',
      'a together'
    ])
    expect(statements).to.deep.equal([['b', 'c', 'd'], ['a']])
  })

  it('keep apart what has something in common', async () => {
    expect(await addAll('a1', 'a2', 'b', 'a3')).to.deep.equal([
      'a1 together',
      'a2 together',
      'b together',
      'a3 together'
    ])
    expect(statements).to.deep.equal([['a1', 'b'], ['a2'], ['a3']])
  })

  it('do each for itself where one has spoilt the statement', async () => {
    failure = postgresError('23505')
    expect(await addAll('a', 'b bad', 'c')).to.deep.equal(['a alone', 'Error: b bad', 'c alone'])
  })

  it('fail together where Postgres is away', async () => {
    failure = postgresError('57P01')
    expect(await addAll('a', 'b')).to.deep.equal(['Error: 57P01', 'Error: 57P01'])
  })

  describe('under way', () => {
    const begun: string[][] = []
    const endings: (() => void)[] = []
    const heldUp = (size: number, longMilliseconds: number) =>
      new Batches<string, string>(
        {
          size,
          order: request => Buffer.from(request),
          keys: () => [],
          together: requests =>
            new Promise(resolve => {
              begun.push([...requests])
              endings.push(() => resolve(requests))
            }),
          alone: async request => request
        },
        longMilliseconds
      )
    beforeEach(() => {
      begun.length = 0
      endings.length = 0
    })

    it('gather while a statement runs, until half of the next one waits', async () => {
      const batches = heldUp(4, Number.POSITIVE_INFINITY)
      const answers: Promise<string>[] = []
      for (const request of ['a', 'b', 'c', 'd', 'e', 'f']) {
        answers.push(batches.add(request))
        await turn()
      }
      expect(begun).to.deep.equal([['a'], ['b', 'c']])
      endings[0]!()
      await turn()
      expect(begun[2]).to.deep.equal(['d', 'e', 'f'])
      for (const end of endings) end()
      expect(await Promise.all(answers)).to.deep.equal(['a', 'b', 'c', 'd', 'e', 'f'])
    })

    it('do not wait for a statement that takes long', async () => {
      const batches = heldUp(1_000_000, -1)
      const answers = [batches.add('a')]
      await turn()
      answers.push(batches.add('b'))
      await turn()
      expect(begun).to.deep.equal([['a'], ['b']])
      for (const end of endings) end()
      expect(await Promise.all(answers)).to.deep.equal(['a', 'b'])
    })
  })
})

/** Whatever was scheduled for this turn of the event loop has run. */
async function turn(): Promise<void> {
  await immediate()
  await immediate()
}
