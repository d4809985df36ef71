import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { BenchOptions } from './arguments.js'
import { BenchError } from './bench-error.js'
import { BuiltNode, withFolder } from './built-node.js'
import { checkSamples } from './checks.js'
import type { Session, SignedRequest } from './client.js'
import { describeMachine, type Machine, machineText } from './machine.js'
import { openTarget } from './measure.js'
import { figure, table } from './report.js'
import { newName, sendRequest, type Target, textOf } from './requests.js'
import { databaseOf } from './standard.js'
import { median } from './statistics.js'
import { fire, fireQuietly } from './volley.js'

interface Pause {
  readonly request: string
  /** The longest time in which the node's event loop did nothing else, of one request; ms. */
  readonly median: number
  readonly worst: number
}

export interface PausesResult {
  readonly machine: Machine
  readonly pauses: readonly Pause[]
}

const MEBIBYTE = 2 ** 20
const TIMES = 7
/** The node looks at its event loop this often, ms, and takes a look that is no later for a pause as long as this. */
const RESOLUTION = 10
/** What a payment may have beside the rest of a request of 16 MiB. */
const PAYMENT_BYTES = 16 * MEBIBYTE - 4_096

type Prepare = (user: Session, target: Target) => Promise<SignedRequest>

const REQUESTS: Readonly<Record<string, Prepare>> = {
  'send of 300 bytes': async user => sendRequest(user, user, newName(), textOf(300)),
  'send of 1 MiB': async user => sendRequest(user, user, newName(), textOf(MEBIBYTE)),
  'send with a payment of 16 MiB, as text': async user =>
    withPayment(user, randomBytes(PAYMENT_BYTES / 2).toString('hex')),
  'send with a payment of 16 MiB, as numbers': async user =>
    withPayment(user, [...randomBytes(Math.floor(PAYMENT_BYTES / 4))]),
  'list of 8 MiB': async (user, { connections }) => {
    const messageBox = newName()
    const sent = Array.from({ length: 8 }, () => sendRequest(user, user, messageBox, textOf(MEBIBYTE)))
    await fireQuietly(connections, sent)
    return user.sign('/listMessages', { messageBox })
  }
}

function withPayment(user: Session, tx: unknown): SignedRequest {
  const message = { recipient: user.client.identityKey, messageBox: newName(), body: 'paid' }
  return user.sign('/sendMessage', { message, payment: { tx } })
}

/** For how long one large request holds up everybody else, as the node itself sees it. */
export async function runPauses(options: BenchOptions, say: (text: string) => void): Promise<PausesResult> {
  return withFolder(options.directory, async folder => {
    const machine = describeMachine(folder, await databaseOf(options))
    say(`${machineText(machine)}\n`)
    const { databaseUrl } = options
    const node = await BuiltNode.start({ dataDirectory: join(folder, 'node'), databaseUrl })
    const target = await openTarget(node.url)
    try {
      const pauses: Pause[] = []
      for (const [request, prepare] of Object.entries(REQUESTS)) {
        const times: number[] = []
        for (let i = 0; i < (options.quick ? 1 : TIMES); i++) {
          const prepared = await prepare(target.users[0]!, target)
          await longestPause(node.adminUrl)
          const volley = await fire(target.connections, [prepared], {
            status: 200,
            samples: 1,
            longest: Number.POSITIVE_INFINITY,
            meter: undefined
          })
          times.push(await longestPause(node.adminUrl))
          checkSamples(volley)
        }
        pauses.push({ request, median: median(times), worst: Math.max(...times) })
      }
      return { machine, pauses }
    } finally {
      await target.connections.close()
      await node.stop()
    }
  })
}

/** Since it was asked last, ms. */
async function longestPause(adminUrl: string): Promise<number> {
  const answer = await fetch(`${adminUrl}/metrics`)
  const seconds = /^nodejs_eventloop_lag_max_seconds (\S+)$/m.exec(await answer.text())?.[1]
  if (seconds === undefined) throw new BenchError('The node does not tell the lag of its event loop.')
  return Math.max(0, Number(seconds) * 1000 - RESOLUTION)
}

export function pausesText({ pauses }: PausesResult): string {
  const rows = pauses.map(({ request, median, worst }) => [request, figure(median), figure(worst)])
  return table(['longest pause of the event loop', 'median ms', 'worst ms'], rows)
}
