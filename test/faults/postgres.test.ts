import { join } from 'node:path'
import { expect } from 'chai'
import { exchange, TestUser } from '../support/client.js'
import { FaultMesh } from '../support/fault-mesh.js'
import { until } from '../support/nodes.js'
import { type ProxiedPostgres, startProxiedPostgres } from '../support/proxied-postgres.js'
import { chosenSeed } from '../support/random.js'
import { mountSmallDisk, type SmallDisk } from '../support/small-disk.js'

const REQUESTS = 200
/** A client is told, and the node serves again, within so many ms. */
const SOON = 1_000
const HEALED = 10_000
/** A cluster and its write-ahead log need half of that, megabytes. */
const DISK = 160

describe('a host whose Postgres dies, is away, or has no room', function () {
  // Many processes start and stop; on a busy machine that takes long.
  this.timeout(120_000)
  const seed = chosenSeed()
  let disk: SmallDisk | undefined
  let postgres: ProxiedPostgres
  let mesh: FaultMesh
  const alice = new TestUser('alice of an outage')

  before(async () => {
    disk = mountSmallDisk(DISK)
    postgres = await startProxiedPostgres(disk === undefined ? undefined : join(disk.folder, 'data'))
    mesh = await FaultMesh.start({ name: 'postgres', databases: [postgres] })
  })
  after(async () => {
    await mesh?.remove()
    await postgres?.stop()
    disk?.remove()
  })

  const send = (messageId: string) =>
    alice.post(mesh.host('one').url, '/sendMessage', {
      message: { recipient: alice.identityKey, messageBox: 'inbox', messageId, body: messageId }
    })

  async function healed(messageId: string): Promise<void> {
    const start = performance.now()
    await until(
      () => send(messageId),
      ({ status }) => status === 200,
      HEALED
    )
    await until(
      () =>
        exchange(mesh.host('one').url, {
          method: 'GET',
          target: '/readyz',
          headers: [],
          body: Buffer.alloc(0)
        }),
      ({ status }) => status === 200,
      HEALED - (performance.now() - start)
    )
  }

  const exits = () => mesh.host('one').processes.flatMap(({ death }) => death ?? [])

  it('dies (SIGKILL) in the middle of 200 messages', async () => {
    const act = async () => process.kill(postgres.pid!, 'SIGKILL')
    await mesh.run({
      run: 'killed',
      seed,
      requests: REQUESTS,
      faults: [80, 140].map(at => ({ at, description: 'kill Postgres', act }))
    })
  })

  it('is away: 503 with Retry-After within a second, healed within ten, no exit', async () => {
    await healed('before')
    await postgres.proxy.switch('refuse')
    const start = performance.now()
    const { status, headers, json } = await send('meanwhile')
    expect(performance.now() - start).to.be.below(SOON)
    expect(status).to.equal(503)
    expect(headers['retry-after']).to.match(/^\d+$/)
    expect(json).to.include({ status: 'error' })
    await postgres.proxy.switch('pass')
    await healed('meanwhile')
    expect(exits()).to.deep.equal([])
  })

  it('has no room on its disk in the middle of 200 messages', async function () {
    if (disk === undefined) {
      console.warn('No file system can be mounted here (needs root): a full disk is not tested.')
      this.skip()
    }
    const { fill, empty } = disk
    await mesh.run({
      run: 'full',
      seed,
      requests: REQUESTS,
      faults: [
        { at: 60, description: 'fill the disk of one', act: async () => fill() },
        { at: 180, description: 'make room', act: async () => empty() }
      ]
    })
    await healed('after')
  })
})
