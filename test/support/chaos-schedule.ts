import { scheduler } from 'node:timers/promises'
import type { Fault, FaultMesh } from './fault-mesh.js'
import { HOST_NAMES } from './fault-mesh.js'
import type { SeededRandom } from './random.js'
import type { RedisServer } from './redis-server.js'
import { PROXY_MODES, type TcpProxy } from './tcp-proxy.js'

/** What stands behind the nodes and can be broken too; by position of the hosts. */
export interface Surroundings {
  readonly postgres: readonly { readonly pid: number | undefined }[]
  /** Between each host and its Postgres. */
  readonly databaseProxies: readonly TcpProxy[]
  readonly redis: RedisServer | undefined
}

/** Between two faults, requests. */
const LEAST_BETWEEN = 30
const MOST_BETWEEN = 120
/** How long a fault lasts, ms. */
const SHORTEST = 500
const LONGEST = 6_000

interface Kind {
  readonly name: string
  /** Ends what it began; takes about `duration` ms. */
  act(mesh: FaultMesh, host: number, duration: number): Promise<void>
}

/** Faults of all kinds at random moments, at times several at once: the same for the same random numbers. */
export function planChaos(random: SeededRandom, requests: number, surroundings: Surroundings): Fault[] {
  const kinds = kindsOf(surroundings)
  const faults: Fault[] = []
  for (
    let at = random.between(LEAST_BETWEEN, MOST_BETWEEN);
    at < requests;
    at += random.between(LEAST_BETWEEN, MOST_BETWEEN)
  ) {
    const kind = random.pick(kinds)
    const host = random.between(0, HOST_NAMES.length - 1)
    const duration = random.between(SHORTEST, LONGEST)
    faults.push({
      at,
      description: `at ${at}: ${kind.name}, ${HOST_NAMES[host]}, ${duration} ms`,
      act: mesh => kind.act(mesh, host, duration)
    })
  }
  return faults
}

function kindsOf({ postgres, databaseProxies, redis }: Surroundings): Kind[] {
  const busy = new Set<unknown>()
  /** One thing is broken in one way at a time; a second fault of it meanwhile is none. */
  const alone = async (thing: unknown, work: () => Promise<void>) => {
    if (busy.has(thing)) return
    busy.add(thing)
    try {
      await work()
    } finally {
      busy.delete(thing)
    }
  }
  const misbehaving = (proxy: TcpProxy, mode: (typeof PROXY_MODES)[number], duration: number) =>
    alone(proxy, async () => {
      await proxy.switch(mode, { every: 2 })
      await scheduler.wait(duration)
      await proxy.switch('pass')
      // Connections that are dead without knowing it would outlast the fault.
      proxy.reset()
    })
  const process = (name: string, pick: 'api' | 'worker', restart: boolean): Kind => ({
    name,
    async act(mesh, host, duration) {
      const chosen = mesh.hosts[host]![pick] ?? mesh.hosts[host]!.api
      await alone(chosen, async () => {
        if (restart) await chosen.kill()
        else chosen.freeze()
        await scheduler.wait(duration)
        if (restart) await chosen.start()
        else chosen.thaw()
      })
    }
  })
  const kinds: Kind[] = [
    process('SIGKILL of the API', 'api', true),
    process('SIGKILL of the worker', 'worker', true),
    process('SIGSTOP of the API', 'api', false),
    process('SIGSTOP of the worker', 'worker', false),
    {
      name: 'SIGKILL of Postgres',
      act: async (_, host) => {
        const { pid } = postgres[host]!
        if (pid !== undefined) globalThis.process.kill(pid, 'SIGKILL')
      }
    },
    ...(['refuse', 'black-hole', 'delay'] as const).map(mode => ({
      name: `${mode} before Postgres`,
      act: (_: FaultMesh, host: number, duration: number) =>
        misbehaving(databaseProxies[host]!, mode, duration)
    })),
    ...PROXY_MODES.filter(mode => mode !== 'pass').map(mode => ({
      name: `${mode} before the host`,
      act: (mesh: FaultMesh, host: number, duration: number) =>
        misbehaving(mesh.hosts[host]!.proxy, mode, duration)
    }))
  ]
  if (redis === undefined) return kinds
  return [
    ...kinds,
    { name: 'FLUSHALL', act: () => redis.flush().catch(() => {}) },
    {
      name: 'SIGKILL of Redis',
      act: (_mesh, _host, duration) =>
        alone(redis, async () => {
          await redis.kill()
          await scheduler.wait(duration)
          await redis.start()
        })
    }
  ]
}
