import { scheduler } from 'node:timers/promises'
import { exchange } from './client.js'
import type { RoundRobin } from './round-robin.js'

/** Between two looks at the same server, ms: what load balancers usually do, only faster. */
const INTERVAL = 200

/** Keeps a proxy away from servers that say that they are not ready, until `stop`. */
export function watchReadiness(proxy: RoundRobin, servers: readonly string[]): { stop(): Promise<void> } {
  let stopped = false
  const isReady = async (server: string) => {
    const request = { method: 'GET', target: '/readyz', headers: [], body: Buffer.alloc(0) }
    const answer = await exchange(server, request, INTERVAL * 5).catch(() => undefined)
    return answer?.status === 200
  }
  const watch = async () => {
    while (!stopped) {
      const ready = await Promise.all(servers.map(isReady))
      proxy.upstreams = servers.filter((_, i) => ready[i])
      await scheduler.wait(INTERVAL)
    }
  }
  const watching = watch()
  return {
    async stop() {
      stopped = true
      await watching
    }
  }
}
