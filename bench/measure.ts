import { Client, Connections, type Session } from './client.js'
import type { Meter } from './meter.js'
import { type OperationName, prepareOperation } from './operations.js'
import type { Target } from './requests.js'
import { median, quantile } from './statistics.js'

export const CONCURRENCY = 16
const USERS = 16
/** Answers checked of each round. */
const SAMPLES = 50
/** Of a round; the compilers of V8 are busy until each operation was done some thousand times. */
const WARM_UP_PART = 1

/** Of one operation. Times in ms, CPU per request. */
export interface Figures {
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
  readonly nodeCpu: number | undefined
  readonly postgresCpu: number | undefined
}

/** Requests in one round: about a second's worth on two cores. */
export const ROUND: Readonly<Record<OperationName, number>> = {
  send: 4_000,
  'list-100': 1_000,
  'list-1': 4_000,
  ack: 3_000,
  handshake: 4_000,
  'bad-signature': 4_000,
  'send-1MiB': 80
}
/** No round takes longer, ms; on a slow machine it has fewer requests. */
const LONGEST_ROUND = 2_500

/** Users who have shaken hands with a node. */
export async function openTarget(
  url: string,
  users: readonly Client[] = usersOf('user', USERS)
): Promise<Target> {
  const connections = new Connections(url, CONCURRENCY)
  const sessions: Session[] = []
  for (const user of users) sessions.push(await user.open(connections))
  return { connections, users: sessions }
}

export function usersOf(name: string, count: number): Client[] {
  return Array.from({ length: count }, (_, i) => new Client(`${name} ${i}`))
}

/** One round of an operation: prepared, measured, verified. */
export async function measureRound(
  name: OperationName,
  target: Target,
  count: number,
  meter: Meter | undefined
): Promise<Figures> {
  const prepared = await prepareOperation(name, target, count)
  const volley = await prepared.fire({ samples: SAMPLES, longest: LONGEST_ROUND, meter })
  return {
    perSecond: volley.fired / volley.seconds,
    p50: quantile(volley.latencies, 0.5),
    p99: quantile(volley.latencies, 0.99),
    nodeCpu: volley.usage && volley.usage.node / volley.fired,
    postgresCpu: volley.usage && volley.usage.postgres / volley.fired
  }
}

/** Compiled and with warm caches, the node does what it will do for days. */
export async function warmUp(
  names: readonly OperationName[],
  target: Target,
  countOf: (name: OperationName) => number
): Promise<void> {
  for (const name of names) {
    await measureRound(name, target, Math.ceil(countOf(name) * WARM_UP_PART), undefined)
  }
}

/** Each figure's median over the rounds. */
export function medianFigures(rounds: readonly Figures[]): Figures {
  const of = (pick: (figures: Figures) => number | undefined): number | undefined => {
    const values = rounds.map(pick).filter(value => value !== undefined)
    return values.length === 0 ? undefined : median(values)
  }
  return {
    perSecond: of(({ perSecond }) => perSecond) ?? Number.NaN,
    p50: of(({ p50 }) => p50) ?? Number.NaN,
    p99: of(({ p99 }) => p99) ?? Number.NaN,
    nodeCpu: of(({ nodeCpu }) => nodeCpu),
    postgresCpu: of(({ postgresCpu }) => postgresCpu)
  }
}
