import { scheduler } from 'node:timers/promises'
import { FaultMesh } from '../support/fault-mesh.js'
import { chosenSeed } from '../support/random.js'
import { REDIS_PROGRAM, RedisServer } from '../support/redis-server.js'

const REQUESTS = 200
/** How long it stays away, ms. */
const AWAY = 1_000

const suite = REDIS_PROGRAM === undefined ? describe.skip : describe
suite('hosts that lose their Redis in the middle of 200 messages', function () {
  // Many processes start and stop; on a busy machine that takes long.
  this.timeout(120_000)
  const seed = chosenSeed()
  let redis: RedisServer
  let mesh: FaultMesh

  before(async () => {
    redis = await RedisServer.start()
    mesh = await FaultMesh.start({ name: 'redis', environment: { REDIS_URL: redis.url } })
  })
  after(async () => {
    await mesh?.remove()
    await redis?.kill()
  })

  it('it forgets everything (FLUSHALL)', async () => {
    const faults = [50, 100, 150].map(at => ({ at, description: 'flush Redis', act: () => redis.flush() }))
    await mesh.run({ run: 'flush', seed, requests: REQUESTS, faults })
  })

  it('it dies (SIGKILL), stays away for a second, and comes back with nothing', async () => {
    const act = async () => {
      await redis.kill()
      await scheduler.wait(AWAY)
      await redis.start()
    }
    await mesh.run({
      run: 'kill',
      seed,
      requests: REQUESTS,
      faults: [{ at: 80, description: 'kill Redis', act }]
    })
  })
})
