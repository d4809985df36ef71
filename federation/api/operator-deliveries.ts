import type { AuthenticatedEndpoint } from '../../src/endpoint.js'
import { ApiError } from '../../src/errors.js'
import { identityKeyBytes, identityKeyFromBytes } from '../../src/keys/identity-key.js'
import { shownMessageId } from '../../src/message.js'
import type { FederationContext } from '../context.js'
import { deliveryPage, findDelivery, type ShownDelivery } from '../storage/delivery-pages.js'
import {
  invalidCursor,
  parseBody,
  parseChoice,
  parseCursor,
  parseHost,
  parseIds,
  parseKey,
  parseLimit
} from './operator-requests.js'

const STATES = ['pending', 'delivered', 'refused', 'expired', 'any'] as const

/**
 * POST /operator/deliveries: what this node has to bring, or has brought, to other hosts.
 *
 * Body: `{state?, host?, recipient?, sender?, limit?, cursor?}`; `state` is `pending` where absent, `any` for all; `host` a
 * domain; limit at most 1,000. Answers `{status, deliveries: [{id, host, operatorKey, recipient, sender, messageBox,
 * messageId, state, attempts, nextAttemptAt, isUnderWay, isHeld, lastAnswer, createdAt, finishedAt, expiresAt}],
 * nextCursor?}`, times in ms, `nextAttemptAt` null where there is none to come. While there is a `nextCursor` there may be
 * more, even after an empty page: each looks at a bounded number of rows.
 *
 * Errors: 400 ERR_INVALID_OPERATOR_REQUEST.
 */
export const deliveries: AuthenticatedEndpoint<FederationContext> = {
  method: 'POST',
  path: '/operator/deliveries',
  authenticated: true,
  async handler(request, context) {
    const body = parseBody(request.json())
    const state = parseChoice(body, 'state', STATES) ?? 'pending'
    const key = (name: 'recipient' | 'sender') =>
      body[name] === undefined ? undefined : identityKeyBytes(parseKey(context, name, body[name]))
    const filter = {
      state: state === 'any' ? undefined : state,
      domain: body.host === undefined ? undefined : parseHost(context, body.host),
      recipient: key('recipient'),
      sender: key('sender')
    }
    const page = await deliveryPage(context.database, filter, parseCursor(body), parseLimit(body))
    if (page === undefined) throw invalidCursor()
    const now = context.clock.now()
    return {
      body: {
        status: 'success',
        deliveries: page.deliveries.map(delivery => present(delivery, now)),
        ...(page.cursor === undefined ? {} : { nextCursor: page.cursor })
      }
    }
  }
}

/**
 * POST /operator/delivery: one delivery.
 *
 * Body: `{ids: [id]}`. Answers `{status, delivery}`, as in the list.
 *
 * Errors: 400 ERR_INVALID_OPERATOR_REQUEST; 404 ERR_DELIVERY_NOT_FOUND.
 */
export const delivery: AuthenticatedEndpoint<FederationContext> = {
  method: 'POST',
  path: '/operator/delivery',
  authenticated: true,
  async handler(request, { database, clock }) {
    const [id] = parseIds(parseBody(request.json()))
    const found = await findDelivery(database, id!)
    if (found === undefined) {
      throw new ApiError(404, 'ERR_DELIVERY_NOT_FOUND', `There is no delivery ${id} (any more).`)
    }
    return { body: { status: 'success', delivery: present(found, clock.now()) } }
  }
}

/**
 * POST /operator/retryDeliveries: tries pending deliveries now; the wait of their hosts ends.
 *
 * Body: `{ids: […]}`, at most 1,000. Answers `{status, retried: [id, …]}`: those that are pending.
 *
 * Errors: 400 ERR_INVALID_OPERATOR_REQUEST.
 */
export const retryDeliveries: AuthenticatedEndpoint<FederationContext> = {
  method: 'POST',
  path: '/operator/retryDeliveries',
  authenticated: true,
  async handler(request, { steering }) {
    const retried = await steering.retry(parseIds(parseBody(request.json())))
    return { body: { status: 'success', retried } }
  }
}

/**
 * POST /operator/dropDeliveries: ends pending deliveries as refused. The next host of the recipient takes their place; where
 * there is none, the sender is told (protocol section 6).
 *
 * Body: `{ids: […]}`, at most 1,000. Answers `{status, dropped: [id, …]}`; one that is not among them had ended, or is in a
 * call right now.
 *
 * Errors: 400 ERR_INVALID_OPERATOR_REQUEST.
 */
export const dropDeliveries: AuthenticatedEndpoint<FederationContext> = {
  method: 'POST',
  path: '/operator/dropDeliveries',
  authenticated: true,
  async handler(request, { steering }) {
    const dropped = await steering.drop(parseIds(parseBody(request.json())))
    return { body: { status: 'success', dropped } }
  }
}

function present(row: ShownDelivery, now: number) {
  const isPending = row.state === 'pending'
  return {
    id: row.id,
    host: row.domain,
    operatorKey: identityKeyFromBytes(row.host_key),
    recipient: identityKeyFromBytes(row.recipient),
    sender: identityKeyFromBytes(row.sender),
    messageBox: row.message_box,
    messageId: shownMessageId(row.message_id),
    /** False: another host handed the message to this one, and its sender gets no report from here. */
    firstHand: row.first_hand,
    state: row.state,
    attempts: row.attempts,
    nextAttemptAt: isPending && !row.held ? Math.max(row.next_attempt_at, row.backoff_until ?? 0) : null,
    isUnderWay: isPending && (row.claimed_until ?? 0) > now,
    isHeld: isPending && row.held,
    lastAnswer: row.last_answer,
    createdAt: row.created_at,
    finishedAt: row.finished_at,
    expiresAt: row.expires_at
  }
}
