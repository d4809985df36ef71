import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { BenchOptions } from './arguments.js'
import { BenchError } from './bench-error.js'
import { BuiltNode, withFolder } from './built-node.js'
import { Client } from './client.js'
import { LiveClient } from './live-client.js'
import { describeMachine, type Machine, machineText } from './machine.js'
import { Meter } from './meter.js'
import { figure, mebibytes, table } from './report.js'
import { databaseOf } from './standard.js'
import { quantile } from './statistics.js'

export interface SocketsResult {
  readonly machine: Machine
  readonly count: number
  /** From the moment at which a client was to connect until it was authenticated, ms. */
  readonly p50: number
  readonly p99: number
  /** Connected a second, the last included. */
  readonly rate: number
  /** CPU of the node for each, ms. */
  readonly cpu: number
  /** Resident memory of the node before and after, bytes. */
  readonly before: number
  readonly after: number
  /** For each idle socket, bytes. */
  readonly bytes: number
}

/** A second. */
const RATE = 200
/** Sockets that come and go before anything is measured: what a node grows to once is not theirs. */
const WARM_UP = 400
/** In which a node collects what connecting has left, ms. */
const SETTLE_MILLISECONDS = 20_000

/** What idle authenticated sockets of as many users cost one process, and how long connecting takes. */
export async function runSockets(options: BenchOptions, say: (text: string) => void): Promise<SocketsResult> {
  return withFolder(options.directory, async folder => {
    const machine = describeMachine(folder, await databaseOf(options))
    say(`${machineText(machine)}\n`)
    const node = await BuiltNode.start({
      dataDirectory: join(folder, 'node'),
      databaseUrl: options.databaseUrl
    })
    try {
      const meter = Meter.of([node.pid])
      if (meter === undefined) throw new BenchError('Memory can be read on Linux only.')
      const settle = options.quick ? 0 : SETTLE_MILLISECONDS
      const warm = await connectAll(node.url, 'warm', Math.min(WARM_UP, options.sockets))
      for (const client of warm.clients) client.close()
      await delay(settle)
      const before = meter.memory().node
      meter.start()
      const { clients, latencies, seconds } = await connectAll(node.url, 'live', options.sockets)
      const { node: cpu } = meter.stop()
      await delay(settle)
      const after = meter.memory().node
      const count = clients.filter(({ isOpen }) => isOpen).length
      for (const client of clients) client.close()
      if (count < options.sockets) throw new BenchError(`${options.sockets - count} sockets were closed.`)
      const [p50, p99] = [quantile(latencies, 0.5), quantile(latencies, 0.99)]
      return {
        ...{ machine, count, p50, p99, rate: count / seconds, cpu: cpu / count },
        ...{ before, after, bytes: (after - before) / count }
      }
    } finally {
      await node.stop()
    }
  })
}

async function connectAll(url: string, name: string, count: number) {
  const users = Array.from({ length: count }, (_, i) => new Client(`${name} ${i}`))
  const latencies: number[] = []
  const begin = performance.now()
  const opening: Promise<LiveClient>[] = []
  for (const [i, user] of users.entries()) {
    const due = begin + (i * 1_000) / RATE
    const early = due - performance.now()
    if (early > 0) await delay(early)
    const opened = LiveClient.open(url, user)
    // From when it was due: a node that holds up those who come later must not look fast.
    opened.then(() => latencies.push(performance.now() - due)).catch(() => undefined)
    opened.catch(() => undefined)
    opening.push(opened)
  }
  const clients = await Promise.all(opening)
  return { clients, latencies, seconds: (performance.now() - begin) / 1_000 }
}

export function socketsText(result: Omit<SocketsResult, 'machine'>): string {
  const { count, p50, p99, rate, cpu, before, after, bytes } = result
  const row = [count.toLocaleString('en'), ...[rate, p50, p99, cpu].map(figure)]
  return [
    table(
      ['sockets', 'connects/s', 'p50 ms', 'p99 ms', 'node CPU ms', 'before MiB', 'after MiB', 'KiB each'],
      [[...row, mebibytes(before), mebibytes(after), figure(bytes / 1024)]]
    ),
    'Of as many users, idle, each authenticated. Connecting counts from when it was due. Clients share the cores.'
  ].join('\n\n')
}
