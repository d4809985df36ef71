import { ApiError } from '../../src/errors.js'
import type { IdentityKey } from '../../src/keys/identity-key.js'
import { identityKeyBytes } from '../../src/keys/identity-key.js'
import { isOperator } from '../storage/operators.js'
import { postponeReconciliation } from '../storage/reconciliations.js'
import { INTERVAL } from './comparing.js'
import type { SyncContext } from './context.js'
import { judgeOffered, planForHost } from './differences.js'
import {
  type AnsweredRange,
  type AskedRange,
  ITEMS_AT_MOST,
  PARTS,
  parseReconcileRequest,
  presentAnswer
} from './reconcile-call.js'
import type { SharedSets } from './shared-set.js'

/** Seconds after which a host that is being answered may ask again. */
const RETRY_AFTER = 1

/** The answering half of a comparison: keeps nothing between calls. */
export class ReconciliationAnswers {
  readonly #context: SyncContext
  readonly #sets: SharedSets
  /** Hosts that are being answered: each waits for its own answer. */
  readonly #busy = new Set<IdentityKey>()

  constructor(context: SyncContext, sets: SharedSets) {
    this.#context = context
    this.#sets = sets
  }

  /**
   * Answers one call of another host.
   *
   * @param body parsed JSON
   * @throws ApiError 400 ERR_INVALID_RECONCILIATION, 403 ERR_NOT_A_HOST, 429 ERR_RECONCILIATION_BUSY
   */
  async answer(caller: IdentityKey, body: unknown): Promise<object> {
    const request = parseReconcileRequest(body)
    if (this.#busy.has(caller)) {
      throw new ApiError(
        429,
        'ERR_RECONCILIATION_BUSY',
        'An earlier call of this host is being answered; one at a time.',
        { retryAfter: RETRY_AFTER },
        { 'Retry-After': String(RETRY_AFTER) }
      )
    }
    this.#busy.add(caller)
    try {
      const { clock, config, database } = this.#context
      const host = identityKeyBytes(caller)
      if (!(await isOperator(database, host))) {
        throw new ApiError(403, 'ERR_NOT_A_HOST', 'Only hosts with a live token of a recipient compare.')
      }
      const { timeToLive } = config.limits
      const lag = Math.max(0, timeToLive - request.timeToLive) * 1000
      const ranges: AnsweredRange[] = []
      for (const range of request.ranges) ranges.push(await this.#answerRange(host, range, lag))
      const wanted = await judgeOffered(this.#context, host, request.offers)
      await planForHost(this.#context, host, request.wants)
      if (request.ranges.some(({ from }) => from === '')) {
        // This comparison serves both.
        await postponeReconciliation(database, host, clock.now() + INTERVAL)
      }
      return presentAnswer({ timeToLive, ranges, wanted })
    } finally {
      this.#busy.delete(caller)
    }
  }

  async #answerRange(host: Buffer, asked: AskedRange, lag: number): Promise<AnsweredRange> {
    const { items, until } = await this.#sets.load(host, asked.from, asked.until, lag)
    const own = items.fingerprint(asked.from, until)
    if (until === asked.until && own.count === asked.count && own.fingerprint === asked.fingerprint) {
      return { until, same: true }
    }
    if (own.count <= ITEMS_AT_MOST) return { until, items: items.items(asked.from, until) }
    return { until, parts: items.split(asked.from, until, PARTS) }
  }
}
