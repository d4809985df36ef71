import { expect } from 'chai'
import { type Fault, FaultMesh } from '../support/fault-mesh.js'
import { API_KILLED, WORKER_FROZEN, WORKER_KILLED } from '../support/fault-scenarios.js'
import type { Verdict } from '../support/oracle.js'
import { chosenSeed } from '../support/random.js'

const REQUESTS = 200

/** On the first host requests and deliveries are the work of two processes on one database. */
describe('hosts whose processes die in the middle of 200 messages', function () {
  // Many processes start and stop; on a busy machine that takes long.
  this.timeout(120_000)
  const seed = chosenSeed()
  let mesh: FaultMesh

  before(async () => {
    mesh = await FaultMesh.start({ name: 'processes' })
  })
  after(() => mesh?.remove())

  const run = (name: string, ...faults: Fault[]): Promise<Verdict> =>
    mesh.run({ run: name, seed, requests: REQUESTS, faults })

  it('the API (SIGKILL)', async () => {
    const verdict = await run('api', API_KILLED)
    expect(verdict.accepted).to.be.at.least(REQUESTS * 0.8)
  })

  it('the worker (SIGKILL)', async () => {
    await run('worker', WORKER_KILLED)
  })

  it("everything of a recipient's host (SIGKILL)", async () => {
    await run('recipient', {
      at: 80,
      description: 'kill two',
      async act() {
        await mesh.host('two').kill()
        await mesh.host('two').start()
      }
    })
  })

  it('the worker stands still beyond its claims, another one takes them, and it comes back', async () => {
    await run('frozen', WORKER_FROZEN)
  })
})
