import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { authorizeRouting, authorizeSending } from '../src/cli/authorizations.js'
import { NodeClient } from '../src/cli/node-client.js'
import { findHosts } from '../src/cli/recipient-hosts.js'
import type { BenchOptions } from './arguments.js'
import { BenchError } from './bench-error.js'
import { BuiltNode, freePort, withFolder } from './built-node.js'
import { messagesOf } from './checks.js'
import type { Client, Session } from './client.js'
import { describeMachine, type Machine, machineText } from './machine.js'
import { openTarget, usersOf } from './measure.js'
import { Meter } from './meter.js'
import { figure, table } from './report.js'
import {
  MESSAGE_BYTES,
  type SendRequest,
  sendRequest,
  sendRequests,
  type Target,
  textOf
} from './requests.js'
import { databaseOf } from './standard.js'
import { median, quantile } from './statistics.js'
import { fire } from './volley.js'

export interface MeshResult {
  readonly machine: Machine
  /** From the call of /sendMessage at one node until a list at the other shows the message, ms. */
  readonly latency: { readonly messages: number; readonly p50: number; readonly p99: number }
  readonly sustained: SustainedFigures
}

/** Of messages sent as fast as the first node takes them. CPU in ms per message. */
interface SustainedFigures {
  readonly messages: number
  /** Until the last one was readable at the other node. */
  readonly perSecond: number
  readonly acceptedPerSecond: number
  readonly senderNodeCpu: number | undefined
  readonly senderPostgresCpu: number | undefined
  readonly receiverNodeCpu: number | undefined
  readonly receiverPostgresCpu: number | undefined
}

const USERS = 16
const IDLE_MESSAGES = 200
const SUSTAINED_MESSAGES = 3_000
const ROUNDS = 3
/** Between two looks into a box that the message is not in yet: more would keep the node busy. */
const LOOK_MILLISECONDS = 1
/** Between two looks at all boxes while messages pour in. */
const SWEEP_MILLISECONDS = 100
/** Between two messages of an idle mesh. */
const PAUSE_MILLISECONDS = 20
/** A message that takes longer is lost. */
const LOST_MILLISECONDS = 60_000

/** Two nodes that know each other; senders live at the first, recipients at the second. */
interface Mesh {
  readonly from: Target
  readonly to: Target
  readonly fromMeter: Meter | undefined
  readonly toMeter: Meter | undefined
}

/** What it costs when a message is for somebody at another host. */
export async function runMesh(options: BenchOptions, say: (text: string) => void): Promise<MeshResult> {
  return withFolder(options.directory, async folder => {
    const machine = describeMachine(folder, await databaseOf(options))
    say(`${machineText(machine)}\n`)
    const nodes = await startPair(folder)
    try {
      const mesh = await joinPair(nodes)
      const divisor = options.quick ? 10 : 1
      await sustain(mesh, SUSTAINED_MESSAGES / 10)
      const latencies = await measureIdle(mesh, IDLE_MESSAGES / divisor)
      const rounds: SustainedFigures[] = []
      for (let round = 0; round < (options.quick ? 1 : ROUNDS); round++) {
        rounds.push(await sustain(mesh, SUSTAINED_MESSAGES / divisor))
      }
      await Promise.all([mesh.from.connections.close(), mesh.to.connections.close()])
      const middle = median(rounds.map(({ perSecond }) => perSecond))
      return {
        machine,
        latency: {
          messages: latencies.length,
          p50: quantile(latencies, 0.5),
          p99: quantile(latencies, 0.99)
        },
        sustained: rounds.find(({ perSecond }) => perSecond === middle)!
      }
    } finally {
      await Promise.all(nodes.map(node => node.stop()))
    }
  })
}

async function startPair(folder: string): Promise<readonly [BuiltNode, BuiltNode]> {
  const [first, second] = [await freePort(), await freePort()]
  const start = (name: string, port: number, peer: number): Promise<BuiltNode> =>
    BuiltNode.start({
      dataDirectory: join(folder, name),
      environment: { PORT: String(port), PEERS: `http://localhost:${peer}` }
    })
  const a = await start('a', first, second)
  try {
    return [a, await start('b', second, first)]
  } catch (error) {
    await a.stop()
    throw error
  }
}

/** Senders authorize the first node, recipients the second, and the first has heard of all of them. */
async function joinPair([a, b]: readonly [BuiltNode, BuiltNode]): Promise<Mesh> {
  const senders = usersOf('sender', USERS)
  const recipients = usersOf('recipient', USERS)
  for (const sender of senders) await withNodeClient(a, sender, client => authorizeSending(client))
  for (const recipient of recipients) {
    await withNodeClient(b, recipient, client => authorizeRouting(client, undefined))
  }
  for (const { identityKey } of recipients) {
    await withNodeClient(a, senders[0]!, async client => {
      await until(async () => (await findHosts(client, identityKey)).hosts.length > 0)
    })
  }
  return {
    from: await openTarget(a.url, senders),
    to: await openTarget(b.url, recipients),
    fromMeter: Meter.of([a.pid]),
    toMeter: Meter.of([b.pid])
  }
}

async function withNodeClient(
  node: BuiltNode,
  user: Client,
  work: (client: NodeClient) => Promise<unknown>
): Promise<void> {
  const client = new NodeClient(node.url, user.keys)
  try {
    await work(client)
  } finally {
    client.close()
  }
}

async function measureIdle({ from, to }: Mesh, count: number): Promise<number[]> {
  const latencies: number[] = []
  for (let i = 0; i < count; i++) {
    const recipient = to.users[(i * 7) % to.users.length]!
    const request = sendRequest(from.users[i % from.users.length]!, recipient, 'idle', textOf(MESSAGE_BYTES))
    const begin = performance.now()
    requireForwarded(await from.connections.send(request))
    await until(async () => (await idsListed(to, recipient, 'idle')).includes(request.messageId))
    latencies.push(performance.now() - begin)
    await recipient.post(to.connections, '/acknowledgeMessage', { messageIds: [request.messageId] })
    await delay(PAUSE_MILLISECONDS)
  }
  return latencies
}

function requireForwarded({ status, body }: { status: number; body: Buffer }): void {
  if (status !== 200 || !body.includes('"delivery":"forwarding"')) {
    throw new BenchError(`The message is not forwarded: ${status} ${body}`)
  }
}

async function idsListed(to: Target, recipient: Session, messageBox: string): Promise<unknown[]> {
  const page = await recipient.post(to.connections, '/listMessages', { messageBox })
  return messagesOf(page).map(({ messageId }) => messageId)
}

async function sustain(mesh: Mesh, count: number): Promise<SustainedFigures> {
  const { from, to, fromMeter, toMeter } = mesh
  const messageBox = `sustained-${randomBytes(4).toString('hex')}`
  const requests = sendRequests(from.users, to.users, messageBox, count)
  fromMeter?.start()
  toMeter?.start()
  const begin = performance.now()
  const options = { status: 200, samples: 20, longest: LOST_MILLISECONDS, meter: undefined }
  const [volley] = await Promise.all([
    fire(from.connections, requests, options),
    untilAllListed(to, requests, messageBox)
  ])
  const seconds = (performance.now() - begin) / 1000
  const [sending, receiving] = [fromMeter?.stop(), toMeter?.stop()]
  for (const { request, answer } of volley.samples) request.session.check(request, answer)
  return {
    messages: count,
    perSecond: count / seconds,
    acceptedPerSecond: count / volley.seconds,
    senderNodeCpu: sending && sending.node / count,
    senderPostgresCpu: sending && sending.postgres / count,
    receiverNodeCpu: receiving && receiving.node / count,
    receiverPostgresCpu: receiving && receiving.postgres / count
  }
}

/** Recipients read on from where they were, until everybody has everything that is for him. */
async function untilAllListed(
  to: Target,
  requests: readonly SendRequest[],
  messageBox: string
): Promise<void> {
  const missing = new Set<unknown>(requests.map(({ messageId }) => messageId))
  const cursors = new Map<Session, unknown>()
  const end = performance.now() + LOST_MILLISECONDS
  while (missing.size > 0) {
    await delay(SWEEP_MILLISECONDS)
    if (performance.now() > end) throw new BenchError(`${missing.size} messages did not arrive.`)
    for (const recipient of to.users) {
      const cursor = cursors.get(recipient)
      const page = await recipient.post(to.connections, '/listMessages', { messageBox, cursor })
      for (const { messageId } of messagesOf(page)) missing.delete(messageId)
      if (page.nextCursor !== undefined) cursors.set(recipient, page.nextCursor)
    }
  }
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + LOST_MILLISECONDS
  while (!(await isSo())) {
    if (performance.now() > end) throw new BenchError('A message, or the news of a host, did not arrive.')
    await delay(LOOK_MILLISECONDS)
  }
}

export function meshText({ latency, sustained }: MeshResult): string {
  const { senderNodeCpu, senderPostgresCpu, receiverNodeCpu, receiverPostgresCpu } = sustained
  return [
    `Idle: a message is readable at the other node after ${figure(latency.p50)} ms (p50), ${figure(latency.p99)} ms (p99), of ${latency.messages}.`,
    `Sustained: ${figure(sustained.perSecond)} messages a second from send to readable (the first node accepts ${figure(sustained.acceptedPerSecond)} a second).`,
    table(
      ['CPU ms per message', 'node', 'Postgres'],
      [
        ['sending side', figure(senderNodeCpu), figure(senderPostgresCpu)],
        ['receiving side', figure(receiverNodeCpu), figure(receiverPostgresCpu)]
      ]
    )
  ].join('\n\n')
}
