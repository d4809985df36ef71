import type { AuthenticatedEndpoint } from '../../src/endpoint.js'
import { identityKeyFromBytes } from '../../src/keys/identity-key.js'
import type { FederationContext } from '../context.js'
import {
  type Destination,
  destinationPage,
  findDestination,
  MOST_COUNTED
} from '../storage/destination-pages.js'
import { forgetFailures, holdDomain, releaseDomain } from '../storage/steering.js'
import { type Body, parseBody, parseCursor, parseHost, parseLimit, parseReason } from './operator-requests.js'

/**
 * POST /operator/hosts: the hosts for which something waits, that fail, or that are held.
 *
 * Body: `{limit?, cursor?}`, limit at most 1,000. Answers `{status, hosts: [{host, operatorKey, isProven, waiting,
 * waitingIsMore, underWay, oldestAt, failures, failingSince, lastAnswer, nextAttemptAt, heldAt, heldReason, isServed}],
 * nextCursor?}`. `operatorKey`: the key that the domain proved to this process within the last hour (`isProven`), otherwise
 * the one that the oldest delivery is for, or null; `waiting` is counted up to 10,000 (`waitingIsMore`); times in ms;
 * `isServed` is false where a list of the operator has the domain or the key.
 *
 * Errors: 400 ERR_INVALID_OPERATOR_REQUEST.
 */
export const hosts: AuthenticatedEndpoint<FederationContext> = {
  method: 'POST',
  path: '/operator/hosts',
  authenticated: true,
  async handler(request, context) {
    const body = parseBody(request.json())
    const limit = parseLimit(body)
    const rows = await destinationPage(context.database, context.clock.now(), parseCursor(body) ?? '', limit)
    const last = rows.length === limit ? rows.at(-1) : undefined
    return {
      body: {
        status: 'success',
        hosts: rows.map(row => present(context, row)),
        ...(last === undefined ? {} : { nextCursor: last.domain })
      }
    }
  }
}

/**
 * POST /operator/host: one host.
 *
 * Body: `{host}`, its domain. Answers `{status, host: {…}}`, as in the list; of one that nothing is known of, that.
 *
 * Errors: 400 ERR_INVALID_OPERATOR_REQUEST.
 */
export const host: AuthenticatedEndpoint<FederationContext> = {
  method: 'POST',
  path: '/operator/host',
  authenticated: true,
  handler: (request, context) => shown(context, parseHost(context, parseBody(request.json()).host))
}

/**
 * POST /operator/flushHost: tries all that waits for a host now; if it is failing, one message first, as a probe.
 *
 * Body: `{host}`. Answers `{status, flushed, host: {…}}`: how many wait, and what is known now.
 *
 * Errors: 400 ERR_INVALID_OPERATOR_REQUEST.
 */
export const flushHost: AuthenticatedEndpoint<FederationContext> = {
  method: 'POST',
  path: '/operator/flushHost',
  authenticated: true,
  async handler(request, context) {
    const domain = parseHost(context, parseBody(request.json()).host)
    return shown(context, domain, { flushed: await context.steering.flush(domain) })
  }
}

/**
 * POST /operator/holdHost: nothing goes out to a host until it is released; what waits for it waits, and expires. A call that
 * is under way ends.
 *
 * Body: `{host, reason?}`. Answers `{status, host: {…}}`.
 *
 * Errors: 400 ERR_INVALID_OPERATOR_REQUEST.
 */
export const holdHost: AuthenticatedEndpoint<FederationContext> = {
  method: 'POST',
  path: '/operator/holdHost',
  authenticated: true,
  async handler(request, context) {
    const body: Body = parseBody(request.json())
    const domain = parseHost(context, body.host)
    await holdDomain(context.database, domain, parseReason(body), context.clock.now())
    return shown(context, domain)
  }
}

/**
 * POST /operator/releaseHost: takes that back; what waits goes out as ever.
 *
 * Body: `{host}`. Answers `{status, released, host: {…}}`: whether it was held.
 *
 * Errors: 400 ERR_INVALID_OPERATOR_REQUEST.
 */
export const releaseHost: AuthenticatedEndpoint<FederationContext> = {
  method: 'POST',
  path: '/operator/releaseHost',
  authenticated: true,
  async handler(request, context) {
    const domain = parseHost(context, parseBody(request.json()).host)
    const released = await releaseDomain(context.database, domain)
    context.forwarding.nudge([domain])
    return shown(context, domain, { released })
  }
}

/**
 * POST /operator/forgetHost: forgets the failures of a host. What waits is tried at once, not one message first.
 *
 * Body: `{host}`. Answers `{status, forgotten, host: {…}}`: whether there were any.
 *
 * Errors: 400 ERR_INVALID_OPERATOR_REQUEST.
 */
export const forgetHost: AuthenticatedEndpoint<FederationContext> = {
  method: 'POST',
  path: '/operator/forgetHost',
  authenticated: true,
  async handler(request, context) {
    const domain = parseHost(context, parseBody(request.json()).host)
    const forgotten = await forgetFailures(context.database, domain)
    context.forwarding.nudge([domain])
    return shown(context, domain, { forgotten })
  }
}

async function shown(context: FederationContext, domain: string, beside: object = {}) {
  const row = await findDestination(context.database, context.clock.now(), domain)
  return { body: { status: 'success', ...beside, host: present(context, row) } }
}

function present({ peers, operatorLists }: FederationContext, row: Destination) {
  const shownKey = peers.shownKey(row.domain)
  const operatorKey = shownKey ?? (row.host_key === null ? null : identityKeyFromBytes(row.host_key))
  const isHeld = row.held_at !== null
  return {
    host: row.domain,
    operatorKey,
    isProven: shownKey !== undefined,
    waiting: Math.min(row.depth, MOST_COUNTED),
    waitingIsMore: row.depth > MOST_COUNTED,
    underWay: row.under_way,
    oldestAt: row.oldest_at,
    failures: row.failures ?? 0,
    failingSince: row.failing_since,
    lastAnswer: row.last_answer ?? row.oldest_last_answer,
    nextAttemptAt:
      isHeld || row.oldest_next_attempt_at === null
        ? null
        : Math.max(row.oldest_next_attempt_at, row.backoff_until ?? 0),
    heldAt: row.held_at,
    heldReason: row.held_reason,
    isServed:
      operatorLists.servesDomain(row.domain) &&
      (operatorKey === null || operatorLists.servesHost(operatorKey))
  }
}
