import { setTimeout as delay } from 'node:timers/promises'
import type { AuthenticatedEndpoint } from '../../src/endpoint.js'
import { ApiError } from '../../src/errors.js'
import { identityKeyBytes } from '../../src/keys/identity-key.js'
import { LIST_KINDS, LIST_NAMES, type ListKind, MOST_ENTRIES } from '../../src/operator-lists.js'
import {
  changeOperatorList,
  type ListChange,
  listsProcesses,
  operatorListPage
} from '../../src/storage/operator-lists.js'
import type { FederationContext } from '../context.js'
import { parseDomain } from '../phip/domain.js'
import { domainsOfOperators } from '../storage/operators.js'
import {
  type Body,
  invalidCursor,
  invalidRequest,
  parseBody,
  parseChoice,
  parseCursor,
  parseKey,
  parseLimit,
  parseReason
} from './operator-requests.js'

/** Values of one change. */
const MOST_VALUES = 1_000
/** How long the answer waits for processes that have not read the change yet, as one that hangs. */
const PATIENCE_MILLISECONDS = 2_000
const PAUSE_MILLISECONDS = 10
/** Domains of one operator whose pending mail is looked at at once. */
const DOMAINS_OF_ONE = 100

/**
 * POST /operator/changeList: puts identities, hosts or domains on the list of the blocked or of the allowed, or takes them
 * off it.
 *
 * Body: `{list: "block" | "allow", kind: "identity" | "host" | "domain", values: […], remove?: true, reason?}`, 1 to 1,000
 * values: identity keys, or domains. Answers `{status, changed, processes: {running, applied}}` when the change is committed
 * and every process of the node acts by it (`applied` = `running`), or after 2 s.
 *
 * Errors: 400 ERR_INVALID_OPERATOR_REQUEST, also for this node itself; 409 ERR_TOO_MANY_ENTRIES beyond 100,000 in all.
 */
export const changeList: AuthenticatedEndpoint<FederationContext> = {
  method: 'POST',
  path: '/operator/changeList',
  authenticated: true,
  async handler(request, context) {
    const { database, clock } = context
    const change = parseChange(context, parseBody(request.json()))
    const { changed, revision } = await changeOperatorList(database, change, clock.now(), MOST_ENTRIES)
    if (changed === undefined) {
      throw new ApiError(409, 'ERR_TOO_MANY_ENTRIES', `The lists hold ${MOST_ENTRIES} entries in all.`)
    }
    const processes = await untilApplied(context, revision)
    if (changed > 0) await follow(context, change)
    return { body: { status: 'success', changed, processes } }
  }
}

/**
 * POST /operator/readList: one of the lists.
 *
 * Body: `{list, kind?, limit?, cursor?}`, limit at most 1,000. Answers `{status, entries: [{list, kind, value, reason,
 * addedAt}], nextCursor?}`, `addedAt` in ms.
 *
 * Errors: 400 ERR_INVALID_OPERATOR_REQUEST.
 */
export const readList: AuthenticatedEndpoint<FederationContext> = {
  method: 'POST',
  path: '/operator/readList',
  authenticated: true,
  async handler(request, { database }) {
    const body = parseBody(request.json())
    const list = parseChoice(body, 'list', LIST_NAMES)
    if (list === undefined) throw invalidRequest('"list" must be "block" or "allow"')
    const limit = parseLimit(body)
    const after = parsePosition(parseCursor(body))
    const kind = parseChoice(body, 'kind', LIST_KINDS)
    const entries = await operatorListPage(database, list, kind, after, limit)
    const last = entries.length === limit ? entries.at(-1) : undefined
    return {
      body: {
        status: 'success',
        entries: entries.map(({ added_at: addedAt, ...entry }) => ({ ...entry, addedAt })),
        ...(last === undefined ? {} : { nextCursor: `${last.kind} ${last.value}` })
      }
    }
  }
}

function parsePosition(cursor: string | undefined): { kind: string; value: string } {
  if (cursor === undefined) return { kind: '', value: '' }
  const [kind, value, ...rest] = cursor.split(' ')
  if (kind === undefined || value === undefined || rest.length > 0) throw invalidCursor()
  return { kind, value }
}

function parseChange(context: FederationContext, body: Body): ListChange {
  const list = parseChoice(body, 'list', LIST_NAMES)
  const kind = parseChoice(body, 'kind', LIST_KINDS)
  if (list === undefined || kind === undefined) throw invalidRequest('"list" and "kind" must be given')
  const { values, remove = false } = body
  if (typeof remove !== 'boolean') throw invalidRequest('"remove" must be true or false')
  if (!Array.isArray(values) || values.length === 0 || values.length > MOST_VALUES) {
    throw invalidRequest(`"values" must be an array of 1 to ${MOST_VALUES}`)
  }
  const parsed = new Set(values.map(value => parseValue(context, kind, value)))
  if (list === 'block' && !remove) refuseSelf(context, parsed)
  return { list, kind, values: [...parsed], remove, reason: parseReason(body) }
}

function parseValue(context: FederationContext, kind: ListKind, value: unknown): string {
  if (kind !== 'domain') return parseKey(context, 'values', value)
  // A single label is a whole top level domain, which no token names, and an entry may.
  const domain = typeof value === 'string' ? parseDomain(value, 'local') : undefined
  const hasPort = domain?.ok === true && domain.value.includes(':')
  if (domain?.ok && (context.config.network === 'local' || !hasPort)) return domain.value
  throw invalidRequest('"values" must be lower-case domains without scheme, port, path or trailing dot')
}

function refuseSelf({ keys, config }: FederationContext, values: ReadonlySet<string>): void {
  if (values.has(keys.identityKey) || values.has(config.publicDomain))
    throw invalidRequest('This node itself cannot be blocked')
}

/** Every process says in pg_stat_activity which revision it has; this one is among them. */
async function untilApplied({ database }: FederationContext, revision: number) {
  for (let waited = 0; ; waited += PAUSE_MILLISECONDS) {
    const processes = await listsProcesses(database, revision)
    if (processes.applied === processes.running || waited >= PATIENCE_MILLISECONDS) return processes
    await delay(PAUSE_MILLISECONDS)
  }
}

/** What follows at once where it would follow later anyway; a node that ends in between loses nothing but time. */
async function follow(context: FederationContext, { list, kind, values, remove }: ListChange): Promise<void> {
  const opens = (list === 'block') === remove
  if (opens) return context.overlay.readAgain()
  if (kind === 'domain') return context.steering.flushBlocked(undefined)
  if (kind === 'host' && list === 'block') {
    const domains = await domainsOfOperators(context.database, values.map(identityKeyBytes), DOMAINS_OF_ONE)
    return context.steering.flushBlocked(domains)
  }
}
