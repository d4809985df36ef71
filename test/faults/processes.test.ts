import { expect } from 'chai'
import { type Fault, FaultMesh } from '../support/fault-mesh.js'
import { until } from '../support/nodes.js'
import type { Verdict } from '../support/oracle.js'
import type { ProcessNode } from '../support/process-node.js'
import { chosenSeed } from '../support/random.js'

const REQUESTS = 200

/** The first host, whose requests and deliveries are the work of two processes on one database. */
describe('a host whose processes die in the middle of 200 messages', () => {
  const seed = chosenSeed()
  let mesh: FaultMesh

  before(async () => {
    mesh = await FaultMesh.start({ name: 'processes' })
  })
  after(() => mesh?.remove())

  const run = (name: string, ...faults: Fault[]): Promise<Verdict> =>
    mesh.run({ run: name, seed, requests: REQUESTS, faults })

  const killed = (process: ProcessNode): Fault => ({
    at: 80,
    description: `kill ${process.name}`,
    async act() {
      await process.kill()
      await process.start()
    }
  })

  it('the API (SIGKILL)', async () => {
    const verdict = await run('api', killed(mesh.host('one').api))
    expect(verdict.accepted).to.be.at.least(REQUESTS * 0.8)
  })

  it('the worker (SIGKILL)', async () => {
    await run('worker', killed(mesh.host('one').worker!))
  })

  it("everything of a recipient's host (SIGKILL)", async () => {
    await run('recipient', killed(mesh.host('two').api))
  })

  it('the worker stands still beyond its claims, another one takes them, and it comes back', async () => {
    const host = mesh.host('one')
    const claimed = () =>
      host.count(`select count(*) as n from deliveries where state = 'pending' and claimed_until is not null`)
    const another = host.anotherWorker()
    try {
      await run('frozen', {
        at: 40,
        description: 'freeze the worker of one',
        async act() {
          // So that it holds claims when it stops.
          await mesh.host('two').proxy.switch('delay', { delay: 300 })
          await until(claimed, n => n > 0)
          host.worker!.freeze()
          await mesh.host('two').proxy.switch('pass')
          await another.start()
          await until(claimed, n => n === 0)
          host.worker!.thaw()
        }
      })
    } finally {
      host.worker!.thaw()
      await another.kill()
    }
  })
})
