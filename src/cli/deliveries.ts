import { systemClock } from '../context.js'
import {
  type Command,
  CommandError,
  parseArguments,
  required,
  type Surroundings,
  UsageError
} from './command.js'
import type { JsonObject } from './node-client.js'
import { asOperator, OPERATOR_OPTIONS, type OperatorClient, objectsOf } from './operator-client.js'
import { type Output, shortKey } from './output.js'
import { timeSpan } from './time-span.js'
import { resolveIdentityKey } from './user-key.js'

const OPTIONS = {
  host: { type: 'string', value: '<domain>', help: 'only to this host' },
  recipient: { type: 'string', value: '<key>', help: 'only for this recipient' },
  sender: { type: 'string', value: '<key>', help: 'only of this sender' },
  state: {
    type: 'string',
    value: '<state>',
    help: 'pending (default), delivered, refused, expired or any; for list'
  },
  limit: { type: 'string', value: '<n>', help: 'deliveries at most (default: 100); for list' },
  cursor: { type: 'string', value: '<cursor>', help: 'go on where another list ended; for list' },
  ...OPERATOR_OPTIONS
} as const

type Values = ReturnType<typeof parseArguments<typeof OPTIONS>>['values']

/** Deliveries of one call. */
const PAGE = 1_000
/** Calls of one list: each looks at a thousand rows; whoever needs more goes on with the cursor. */
const MOST_CALLS = 1_000

export const deliveries: Command = {
  usage: `deliveries [list] | show <id> | retry <id>… | drop <id>… | flush <domain>`,
  description: `What the node has to bring to other hosts. 'retry' tries deliveries now; 'drop' ends them as refused, by id or
all that a filter names: their message goes to the recipient's next host, or its sender is told;
'flush' tries everything for a host now, one message first if it has been failing.
To be run on the node's machine, in its environment.`,
  options: OPTIONS,
  async run(args, surroundings) {
    const { values, positionals } = parseArguments(OPTIONS, args, Number.POSITIVE_INFINITY)
    const [action = 'list', ...rest] = positionals
    const work = ACTIONS[action]
    if (work === undefined) throw new UsageError(`there is no 'deliveries ${action}'`)
    await work(rest, values, surroundings)
  }
}

type Action = (rest: readonly string[], values: Values, surroundings: Surroundings) => Promise<void>

const ACTIONS: Readonly<Partial<Record<string, Action>>> = {
  async list(rest, values, surroundings) {
    none(rest)
    const limit = Number(values.limit ?? 100)
    if (!Number.isSafeInteger(limit) || limit < 1) throw new UsageError('--limit is a positive number')
    const filter = { ...filterOf(values, surroundings), state: values.state }
    await asOperator(values, surroundings, client =>
      list(client, surroundings.output, filter, values.cursor, limit)
    )
  },

  async show(rest, values, surroundings) {
    const ids = idsOf(rest)
    if (ids.length > 1) throw new UsageError('show takes one id')
    const { output } = surroundings
    const answer = await asOperator(values, surroundings, client =>
      client.post('/operator/delivery', { ids })
    )
    for (const delivery of objectsOf([answer.delivery])) {
      output.event(delivery, Object.entries(delivery).map(memberLine).join('\n'))
    }
  },

  async retry(rest, values, surroundings) {
    const ids = idsOf(rest)
    const { retried } = await asOperator(values, surroundings, client =>
      client.post('/operator/retryDeliveries', { ids })
    )
    tell(surroundings.output, 'retried', ids, retried, 'tried now', 'Not pending')
  },

  async drop(rest, values, surroundings) {
    const { output } = surroundings
    const filter = filterOf(values, surroundings)
    if (Object.values(filter).some(value => value !== undefined)) {
      none(rest)
      const { dropped, left } = await asOperator(values, surroundings, client => dropAll(client, filter))
      output.event({ status: 'success', dropped, left }, `${dropped} dropped.`)
      if (left > 0) output.complain(`${left} are in a call right now; look at them again in half a minute.`)
      return
    }
    const ids = idsOf(rest)
    const { dropped } = await asOperator(values, surroundings, client =>
      client.post('/operator/dropDeliveries', { ids })
    )
    tell(output, 'dropped', ids, dropped, 'dropped', 'Ended already, or in a call right now')
  },

  async flush([domain, ...rest], values, surroundings) {
    none(rest)
    const host = required(domain, '<domain>')
    const { flushed } = await asOperator(values, surroundings, client =>
      client.post('/operator/flushHost', { host })
    )
    surroundings.output.event({ status: 'success', host, flushed }, `${flushed} for ${host} are tried now.`)
  }
}

function none(rest: readonly string[]): void {
  if (rest.length > 0) throw new UsageError(`Unexpected argument '${rest[0]}'`)
}

function idsOf(rest: readonly string[]): number[] {
  required(rest[0], '<id>')
  if (rest.length > PAGE) throw new UsageError(`at most ${PAGE} ids at once`)
  return rest.map(text => {
    if (!/^[1-9]\d{0,14}$/.test(text)) throw new UsageError(`'${text}' is no id of a delivery`)
    return Number(text)
  })
}

function filterOf({ host, recipient, sender }: Values, { environment }: Surroundings) {
  const key = (text: string | undefined) =>
    text === undefined ? undefined : resolveIdentityKey(text, environment)
  return { host, recipient: key(recipient), sender: key(sender) }
}

async function list(
  client: OperatorClient,
  output: Output,
  filter: object,
  from: string | undefined,
  limit: number
): Promise<void> {
  let left = limit
  let cursor: unknown = from
  for (let calls = 0; left > 0 && calls < MOST_CALLS; calls++) {
    const page = await client.post('/operator/deliveries', { ...filter, cursor, limit: Math.min(left, PAGE) })
    const found = objectsOf(page.deliveries)
    for (const delivery of found) output.event(delivery, deliveryLine(delivery))
    left -= found.length
    cursor = page.nextCursor
    if (cursor === undefined) break
  }
  if (left === limit && cursor === undefined) output.say('There are none.')
  if (cursor !== undefined) output.event({ nextCursor: cursor }, `There may be more: --cursor ${cursor}`)
}

/** Page by page, so that what comes meanwhile is dropped too; what is in a call is left. */
async function dropAll(client: OperatorClient, filter: object): Promise<{ dropped: number; left: number }> {
  let dropped = 0
  let left = 0
  let cursor: unknown
  do {
    const page = await client.post('/operator/deliveries', {
      ...filter,
      state: 'pending',
      cursor,
      limit: PAGE
    })
    const ids = objectsOf(page.deliveries).map(({ id }) => id)
    cursor = page.nextCursor
    if (ids.length === 0) continue
    const answer = await client.post('/operator/dropDeliveries', { ids })
    const count = Array.isArray(answer.dropped) ? answer.dropped.length : 0
    dropped += count
    left += ids.length - count
  } while (cursor !== undefined)
  return { dropped, left }
}

/** One line for each id, and a failure if one of them did not. */
function tell(
  output: Output,
  name: string,
  ids: readonly number[],
  done: unknown,
  success: string,
  failure: string
): void {
  const set = new Set(Array.isArray(done) ? done : [])
  const failed = ids.filter(id => !set.has(id))
  for (const id of ids) {
    if (set.has(id)) output.event({ status: 'success', id, [name]: true }, `${id} is ${success}.`)
  }
  if (failed.length > 0)
    throw new CommandError('ERR_DELIVERY_NOT_PENDING', `${failure}: ${failed.join(', ')}.`)
}

function deliveryLine(delivery: JsonObject): string {
  const { id, host, recipient, sender, messageBox, messageId, state, attempts, lastAnswer } = delivery
  const now = systemClock.now()
  const answer = lastAnswer === null ? '' : `: ${lastAnswer}`
  const next = state === 'pending' ? `, ${nextOf(delivery, now)}` : ''
  const who = `${shortKey(String(sender))} to ${shortKey(String(recipient))}`
  return `${id}  ${host}  ${who}, ${messageBox} ${messageId}  ${state} since ${timeSpan(Number(delivery.createdAt), now)}, tried ${attempts} times${answer}${next}`
}

function nextOf({ isUnderWay, isHeld, nextAttemptAt }: JsonObject, now: number): string {
  if (isUnderWay === true) return 'in a call now'
  if (isHeld === true) return 'held'
  const next = Number(nextAttemptAt)
  return next <= now ? 'due now' : `next try in ${timeSpan(now, next)}`
}

function memberLine([name, value]: [string, unknown]): string {
  const shown = name.endsWith('At') && typeof value === 'number' ? new Date(value).toISOString() : value
  return `${name.padEnd(14)} ${shown}`
}
