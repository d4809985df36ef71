import { join } from 'node:path'
import type { BenchOptions } from './arguments.js'
import { BenchError } from './bench-error.js'
import { withFolder } from './built-node.js'
import { checkArrived, checkLists, checkSamples } from './checks.js'
import { jsonOf, jsonRequest, type PreparedRequest } from './client.js'
import { type GrownNode, grow, LOOKED_UP } from './grown-node.js'
import { BOXES, type GrowthRows, growthRows } from './growth-rows.js'
import { describeMachine, type Machine, machineText } from './machine.js'
import { figure, table } from './report.js'
import { listRequests, sendRequests } from './requests.js'
import { databaseOf } from './standard.js'
import { median } from './statistics.js'
import { fire, type Volley } from './volley.js'

const OPERATIONS = ['send', 'list-100', 'ack', 'lookup'] as const
type GrowthOperation = (typeof OPERATIONS)[number]

interface Cost {
  readonly perSecond: number
  /** Of node and Postgres, ms per request; NaN where it cannot be read. */
  readonly cpu: number
}

interface Growth {
  readonly empty: Cost
  readonly full: Cost
  /** How many times slower the full node is: the median of the rounds, each against its neighbour. */
  readonly slower: number
  /** How many times as much CPU it takes: the steadier of the two on a machine that others use. */
  readonly dearer: number
}

export interface GrowthResult {
  readonly machine: Machine
  readonly rows: GrowthRows
  /** Of the full node's disk, indexes included. */
  readonly bytesPerMessage: number
  readonly operations: Readonly<Record<GrowthOperation, Growth>>
}

const ROUNDS = 5
const REQUESTS: Readonly<Record<GrowthOperation, number>> = {
  send: 2_000,
  'list-100': 600,
  ack: 1_000,
  lookup: 1_000
}
const LONGEST_ROUND = 4_000
const WARM_UP = 300

/** The same requests to an empty node and to a full one, in turn. */
export async function runGrowth(options: BenchOptions, say: (text: string) => void): Promise<GrowthResult> {
  const rows = growthRows(options.rows)
  return withFolder(options.directory, async folder => {
    const machine = describeMachine(folder, await databaseOf(options))
    say(`${machineText(machine)}\n`)
    const empty = await grow(join(folder, 'empty'), undefined, say)
    try {
      const full = await grow(join(folder, 'full'), rows, say)
      try {
        const operations = await compare(empty, full, options.quick)
        return { machine, rows, bytesPerMessage: full.bytesPerMessage, operations }
      } finally {
        await full.stop()
      }
    } finally {
      await empty.stop()
    }
  })
}

async function compare(
  empty: GrownNode,
  full: GrownNode,
  quick: boolean
): Promise<Record<GrowthOperation, Growth>> {
  const divisor = quick ? 10 : 1
  const growths: [GrowthOperation, Growth][] = []
  for (const name of OPERATIONS) {
    for (const node of [empty, full]) await measure(name, node, WARM_UP / divisor)
    const rounds: { empty: Cost; full: Cost }[] = []
    for (let round = 0; round < (quick ? 1 : ROUNDS); round++) {
      rounds.push({
        empty: await measure(name, empty, REQUESTS[name] / divisor),
        full: await measure(name, full, REQUESTS[name] / divisor)
      })
    }
    growths.push([name, growthOf(rounds)])
  }
  await Promise.all([empty, full].map(({ target }) => target.connections.close()))
  return Object.fromEntries(growths) as Record<GrowthOperation, Growth>
}

function growthOf(rounds: readonly { empty: Cost; full: Cost }[]): Growth {
  const costOf = (which: 'empty' | 'full'): Cost => ({
    perSecond: median(rounds.map(round => round[which].perSecond)),
    cpu: median(rounds.map(round => round[which].cpu))
  })
  return {
    empty: costOf('empty'),
    full: costOf('full'),
    slower: median(rounds.map(({ empty, full }) => empty.perSecond / full.perSecond)),
    dearer: median(rounds.map(({ empty, full }) => full.cpu / empty.cpu))
  }
}

async function measure(name: GrowthOperation, node: GrownNode, count: number): Promise<Cost> {
  const { fired, seconds, usage } = await measureVolley(name, node, count)
  const cpu = usage === undefined ? Number.NaN : (usage.node + usage.postgres) / fired
  return { perSecond: fired / seconds, cpu }
}

async function measureVolley(
  name: GrowthOperation,
  node: GrownNode,
  count: number
): Promise<Volley<PreparedRequest>> {
  const { target, meter } = node
  const { connections, users } = target
  const options = { status: 200, samples: 20, longest: LONGEST_ROUND, meter }
  switch (name) {
    case 'send': {
      const requests = sendRequests(users, users, 'send', count)
      const volley = await fire(connections, requests, options)
      checkSamples(volley)
      await checkArrived(target, requests.slice(0, volley.fired))
      return volley
    }
    case 'list-100': {
      const volley = await fire(connections, listRequests(users, 'list', count), options)
      checkLists(volley, BOXES.list)
      return volley
    }
    case 'ack': {
      const volley = await fire(connections, acknowledgeRequests(node, count), options)
      checkSamples(volley)
      for (const { answer } of volley.samples) {
        if (jsonOf(answer).acknowledged !== 1) throw new BenchError('A message was not there.')
      }
      return volley
    }
    case 'lookup': {
      const volley = await fire(connections, lookupRequests(count), options)
      for (const { answer } of volley.samples) {
        const { outputs } = jsonOf(answer)
        if (!Array.isArray(outputs) || outputs.length !== 1) throw new BenchError('A token was not found.')
      }
      return volley
    }
  }
}

function acknowledgeRequests({ target, ids }: GrownNode, count: number) {
  const { users } = target
  return Array.from({ length: count }, (_, i) => {
    const user = users[i % users.length]!
    const messageId = ids.get(user.client.identityKey)?.pop()
    if (messageId === undefined) throw new BenchError('There are no more messages to acknowledge.')
    return user.sign('/acknowledgeMessage', { messageIds: [messageId] })
  })
}

function lookupRequests(count: number): PreparedRequest[] {
  return Array.from({ length: count }, (_, i) =>
    jsonRequest('/lookup', {
      service: 'ls_phip',
      query: { recipient: LOOKED_UP[i % LOOKED_UP.length]!.identityKey }
    })
  )
}

export function growthText({ rows, bytesPerMessage, operations }: GrowthResult): string {
  const { messages, boxes, tokens } = rows
  const [m, b, t] = [messages, boxes, tokens].map(count => count.toLocaleString('en'))
  const lines = OPERATIONS.map(name => {
    const { empty, full, slower, dearer } = operations[name]
    const costs = [empty.perSecond, full.perSecond, slower, empty.cpu, full.cpu, dearer]
    return [name, ...costs.map(figure)]
  })
  return [
    `An empty node, and one with ${m} messages in ${b} boxes and ${t} tokens, CPU of node and Postgres:`,
    table(
      ['operation', 'empty per s', 'full per s', 'slower', 'empty CPU ms', 'full CPU ms', 'dearer'],
      lines
    ),
    `A message takes ${figure(bytesPerMessage)} bytes of disk, indexes included.`
  ].join('\n\n')
}
