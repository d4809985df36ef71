import { isObject } from '../message.js'
import { LIST_KINDS, type ListKind, type ListName } from '../operator-lists.js'
import { type Command, CommandError, parseArguments, required, UsageError } from './command.js'
import { asOperator, OPERATOR_OPTIONS, type OperatorClient, objectsOf } from './operator-client.js'
import type { Output } from './output.js'
import { resolveIdentityKey } from './user-key.js'

const REASON_OPTION = {
  reason: { type: 'string', value: '<text>', help: 'why; shown to nobody but operators' }
} as const
const ADD_OPTIONS = { ...REASON_OPTION, ...OPERATOR_OPTIONS } as const

/** Values of one call. */
const VALUES_AT_ONCE = 1_000

const EFFECT: Readonly<Record<ListName, string>> = {
  block: `An identity that is blocked can neither use the node nor be written to or heard through it; from and to a
host that is blocked (by its identity key) or a domain (and all below it) nothing is taken or sent,
and what waits for it ends as refused. A block wins over an allow.`,
  allow: `As soon as one identity, host or domain is allowed, no other identity may use the node, or no other
host or domain is dealt with. A block wins over an allow.`
}

/** `peerserv block …` and `peerserv allow …`. */
export function addCommand(list: ListName): Command {
  return {
    usage: `${list} identity|host|domain <value>… | ${list} list [identity|host|domain]`,
    description: `${EFFECT[list]}
Holds at once in every process of the running node, and after a restart. '${list} list' shows the
list; 'un${list}' takes off it. To be run on the node's machine, in its environment.`,
    options: ADD_OPTIONS,
    async run(args, surroundings) {
      const { values, positionals } = parseArguments(ADD_OPTIONS, args, Number.POSITIVE_INFINITY)
      const { output, environment } = surroundings
      if (positionals[0] === 'list') {
        if (positionals.length > 2) throw new UsageError(`Unexpected argument '${positionals[2]}'`)
        const kind = positionals[1] === undefined ? undefined : kindOf(positionals[1])
        return asOperator(values, surroundings, client => showList(client, output, list, kind))
      }
      const change = changeOf(list, positionals, environment)
      await asOperator(values, surroundings, client =>
        makeChange(client, output, { ...change, remove: false, reason: values.reason })
      )
    }
  }
}

/** `peerserv unblock …` and `peerserv unallow …`. */
export function removeCommand(list: ListName): Command {
  return {
    usage: `un${list} identity|host|domain <value>…`,
    description: `Takes identities, hosts or domains off the list of '${list}'. Mail that was refused meanwhile stays
refused; what other nodes know is read anew.`,
    options: OPERATOR_OPTIONS,
    async run(args, surroundings) {
      const { values, positionals } = parseArguments(OPERATOR_OPTIONS, args, Number.POSITIVE_INFINITY)
      const change = changeOf(list, positionals, surroundings.environment)
      await asOperator(values, surroundings, client =>
        makeChange(client, surroundings.output, { ...change, remove: true, reason: undefined })
      )
    }
  }
}

interface Change {
  readonly list: ListName
  readonly kind: ListKind
  readonly values: readonly string[]
  readonly remove: boolean
  readonly reason: string | undefined
}

function kindOf(text: string): ListKind {
  const kind = LIST_KINDS.find(known => known === text)
  if (kind === undefined) throw new UsageError(`'${text}' is none of identity, host and domain`)
  return kind
}

function changeOf(
  list: ListName,
  [kindText, ...given]: readonly string[],
  environment: Parameters<typeof resolveIdentityKey>[1]
): Pick<Change, 'list' | 'kind' | 'values'> {
  const kind = kindOf(required(kindText, 'identity, host or domain'))
  required(given[0], '<value>')
  if (given.length > VALUES_AT_ONCE) throw new UsageError(`at most ${VALUES_AT_ONCE} at once`)
  const values = given.map(value =>
    kind === 'domain' ? value.toLowerCase().replace(/\.$/, '') : resolveIdentityKey(value, environment)
  )
  return { list, kind, values }
}

async function makeChange(client: OperatorClient, output: Output, change: Change): Promise<void> {
  const { changed, processes } = await client.post('/operator/changeList', change)
  const { running, applied } = isObject(processes) ? processes : {}
  const { list, kind, values, remove } = change
  const state = remove ? `off the list '${list}'` : list === 'block' ? 'blocked' : 'allowed'
  for (const value of values) {
    output.event(
      { status: 'success', list, kind, value, listed: !remove, processes },
      `${kind} ${value} is ${state}${changed === 0 ? ', as before' : ''}.`
    )
  }
  if (list === 'allow' && !remove)
    output.say(`From now on the node serves no other ${kind} than those it allows.`)
  if (running === applied) return
  throw new CommandError(
    'ERR_PROCESS_BEHIND',
    `The change is made, but only ${applied} of ${running} processes of the node act by it yet; the others will as soon as they run and reach Postgres.`
  )
}

async function showList(
  client: OperatorClient,
  output: Output,
  list: ListName,
  kind: ListKind | undefined
): Promise<void> {
  let shown = 0
  let cursor: unknown
  do {
    const page = await client.post('/operator/readList', { list, kind, cursor, limit: 1_000 })
    for (const entry of objectsOf(page.entries)) {
      const since = new Date(Number(entry.addedAt)).toISOString()
      const why = entry.reason === null ? '' : `  (${entry.reason})`
      output.event(
        entry,
        `${entry.list}  ${String(entry.kind).padEnd(8)}  ${entry.value}  since ${since}${why}`
      )
      shown++
    }
    cursor = page.nextCursor
  } while (cursor !== undefined)
  if (shown === 0) output.say(`Nothing is on the list '${list}'.`)
}
