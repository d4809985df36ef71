import { expect } from 'chai'
import { FaultMesh } from '../support/fault-mesh.js'
import { chosenSeed } from '../support/random.js'

const REQUESTS = 200
const HOURS = 60 * 60_000

describe('hosts whose clocks are off by hours', () => {
  const seed = chosenSeed()
  let mesh: FaultMesh

  before(async () => {
    mesh = await FaultMesh.start({ name: 'clocks' })
  })
  after(() => mesh?.remove())

  for (const ahead of [3 * HOURS, -3 * HOURS]) {
    it(`lose nothing, and send what waited when they are put right (${ahead / HOURS} h)`, async () => {
      const two = mesh.host('two')
      await two.kill()
      await two.start(ahead)
      const verdict = await mesh.judge({
        run: `clock ${ahead / HOURS}`,
        seed,
        requests: REQUESTS,
        faults: [],
        afterwards: async () => {
          await two.kill()
          await two.start()
        }
      })
      console.log(verdict.violations.slice(0, 10), verdict.violations.length, verdict)
      expect(verdict.violations).to.deep.equal([])
    })
  }
})
