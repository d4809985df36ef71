import { setTimeout as delay } from 'node:timers/promises'
import { allBombs, explode } from './bombs.js'
import { Client, Connections, type PreparedRequest } from './client.js'
import { DRIPS, startAttack } from './hostile-attacks.js'
import { forgedSends, strangersHandshake } from './hostile-requests.js'
import type { Meter } from './meter.js'
import { median } from './statistics.js'
import { fire } from './volley.js'

export interface HostileMemory {
  readonly steps: readonly HostileStep[]
  /** The node's memory at the end by that at the beginning. */
  readonly growth: number
  /** An honest request's time at the end by that at the beginning. */
  readonly slower: number
  /** Of the node, for each connection that drips. */
  readonly connectionBytes: number
}

interface HostileStep {
  readonly what: string
  /** Resident, bytes. */
  readonly node: number
  /** Of honest sends after it, ms. */
  readonly p50: number
}

const REQUESTS = 100_000
const BATCH = 2_000
const AT_ONCE = 16
const BOMBS_AT_ONCE = 4
/** Of each kind. */
const BOMBS = 100
/** Rounds of honest sends, of which the median counts. */
const HONEST_ROUNDS = 3
const SETTLE_MILLISECONDS = 2_000

/** Memory before and after so many handshakes, refusals and bombs, and how fast an honest request is then. */
export async function measureHostileMemory(
  url: string,
  meter: Meter,
  honest: () => Promise<{ p50: number }>,
  isQuick: boolean
): Promise<HostileMemory> {
  const requests = isQuick ? REQUESTS / 100 : REQUESTS
  const bombs = isQuick ? 1 : BOMBS
  const steps: HostileStep[] = []
  const step = async (what: string): Promise<void> => {
    const p50: number[] = []
    for (let round = 0; round < (isQuick ? 1 : HONEST_ROUNDS); round++) p50.push((await honest()).p50)
    await delay(isQuick ? 0 : SETTLE_MILLISECONDS)
    steps.push({ what, node: meter.memory().node, p50: median(p50) })
  }
  const count = (number: number): string => number.toLocaleString('en')

  // Once as much as is measured later: what a node grows to under load is not what is left behind.
  await floodWith(url, strangersHandshake, 200, Math.ceil(requests / 10))
  await floodWith(url, await forgedSends(url, 64), 401, Math.ceil(requests / 10))
  await throwAll(url, Math.ceil(bombs / 10))
  await step('before')
  await floodWith(url, strangersHandshake, 200, requests)
  await step(`after ${count(requests)} handshakes of made-up keys`)
  await floodWith(url, await forgedSends(url, 64), 401, requests)
  await step(`after ${count(requests)} signatures that do not fit`)
  await throwAll(url, bombs)
  await step(`after each bomb ${bombs} times`)
  const [first, last] = [steps[0]!, steps.at(-1)!]
  return {
    steps,
    growth: last.node / first.node,
    slower: last.p50 / first.p50,
    connectionBytes: await measureConnections(url, meter)
  }
}

async function floodWith(
  url: string,
  next: () => PreparedRequest,
  status: number,
  count: number
): Promise<void> {
  const connections = new Connections(url, AT_ONCE)
  for (let sent = 0; sent < count; sent += BATCH) {
    const requests = Array.from({ length: Math.min(BATCH, count - sent) }, next)
    await fire(connections, requests, {
      status,
      samples: 0,
      longest: Number.POSITIVE_INFINITY,
      meter: undefined
    })
  }
  await connections.close()
}

async function throwAll(url: string, times: number): Promise<void> {
  const connections = new Connections(url, 1)
  const session = await new Client('bomber').open(connections)
  await connections.close()
  const all = Array.from({ length: times }, () => allBombs(session))
    .flat()
    .values()
  const work = async (): Promise<void> => {
    for (const bomb of all) await explode(url, bomb)
  }
  await Promise.all(Array.from({ length: BOMBS_AT_ONCE }, work))
}

async function measureConnections(url: string, meter: Meter): Promise<number> {
  const before = meter.memory().node
  const drips = await startAttack('drips', url)
  await delay(SETTLE_MILLISECONDS / 2)
  const during = meter.memory().node
  await drips.stop()
  return Math.max(0, during - before) / DRIPS
}
