import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createLogger } from '../src/logger.js'
import { startEmbeddedPostgres } from '../src/storage/embedded-postgres.js'
import type { BenchOptions } from './arguments.js'
import { BenchError } from './bench-error.js'
import { BuiltNode, makeFolder, withFolder } from './built-node.js'
import { keepTrack } from './cleanup.js'
import { Connections, type Session } from './client.js'
import { addHostsOf, countDeliveries } from './growth-rows.js'
import { ATTACKS, type AttackName, DRIPS } from './hostile-attacks.js'
import { type HostileMemory, measureHostileMemory } from './hostile-memory.js'
import { MANY_HOSTS } from './hostile-requests.js'
import { describeMachine, type Machine, machineText } from './machine.js'
import { usersOf } from './measure.js'
import { Meter } from './meter.js'
import { prepareOperation } from './operations.js'
import { figure, mebibytes, table } from './report.js'
import type { Target } from './requests.js'
import { databaseOf } from './standard.js'
import { median, quantile } from './statistics.js'

/** Of honest sends, ms. */
interface Latency {
  readonly p50: number
  readonly p99: number
}

interface UnderAttack extends Latency {
  /** By those of the same rounds without an attack. */
  readonly slower: Latency
  /** Requests of the attack a second; of drips: connections opened in all. */
  readonly attacks: number
}

export interface HostileResult {
  readonly machine: Machine
  readonly alone: Latency
  readonly under: Readonly<Record<AttackName, UnderAttack>>
  /** Rows that are written for each message to somebody of 10,000 hosts. */
  readonly deliveries: number
  readonly memory: HostileMemory
}

/** What the node runs with: its limits are those of a public node, and attackers say where they come from. */
export const HOSTILE_ENVIRONMENT = { TRUSTED_PROXIES: '127.0.0.1,::1', LIMIT_RATE_ADDRESS: '600' }

/** Of the recipient whom one of the attacks writes to. */
const TOKENS = 10_000
const ROUNDS = 3
const SENDS = 1_500
/** No faster than this, however many are to be sent, ms. */
const LONGEST = 6_000
/** Few enough that what is measured is how long one waits, and not how much the machine can do. */
const CONCURRENCY = 4

/** What honest users notice while others do their worst, attack by attack, and what is left of it in memory. */
export async function runHostile(options: BenchOptions, say: (text: string) => void): Promise<HostileResult> {
  return withFolder(options.directory, async folder => {
    const machine = describeMachine(folder, await databaseOf(options))
    say(`${machineText(machine)}\n`)
    const logger = createLogger('warn')
    const postgres =
      options.databaseUrl === undefined
        ? await startEmbeddedPostgres({ dataDirectory: makeFolder(join(folder, 'postgres')), logger })
        : undefined
    const stopPostgres = keepTrack(async () => postgres?.stop())
    const databaseUrl = options.databaseUrl ?? postgres!.connectionString
    let node: BuiltNode | undefined
    try {
      node = await BuiltNode.start({
        dataDirectory: join(folder, 'node'),
        databaseUrl,
        environment: HOSTILE_ENVIRONMENT
      })
      await addHostsOf(databaseUrl, MANY_HOSTS, TOKENS)
      const meter = Meter.of([node.pid])
      if (meter === undefined) throw new BenchError('Memory can be read on Linux only.')
      const target = await openTarget(node.url)
      const sends = options.quick ? SENDS / 10 : SENDS
      await honestSends(target, sends)
      const rounds = options.quick ? 1 : ROUNDS
      const latencies = await measureAttacks(node.url, target, sends, rounds)
      const deliveries = await countDeliveries(databaseUrl)
      const memory = await measureHostileMemory(
        node.url,
        meter,
        () => honestSends(target, sends),
        options.quick
      )
      await target.connections.close()
      return { machine, ...latencies, deliveries: deliveries / latencies.toMany, memory }
    } finally {
      await node?.stop()
      await stopPostgres()
    }
  })
}

async function openTarget(url: string): Promise<Target> {
  const connections = new Connections(url, CONCURRENCY)
  const users: Session[] = []
  for (const user of usersOf('honest', 16)) users.push(await user.open(connections))
  return { connections, users }
}

/** Sends, and sees that all of it arrived. */
async function honestSends(target: Target, count: number): Promise<Latency> {
  const prepared = await prepareOperation('send', target, count)
  const { latencies } = await prepared.fire({ samples: 20, longest: LONGEST, meter: undefined })
  return { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) }
}

async function measureAttacks(url: string, target: Target, sends: number, rounds: number) {
  const alone: Latency[] = []
  let toMany = 0
  const under = new Map(ATTACKS.map(name => [name, [] as UnderAttack[]]))
  for (let round = 0; round < rounds; round++) {
    for (const name of ATTACKS) {
      const before = await honestSends(target, sends)
      const during = await attacked(name, url, () => honestSends(target, sends))
      alone.push(before)
      if (name === 'tokens') toMany += during.count
      under.get(name)!.push({
        ...during,
        slower: { p50: during.p50 / before.p50, p99: during.p99 / before.p99 }
      })
    }
  }
  const medians = [...under].map(([name, measured]) => [
    name,
    {
      ...medianOf(measured),
      slower: medianOf(measured.map(({ slower }) => slower)),
      attacks: median(measured.map(({ attacks }) => attacks))
    }
  ])
  return { toMany, alone: medianOf(alone), under: Object.fromEntries(medians) as HostileResult['under'] }
}

function medianOf(measured: readonly Latency[]): Latency {
  return { p50: median(measured.map(({ p50 }) => p50)), p99: median(measured.map(({ p99 }) => p99)) }
}

/** Does the work while another process attacks. */
export async function attacked<T extends object>(
  name: AttackName,
  url: string,
  work: () => Promise<T>
): Promise<T & { attacks: number; count: number }> {
  const program = join(import.meta.dirname, 'hostile-attacker.ts')
  const attacker = fork(program, [name, url], { execArgv: ['--import', 'tsx'] })
  const kill = keepTrack(async () => void attacker.kill('SIGKILL'))
  try {
    const failed = once(attacker, 'exit').then(() =>
      Promise.reject(new BenchError(`The attacker of ${name} ended.`))
    )
    failed.catch(() => undefined)
    await Promise.race([once(attacker, 'message'), failed])
    const begin = performance.now()
    const done = await work()
    attacker.send('stop')
    const [count] = await Promise.race([once(attacker, 'message'), failed])
    const seconds = (performance.now() - begin) / 1_000
    return {
      ...done,
      count: Number(count),
      attacks: name === 'drips' ? Number(count) : Number(count) / seconds
    }
  } finally {
    await kill()
  }
}

const WHAT: Readonly<Record<AttackName, string>> = {
  drips: `${DRIPS.toLocaleString('en')} connections that drip headers`,
  'bad-signatures': 'signatures that do not fit, from everywhere',
  handshakes: 'handshakes of made-up keys, from everywhere',
  bombs: 'bombs of more than 100 kinds',
  limited: 'requests of an address that may not ask any more',
  tokens: `messages to one of ${TOKENS.toLocaleString('en')} hosts`
}

export function hostileText({ alone, under, deliveries, memory }: Omit<HostileResult, 'machine'>): string {
  const rows = ATTACKS.map(name => {
    const { p50, p99, slower, attacks } = under[name]
    const rate = name === 'drips' ? `${figure(attacks)} in all` : `${figure(attacks)}/s`
    return [WHAT[name], rate, figure(p50), figure(p99), figure(slower.p50), figure(slower.p99)]
  })
  const steps = memory.steps.map(({ what, node, p50 }) => [what, mebibytes(node), figure(p50)])
  return [
    table(
      ['honest sends beside', 'attack', 'p50 ms', 'p99 ms', 'p50 slower', 'p99 slower'],
      [['nothing', '-', figure(alone.p50), figure(alone.p99), '-', '-'], ...rows]
    ),
    `${CONCURRENCY} honest requests at a time. "slower": by the honest sends just before, median of the rounds. All processes
share the cores of this machine, the attackers too.`,
    `A message to somebody of ${TOKENS.toLocaleString('en')} hosts is planned ${figure(deliveries)} times.`,
    table(['memory', 'node MiB', 'honest p50 ms'], steps),
    `After all of it the node holds ${figure(memory.growth)} times what it held before, and an honest request takes ${figure(memory.slower)} times as long.
A connection that drips costs it ${figure(memory.connectionBytes / 1024)} KiB.`
  ].join('\n\n')
}
