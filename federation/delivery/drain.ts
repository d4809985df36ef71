import { identityKeyFromBytes } from '../../src/keys/identity-key.js'
import { claimDeliveries, type DueDelivery, deferDelivery, retargetDelivery } from '../storage/deliveries.js'
import { clearFailures, recordFailure, setBackoff } from '../storage/destinations.js'
import { type EnvelopeRow, findEnvelopes } from '../storage/envelopes.js'
import type { DeliveryContext } from './engine.js'
import { type Attempt, judgeAnswer, judgeFailure } from './outcome.js'
import { propagationBody } from './propagation.js'
import { waitAfter } from './retry-policy.js'
import { servesHost, settleDelivered, settleUndelivered } from './settle.js'

/** Calls to one domain at once; each carries deliveries of different lanes. */
const CALLS_AT_ONCE = 8
/** A results answer speaks of one hundred recipients at most. */
const ANSWER_BYTES = 64 * 1024

/**
 * Hands on what is due for a domain until nothing is, or the domain fails. Any number of workers may do so at once: what
 * one has claimed the others pass over.
 */
export async function drain(context: DeliveryContext, domain: string): Promise<void> {
  const calls = new Set<Promise<void>>()
  let failing = false
  for (;;) {
    const free = CALLS_AT_ONCE - calls.size
    const claimed = failing || free === 0 ? [] : await claim(context, domain, free)
    const envelopes = await envelopesOf(context, claimed)
    for (const deliveries of byEnvelope(claimed)) {
      const envelope = envelopes.get(deliveries[0]!.envelope_id.toString('hex'))
      const call: Promise<void> = handOn(context, domain, deliveries, envelope)
        .catch(error => {
          // Of our own: what was claimed is tried again when its claim ends.
          context.logger.error({ err: error, domain }, 'an attempt broke off')
          return false
        })
        .then(answered => {
          failing ||= !answered
        })
        .finally(() => calls.delete(call))
      calls.add(call)
    }
    if (calls.size === 0) return
    // With room left and nothing to claim, lanes may still be waiting for a call that is under way.
    if (claimed.length === 0 || calls.size === CALLS_AT_ONCE) await Promise.race(calls)
  }
}

function claim(context: DeliveryContext, domain: string, limit: number): Promise<DueDelivery[]> {
  const now = context.clock.now()
  return claimDeliveries(context.database, domain, now, now + context.claimMilliseconds, limit)
}

async function envelopesOf(context: DeliveryContext, claimed: readonly DueDelivery[]) {
  if (claimed.length === 0) return new Map<string, EnvelopeRow>()
  return findEnvelopes(
    context.database,
    claimed.map(delivery => delivery.envelope_id)
  )
}

/** One call may carry several deliveries of one envelope to one host. */
function byEnvelope(deliveries: readonly DueDelivery[]): DueDelivery[][] {
  const groups = new Map<string, DueDelivery[]>()
  for (const delivery of deliveries) {
    const key = delivery.envelope_id.toString('hex') + delivery.host_key.toString('hex')
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [delivery])
    else group.push(delivery)
  }
  return [...groups.values()]
}

/** One call. False if the host is failing. */
async function handOn(
  context: DeliveryContext,
  domain: string,
  claimed: readonly DueDelivery[],
  envelope: EnvelopeRow | undefined
): Promise<boolean> {
  const deliveries = await stillDue(context, domain, claimed, envelope)
  if (deliveries.length === 0 || envelope === undefined) return true
  const attempt = await call(context, domain, envelope, deliveries)
  if (attempt.host === 'failing') {
    context.metrics.attempt('failing')
    await recordFailing(context, domain, deliveries, attempt.answer, attempt.retryAfter)
    return false
  }
  if (attempt.host === 'impostor') {
    context.metrics.attempt('impostor')
    context.metrics.tokenPassedOver(attempt.answer)
    const operator = identityKeyFromBytes(deliveries[0]!.host_key)
    context.logger.warn({ operator, domain, reason: attempt.answer }, 'a token was passed over')
    for (const delivery of deliveries)
      await settleUndelivered(context, delivery, 'refused', 'ERR_WRONG_IDENTITY')
    return true
  }
  if (deliveries.some(delivery => delivery.failing)) await clearFailures(context.database, domain)
  for (const delivery of deliveries) await record(context, delivery, attempt)
  return true
}

/** Passes over what the recipient's live tokens do not say, or no longer, hosts that are blocked, and what has expired. */
async function stillDue(
  context: DeliveryContext,
  domain: string,
  claimed: readonly DueDelivery[],
  envelope: EnvelopeRow | undefined
): Promise<DueDelivery[]> {
  const due: DueDelivery[] = []
  for (const delivery of claimed) {
    if (envelope === undefined || delivery.expires_at <= context.clock.now()) {
      await settleUndelivered(context, delivery, 'expired', 'ERR_MESSAGE_EXPIRED')
    } else if (delivery.live_domain === null) {
      await settleUndelivered(context, delivery, 'refused', 'ERR_HOST_WITHDRAWN')
    } else if (!servesHost(context.operatorLists, delivery.host_key, delivery.live_domain)) {
      await settleUndelivered(context, delivery, 'refused', 'ERR_HOST_BLOCKED')
    } else if (delivery.live_domain !== domain) {
      await retargetDelivery(context.database, delivery, delivery.live_domain)
      context.queue.add('drain', delivery.live_domain)
    } else if (!(await context.tokens.holds({ ...delivery, live_domain: domain }))) {
      // The index has been put right: what it says now decides.
      await retargetDelivery(context.database, delivery, domain)
    } else due.push(delivery)
  }
  return due
}

async function call(
  context: DeliveryContext,
  domain: string,
  envelope: EnvelopeRow,
  deliveries: readonly DueDelivery[]
): Promise<Attempt> {
  const { keys, peers } = context
  const recipients = deliveries.map(({ recipient }) => identityKeyFromBytes(recipient))
  const firstSeen = Math.max(...deliveries.map(delivery => delivery.first_seen))
  const body = propagationBody(keys, envelope, recipients, firstSeen)
  const host = { domain, operatorKey: identityKeyFromBytes(deliveries[0]!.host_key) }
  try {
    return judgeAnswer(
      await peers.post(host, '/propagateMessage', body, { maximumAnswerBytes: ANSWER_BYTES })
    )
  } catch (error) {
    return judgeFailure(error)
  }
}

async function record(
  context: DeliveryContext,
  delivery: DueDelivery,
  attempt: Extract<Attempt, { host: 'answered' }>
): Promise<void> {
  const outcome = attempt.outcomeOf(identityKeyFromBytes(delivery.recipient))
  context.metrics.attempt(outcome.state)
  if (outcome.state === 'delivered') await settleDelivered(context, delivery)
  else if (outcome.state === 'refused') await settleUndelivered(context, delivery, 'refused', outcome.answer)
  else {
    const wait = waitAfter(delivery.attempts, outcome.retryAfter, context.random())
    await deferDelivery(context.database, delivery, outcome.answer, context.clock.now() + wait)
  }
}

async function recordFailing(
  context: DeliveryContext,
  domain: string,
  deliveries: readonly DueDelivery[],
  answer: string,
  retryAfter: number | undefined
): Promise<void> {
  const now = context.clock.now()
  const failures = await context.database.transaction(async tx => {
    const { failures } = await recordFailure(tx, domain, answer, now)
    await setBackoff(tx, domain, now + waitAfter(failures, retryAfter, context.random()))
    return failures
  })
  // Which of them goes next is up to the domain's wait, not theirs.
  for (const delivery of deliveries) await deferDelivery(context.database, delivery, answer, now)
  context.logger.info({ domain, answer, failures }, 'a host could not be reached')
}
