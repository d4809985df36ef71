import { FaultMesh } from '../support/fault-mesh.js'
import { chosenSeed } from '../support/random.js'
import { PROXY_MODES, type ProxyMode, type ProxySettings } from '../support/tcp-proxy.js'

const REQUESTS = 200

/** Where not every exchange is broken: most get through, and their neighbours do not. */
const SETTINGS: Partial<Record<ProxyMode, ProxySettings>> = {
  'half-open': { every: 3 },
  'reset-after-request': { every: 3 },
  'cut-answer': { every: 3 },
  delay: { delay: 50 },
  throttle: { rate: 64 * 1024 }
}

describe('a network that misbehaves in the middle of 200 messages', function () {
  // Many processes start and stop; on a busy machine that takes long.
  this.timeout(120_000)
  const seed = chosenSeed()
  let mesh: FaultMesh

  before(async () => {
    mesh = await FaultMesh.start({ name: 'network' })
  })
  after(() => mesh?.remove())

  for (const mode of PROXY_MODES.filter(mode => mode !== 'pass')) {
    it(mode, async () => {
      const { proxy } = mesh.host('two')
      await mesh.run({
        run: mode,
        seed,
        requests: REQUESTS,
        faults: [
          { at: 40, description: `${mode} before two`, act: () => proxy.switch(mode, SETTINGS[mode]) },
          { at: 130, description: 'two is reached again', act: () => proxy.switch('pass') }
        ]
      })
    })
  }
})
