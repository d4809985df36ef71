import { identityKeyBytes, identityKeyFromBytes } from '../../src/keys/identity-key.js'
import type { PeerHost } from '../channel/peer-client.js'
import { blameHost } from '../delivery/host-failure.js'
import { judgeFailure } from '../delivery/outcome.js'
import { servesHost } from '../delivery/settle.js'
import { claimReconciliation, endReconciliation, type ReconciliationEnd } from '../storage/reconciliations.js'
import type { SyncContext } from './context.js'
import { judgeOffered, planForHost } from './differences.js'
import { type ItemKey, type ItemSet, partsOf } from './item-set.js'
import {
  type AnsweredRange,
  type AskedRange,
  OFFERS_AT_MOST,
  parseReconcileAnswer,
  presentRequest,
  RANGES_AT_MOST,
  RECIPIENTS_AT_MOST,
  type ReconcileAnswer,
  type ReconcileRequest
} from './reconcile-call.js'
import type { SharedSets } from './shared-set.js'

/** What a host must name in its document to be compared with. */
export const RECONCILIATION = 'reconciliation'

/** From one comparison of a pair to the next, ms. */
export const INTERVAL = 10 * 60_000
/** Until one that the other host would not answer is tried again, ms: its index may not know the tokens of both yet. */
const AGAIN_AFTER = 15_000
/** Until one that had more to do than it may goes on, ms. */
const GO_ON_AFTER = 5_000
/** A claim outlasts every comparison, ms. */
const CLAIM_MILLISECONDS = 10 * 60_000
/** Calls of one comparison, and differences that it settles. */
const CALLS_AT_MOST = 100
const DIFFERENCES_AT_MOST = 5_000
const ANSWER_BYTES = 512 * 1024
const ANSWER_JSON = { depth: 8, members: 5_000 }

/** The other host answered, but not so that the comparison can go on. */
class ComparisonError extends Error {
  constructor(
    message: string,
    readonly againAfter: number
  ) {
    super(message)
  }
}

/** Compares with a host, if it is time and nobody else does; a failure belongs to the host. */
export async function reconcile(context: SyncContext, sets: SharedSets, hostKey: string): Promise<void> {
  const { clock, database, logger, random } = context
  const host = identityKeyBytes(hostKey)
  const begin = clock.now()
  const turn = await claimReconciliation(database, host, begin, begin + CLAIM_MILLISECONDS)
  if (turn === undefined) return
  const { domain, claim, resume_at: resumeAt } = turn
  const end = (how: ReconciliationEnd) => endReconciliation(database, host, claim, how)
  const unfinished = (nextAt: number) =>
    end({ nextAt, finishedAt: undefined, resumeAt: resumeAt ?? undefined })
  try {
    if (
      !servesHost(context.operatorLists, host, domain) ||
      !(await context.extensions.has(domain, RECONCILIATION))
    ) {
      await unfinished(begin + INTERVAL)
      return
    }
    const comparison = new Comparison(context, sets, host, domain)
    const rest = await comparison.run(resumeAt === null ? '' : resumeAt.toString('hex'))
    const now = clock.now()
    const nextAt = rest === undefined ? now + INTERVAL * (1 + random() / 10) : now + GO_ON_AFTER
    await end({
      nextAt: Math.round(nextAt),
      finishedAt: now,
      resumeAt: rest === undefined ? undefined : Buffer.from(rest, 'hex')
    })
    const { differences, calls } = comparison
    if (differences > 0) logger.info({ domain, differences, calls }, 'hosts differed')
  } catch (error) {
    const now = clock.now()
    await unfinished(now + (error instanceof ComparisonError ? error.againAfter : INTERVAL))
    if (error instanceof ComparisonError) {
      logger.info({ domain, reason: error.message }, 'a comparison ended early')
      return
    }
    const attempt = judgeFailure(error)
    if (attempt.host !== 'failing') return
    await blameHost(context, { domain, operatorKey: host, beganAt: begin, attempt })
  }
}

/** The asking half: walks down the ranges that differ, and settles what it finds. */
class Comparison {
  differences = 0
  calls = 0
  readonly #context: SyncContext
  readonly #sets: SharedSets
  readonly #host: Buffer
  readonly #peer: PeerHost

  constructor(context: SyncContext, sets: SharedSets, host: Buffer, domain: string) {
    this.#context = context
    this.#sets = sets
    this.#host = host
    this.#peer = { domain, operatorKey: identityKeyFromBytes(host) }
  }

  /** Compares everything from there on; answers where it stopped, undefined at the end of everything. */
  async run(start: ItemKey): Promise<ItemKey | undefined> {
    const { timeToLive } = await this.#call({})
    const lag = Math.max(0, this.#context.config.limits.timeToLive - timeToLive) * 1000
    for (let from = start; ; ) {
      const { items, until } = await this.#sets.load(this.#host, from, undefined, lag)
      const rest = await this.#compare(items, from, until)
      if (rest !== undefined) return rest
      if (until === undefined) return undefined
      if (this.#isExhausted()) return until
      from = until
    }
  }

  #isExhausted(): boolean {
    return this.calls >= CALLS_AT_MOST || this.differences >= DIFFERENCES_AT_MOST
  }

  /** Answers where it stopped, if it did not come to the end of the range. */
  async #compare(own: ItemSet, from: ItemKey, until: ItemKey | undefined): Promise<ItemKey | undefined> {
    // Ascending, so that what is done is the beginning.
    let open: AskedRange[] = [{ from, until, ...own.fingerprint(from, until) }]
    while (open.length > 0) {
      if (this.#isExhausted()) return open[0]!.from
      const ranges = open.slice(0, RANGES_AT_MOST)
      const { ranges: answers } = await this.#call({ ranges })
      const next: AskedRange[] = []
      const missingHere: ItemKey[] = []
      const missingThere: ItemKey[] = []
      for (const [i, answer] of answers.entries()) {
        const asked = ranges[i]!
        if ('items' in answer) {
          const theirs = new Set(answer.items)
          const ours = new Set(own.items(asked.from, answer.until))
          for (const item of theirs) if (!ours.has(item)) missingHere.push(item)
          for (const item of ours) if (!theirs.has(item)) missingThere.push(item)
        } else next.push(...differing(own, asked.from, answer))
        if (answer.until !== undefined && answer.until !== asked.until) {
          next.push({ from: answer.until, until: asked.until, ...own.fingerprint(answer.until, asked.until) })
        }
      }
      open = [...next, ...open.slice(RANGES_AT_MOST)]
      this.differences += missingHere.length + missingThere.length
      await this.#settle(missingHere, missingThere)
    }
    return undefined
  }

  async #settle(missingHere: readonly ItemKey[], missingThere: readonly ItemKey[]): Promise<void> {
    for (const offers of chunks(missingThere)) {
      const { wanted } = await this.#call({ offers })
      await planForHost(this.#context, this.#host, wanted)
    }
    for (const wants of chunks(await judgeOffered(this.#context, this.#host, missingHere))) {
      await this.#call({ wants })
    }
  }

  async #call(
    what: Partial<Pick<ReconcileRequest, 'ranges' | 'offers' | 'wants'>>
  ): Promise<ReconcileAnswer> {
    const { config, peers } = this.#context
    const { timeToLive } = config.limits
    const request: ReconcileRequest = { timeToLive, ranges: [], offers: [], wants: [], ...what }
    this.calls++
    const answer = await peers.post(this.#peer, '/reconcile', presentRequest(request), {
      maximumAnswerBytes: ANSWER_BYTES
    })
    if (answer.status !== 200) throw new ComparisonError(`HTTP ${answer.status}`, AGAIN_AFTER)
    const parsed = parseReconcileAnswer(request, answer.json(ANSWER_JSON))
    if (parsed === undefined) throw new ComparisonError('an answer that makes no sense', INTERVAL)
    return parsed
  }
}

/** The parts of an answered range that this node has otherwise. */
function differing(
  own: ItemSet,
  from: ItemKey,
  answer: Exclude<AnsweredRange, { items: unknown }>
): AskedRange[] {
  if ('same' in answer) return []
  const ranges: AskedRange[] = []
  let begin = from
  for (const part of answer.parts) {
    const ours = own.fingerprint(begin, part.until)
    if (ours.count !== part.count || ours.fingerprint !== part.fingerprint) {
      ranges.push({ from: begin, until: part.until, ...ours })
    }
    begin = part.until ?? begin
  }
  return ranges
}

/** As many items as one call takes. */
function* chunks(items: readonly ItemKey[]): Generator<ItemKey[]> {
  let chunk: ItemKey[] = []
  let recipients = new Set<string>()
  for (const item of items) {
    recipients.add(partsOf(item).recipient)
    if (chunk.length === OFFERS_AT_MOST || recipients.size > RECIPIENTS_AT_MOST) {
      yield chunk
      chunk = []
      recipients = new Set([partsOf(item).recipient])
    }
    chunk.push(item)
  }
  if (chunk.length > 0) yield chunk
}
