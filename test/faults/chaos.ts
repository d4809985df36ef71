import { parseArgs } from 'node:util'
import { planChaos } from '../support/chaos-schedule.js'
import { FaultMesh, HOST_NAMES } from '../support/fault-mesh.js'
import { describeVerdict } from '../support/oracle.js'
import { startProxiedPostgres } from '../support/proxied-postgres.js'
import { chosenSeed, SeededRandom } from '../support/random.js'
import { REDIS_PROGRAM, RedisServer } from '../support/redis-server.js'

/*
 * `npm run test:chaos`: everything that can go wrong at once, for as long as one likes; docs/testing.md tells how to
 * use it. Exit code 0 if nothing was lost or doubled, 1 otherwise.
 */
const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '10000' },
    minutes: { type: 'string', default: '0' },
    seed: { type: 'string' },
    redis: { type: 'boolean', default: false }
  }
})
const messages = Number(values.messages)
const end = performance.now() + Number(values.minutes) * 60_000
const SETTLED_WITHIN = 180_000

if (values.redis && REDIS_PROGRAM === undefined) throw new Error('There is no redis-server on PATH.')
const redis = values.redis ? await RedisServer.start() : undefined
const postgres = await Promise.all(HOST_NAMES.map(() => startProxiedPostgres()))
const surroundings = { postgres, databaseProxies: postgres.map(({ proxy }) => proxy), redis }
let mesh: FaultMesh | undefined

try {
  mesh = await FaultMesh.start({
    name: 'chaos',
    databases: postgres,
    environment: redis === undefined ? {} : { REDIS_URL: redis.url }
  })
  let seed = values.seed === undefined ? chosenSeed() : Number(values.seed)
  do {
    console.log(`seed ${seed}, ${messages} requests`)
    const faults = planChaos(new SeededRandom(seed), messages, surroundings).map(fault => ({
      ...fault,
      act(target: FaultMesh) {
        console.log(`  ${fault.description}`)
        return fault.act(target)
      }
    }))
    const run = { run: `chaos ${seed}`, seed, requests: messages, faults, patience: SETTLED_WITHIN }
    const verdict = await mesh.judge(run)
    const deaths = mesh.hosts.flatMap(({ processes }) => processes).flatMap(({ death }) => death ?? [])
    console.log([...deaths, describeVerdict(verdict, 20)].join('\n'))
    if (verdict.violations.length > 0 || deaths.length > 0) {
      process.exitCode = 1
      console.log(`FAILED; again with: npm run test:chaos -- --messages ${messages} --seed ${seed}`)
      break
    }
    seed = (seed + 1) >>> 0
  } while (performance.now() < end)
} finally {
  await mesh?.remove()
  await Promise.all(postgres.map(one => one.stop()))
  await redis?.kill()
}
// What hangs half open to a process that was killed must not keep this one.
process.exit()
