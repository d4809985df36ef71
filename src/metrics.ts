import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { ListKind } from './operator-lists.js'
import type { Resource } from './rates/rates.js'

/**
 * How an attempt to hand something on ended; `impostor`: the domain belongs to another key than its token says; `skipped`,
 * beside `deferred`: the message no longer holds its lane.
 */
export type AttemptResult = 'delivered' | 'refused' | 'deferred' | 'failing' | 'impostor' | 'skipped'

/** What waits for other hosts. */
export interface Backlog {
  readonly queued: number
  readonly skipped: number
  readonly oldestSeconds: number
  readonly failingDomains: number
}

/**
 * Why a token was not used: its domain proved another key, or had proven one within the hour and was not asked; or the index
 * said something that the token itself does not.
 */
export type PassedOverReason = 'wrong-identity' | 'other-key-known' | 'not-verified'

/** What the node counts, in Prometheus's terms (docs/operations.md lists the names). */
export interface Metrics {
  /** A request was answered: the endpoint's path, or `other`; seconds since its headers arrived. */
  request(path: string, status: number, seconds: number): void
  /** A delivery was attempted. */
  attempt(result: AttemptResult): void
  /** A PHIP token was not used for a delivery. */
  tokenPassedOver(reason: PassedOverReason): void
  /** A push to a device was attempted. */
  pushed(service: string, result: 'pushed' | 'gone' | 'failed'): void
  /** A request (or one recipient of one) was refused because of a rate. */
  rateLimited(resource: Resource): void
  /** Something was refused because of a list of the operator. */
  blocked(kind: ListKind): void
  /** From now on asks for the backlog whenever metrics are read. */
  watchBacklog(read: () => Promise<Backlog>): void
  /** Everything, in the text format of `contentType`. */
  text(): Promise<string>
  readonly contentType: string
}

/** From a tenth of a millisecond, below which no signed request can be answered, to the deadline of handlers. */
const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 25]

/** Also counts what the process uses: CPU, memory, the event loop's lag. */
export function createMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const requests = new Histogram({
    name: 'peerserv_http_request_seconds',
    help: 'Requests answered, by endpoint and status.',
    labelNames: ['path', 'status'],
    buckets: SECONDS,
    registers: [registry]
  })
  const attempts = new Counter({
    name: 'peerserv_delivery_attempts_total',
    help: 'Attempts to hand a message to another host, by how they ended.',
    labelNames: ['result'],
    registers: [registry]
  })
  const passedOver = new Counter({
    name: 'peerserv_tokens_passed_over_total',
    help: 'PHIP tokens that were not used for a delivery, by why.',
    labelNames: ['reason'],
    registers: [registry]
  })
  const pushes = new Counter({
    name: 'peerserv_pushes_total',
    help: 'Attempts to push to a device, by service and how they ended.',
    labelNames: ['service', 'result'],
    registers: [registry]
  })
  const rateLimited = new Counter({
    name: 'peerserv_rate_limited_total',
    help: 'Requests refused because they came too often, by what was counted.',
    labelNames: ['resource'],
    registers: [registry]
  })
  const blocked = new Counter({
    name: 'peerserv_blocked_total',
    help: 'Refusals because of a list of the operator, by the kind of list.',
    labelNames: ['kind'],
    registers: [registry]
  })
  const gauge = (name: string, help: string, labelNames: readonly string[] = []) =>
    new Gauge({ name, help, labelNames, registers: [registry] })
  const pending = gauge('peerserv_deliveries_pending', 'Deliveries that wait, by what they wait as.', [
    'kind'
  ])
  const oldest = gauge('peerserv_deliveries_oldest_seconds', 'Age of the oldest delivery that waits.')
  const failing = gauge('peerserv_domains_failing', 'Domains that are left alone or probed.')
  let readBacklog: (() => Promise<Backlog>) | undefined
  const observe = (backlog: Backlog): void => {
    pending.set({ kind: 'queued' }, backlog.queued)
    pending.set({ kind: 'skipped' }, backlog.skipped)
    oldest.set(backlog.oldestSeconds)
    failing.set(backlog.failingDomains)
  }
  return {
    request: (path, status, seconds) => requests.observe({ path, status }, seconds),
    attempt: result => attempts.inc({ result }),
    tokenPassedOver: reason => passedOver.inc({ reason }),
    pushed: (service, result) => pushes.inc({ service, result }),
    rateLimited: resource => rateLimited.inc({ resource }),
    blocked: kind => blocked.inc({ kind }),
    watchBacklog(read) {
      readBacklog = read
    },
    async text() {
      // The other figures are worth telling while the database is away.
      await readBacklog?.().then(observe, () => {
        for (const unknown of [pending, oldest, failing]) unknown.reset()
      })
      return registry.metrics()
    },
    contentType: registry.contentType
  }
}
