import { expect } from 'chai'
import { FaultMesh } from '../support/fault-mesh.js'
import { describeVerdict } from '../support/oracle.js'
import { chosenSeed } from '../support/random.js'

const REQUESTS = 200
const HOURS = 60 * 60_000

describe('hosts whose clocks are off by hours, one ahead and one behind', function () {
  // Many processes start and stop; on a busy machine that takes long.
  this.timeout(120_000)
  const seed = chosenSeed()
  let mesh: FaultMesh

  before(async () => {
    mesh = await FaultMesh.start({ name: 'clocks' })
  })
  after(() => mesh?.remove())

  it('hand on what they have accepted at the latest when that time has come', async () => {
    const [, ahead, behind] = mesh.hosts
    await Promise.all([ahead!.kill(), behind!.kill()])
    await Promise.all([ahead!.start(3 * HOURS), behind!.start(-3 * HOURS)])
    const verdict = await mesh.judge({
      run: 'clocks',
      seed,
      requests: REQUESTS,
      faults: [],
      // What the one attested is early for the others until then; an hour more, and no wait is left.
      async afterwards() {
        await Promise.all(mesh.hosts.map(host => host.kill()))
        await Promise.all(mesh.hosts.map(host => host.start(4 * HOURS)))
      }
    })
    const told = `FAULT_SEED=${seed}\n${describeVerdict(verdict)}`
    const refused = verdict.violations.filter(({ kind }) => kind === 'refused')
    // The times that senders sign lie ahead for the one that is behind, and it says so.
    for (const { detail } of refused) expect(detail, told).to.include('ERR_MESSAGE_EARLY')
    expect(verdict.violations.length, told).to.equal(refused.length)
    expect(verdict.accepted, told).to.be.above(REQUESTS / 2)
  })
})
