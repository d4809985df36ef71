import { systemClock } from '../context.js'
import { isObject } from '../message.js'
import { type Command, parseArguments, required, type Surroundings, UsageError } from './command.js'
import type { JsonObject } from './node-client.js'
import { asOperator, OPERATOR_OPTIONS, objectsOf } from './operator-client.js'
import { timeSpan } from './time-span.js'

const OPTIONS = {
  reason: { type: 'string', value: '<text>', help: 'why; for hold' },
  limit: { type: 'string', value: '<n>', help: 'hosts at most (default: 1000); for list' },
  cursor: { type: 'string', value: '<domain>', help: 'go on behind this one; for list' },
  ...OPERATOR_OPTIONS
} as const

type Values = ReturnType<typeof parseArguments<typeof OPTIONS>>['values']

const PAGE = 1_000

export const hosts: Command = {
  usage: `hosts [list] | show|hold|release|forget <domain>`,
  description: `What the node knows of the hosts it delivers to: those for which something waits, that fail, or that
are held. 'hold' lets nothing go out to a host until 'release'; its mail waits, and expires.
'forget' forgets its failures, so that everything is tried at once ('deliveries flush' sends one
message first). To be run on the node's machine, in its environment.`,
  options: OPTIONS,
  async run(args, surroundings) {
    const { values, positionals } = parseArguments(OPTIONS, args, 2)
    const [action = 'list', domain] = positionals
    if (action === 'list') {
      if (domain !== undefined) throw new UsageError(`Unexpected argument '${domain}'`)
      return list(values, surroundings)
    }
    const path = PATHS[action]
    if (path === undefined) throw new UsageError(`there is no 'hosts ${action}'`)
    if (values.reason !== undefined && action !== 'hold') throw new UsageError('--reason is for hold')
    const body = { host: required(domain, '<domain>'), reason: values.reason }
    const answer = await asOperator(values, surroundings, client => client.post(path, body))
    const host = isObject(answer.host) ? answer.host : {}
    const note = NOTES[action]?.(answer)
    if (note !== undefined) surroundings.output.say(note)
    surroundings.output.event({ ...answer, ...host, host: body.host }, hostLine(host))
  }
}

const PATHS: Readonly<Partial<Record<string, string>>> = {
  show: '/operator/host',
  hold: '/operator/holdHost',
  release: '/operator/releaseHost',
  forget: '/operator/forgetHost'
}

const NOTES: Readonly<Partial<Record<string, (answer: JsonObject) => string | undefined>>> = {
  release: ({ released }) => (released === true ? undefined : 'It was not held.'),
  forget: ({ forgotten }) => (forgotten === true ? undefined : 'There were no failures to forget.')
}

async function list(values: Values, surroundings: Surroundings): Promise<void> {
  const { output } = surroundings
  const limit = Number(values.limit ?? PAGE)
  if (!Number.isSafeInteger(limit) || limit < 1) throw new UsageError('--limit is a positive number')
  await asOperator(values, surroundings, async client => {
    let left = limit
    let cursor: unknown = values.cursor
    do {
      const page = await client.post('/operator/hosts', { cursor, limit: Math.min(left, PAGE) })
      const found = objectsOf(page.hosts)
      for (const host of found) output.event(host, hostLine(host))
      left -= found.length
      cursor = page.nextCursor
    } while (cursor !== undefined && left > 0)
    if (left === limit) output.say('Nothing waits, no host fails, none is held.')
    if (cursor !== undefined) output.event({ nextCursor: cursor }, `There are more: --cursor ${cursor}`)
  })
}

/** Everything in one line. */
function hostLine(host: JsonObject): string {
  const now = systemClock.now()
  return [`${host.host}  ${waitingOf(host, now)}`, ...remarks(host, now)].join('; ')
}

function waitingOf({ waiting, waitingIsMore, oldestAt, underWay }: JsonObject, now: number): string {
  if (waiting === 0) return 'nothing waits'
  const oldest = `oldest since ${timeSpan(Number(oldestAt), now)}`
  const calls = underWay === 0 ? '' : `, ${underWay} in calls now`
  return `${waiting}${waitingIsMore === true ? ' and more' : ''} wait, ${oldest}${calls}`
}

function* remarks(host: JsonObject, now: number): Generator<string> {
  const { failures, failingSince, lastAnswer, heldAt, heldReason, nextAttemptAt, operatorKey } = host
  if (failures === 0) yield 'no failures'
  else yield `failed ${failures} times since ${timeSpan(Number(failingSince), now)}`
  if (lastAnswer !== null) yield `last answer ${lastAnswer}`
  if (heldAt !== null) {
    yield `HELD since ${timeSpan(Number(heldAt), now)}${heldReason === null ? '' : ` (${heldReason})`}`
  } else if (nextAttemptAt !== null) {
    const next = Number(nextAttemptAt)
    yield next <= now ? 'due now' : `next try in ${timeSpan(now, next)}`
  }
  if (host.isServed === false) yield 'BLOCKED'
  if (operatorKey !== null) yield `operator ${operatorKey}${host.isProven === true ? ' (proven)' : ''}`
}
