import { identityKeyFromBytes } from '../../src/keys/identity-key.js'
import { findSenderAuthorization } from '../storage/authorizations.js'
import {
  type ClaimedDelivery,
  claimDeliveries,
  deferDelivery,
  liveHosts,
  retargetDelivery
} from '../storage/deliveries.js'
import { clearFailures, recordFailure, setBackoff } from '../storage/destinations.js'
import { type EnvelopeRow, findEnvelopes } from '../storage/envelopes.js'
import type { DeliveryContext } from './engine.js'
import { type Attempt, judgeAnswer, judgeFailure } from './outcome.js'
import { propagationBody } from './propagation.js'
import { waitAfter } from './retry-policy.js'
import { settleDelivered, settleUndelivered } from './settle.js'

/** Calls to one domain at once; each carries deliveries of different lanes. */
const CALLS_AT_ONCE = 8
/** A claim outlasts every attempt (the door outward gives up after 15 s); then another worker may take it. */
const CLAIM_MILLISECONDS = 60_000
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
    for (const deliveries of byEnvelope(claimed)) {
      const call: Promise<void> = handOn(context, domain, deliveries)
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

function claim(context: DeliveryContext, domain: string, limit: number): Promise<ClaimedDelivery[]> {
  const now = context.clock.now()
  return claimDeliveries(context.database, domain, now, now + CLAIM_MILLISECONDS, limit)
}

/** One call may carry several deliveries of one envelope to one host. */
function byEnvelope(deliveries: readonly ClaimedDelivery[]): ClaimedDelivery[][] {
  const groups = new Map<string, ClaimedDelivery[]>()
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
  claimed: readonly ClaimedDelivery[]
): Promise<boolean> {
  const deliveries = await stillDue(context, domain, claimed)
  if (deliveries.length === 0) return true
  const first = deliveries[0]!
  const envelopes = await findEnvelopes(context.database, [first.envelope_id])
  const envelope = envelopes.get(first.envelope_id.toString('hex'))
  if (envelope === undefined) {
    for (const delivery of deliveries)
      await settleUndelivered(context, delivery, 'expired', 'ERR_MESSAGE_EXPIRED')
    return true
  }
  const attempt = await call(context, domain, envelope, deliveries)
  if (attempt.host === 'failing') {
    context.metrics.attempt('failing')
    await recordFailing(context, domain, deliveries, attempt.answer, attempt.retryAfter)
    return false
  }
  if (attempt.host === 'impostor') {
    context.metrics.attempt('impostor')
    for (const delivery of deliveries)
      await settleUndelivered(context, delivery, 'refused', 'ERR_WRONG_IDENTITY')
    return true
  }
  await clearFailures(context.database, domain)
  for (const delivery of deliveries) await record(context, delivery, attempt)
  return true
}

/** Passes over what the recipient's live tokens no longer say, and what has expired meanwhile. */
async function stillDue(
  context: DeliveryContext,
  domain: string,
  claimed: readonly ClaimedDelivery[]
): Promise<ClaimedDelivery[]> {
  const due: ClaimedDelivery[] = []
  for (const delivery of claimed) {
    const hosts = await liveHosts(context.database, delivery.recipient)
    const host = hosts.find(other => other.operator_key.equals(delivery.host_key))
    if (delivery.expires_at <= context.clock.now()) {
      await settleUndelivered(context, delivery, 'expired', 'ERR_MESSAGE_EXPIRED')
    } else if (host === undefined) {
      await settleUndelivered(context, delivery, 'refused', 'ERR_HOST_WITHDRAWN')
    } else if (host.domain !== domain) {
      await retargetDelivery(context.database, delivery, host.domain)
      context.queue.add('drain', host.domain)
    } else due.push(delivery)
  }
  return due
}

async function call(
  context: DeliveryContext,
  domain: string,
  envelope: EnvelopeRow,
  deliveries: readonly ClaimedDelivery[]
): Promise<Attempt> {
  const { keys, database, peers } = context
  const authorization =
    envelope.key_linkage === null
      ? await findSenderAuthorization(database, envelope.sender, envelope.received_at)
      : undefined
  const recipients = deliveries.map(({ recipient }) => identityKeyFromBytes(recipient))
  const firstSeen = Math.max(...deliveries.map(delivery => delivery.first_seen))
  const body = propagationBody(keys, envelope, authorization, recipients, firstSeen)
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
  delivery: ClaimedDelivery,
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
  deliveries: readonly ClaimedDelivery[],
  answer: string,
  retryAfter: number | undefined
): Promise<void> {
  const now = context.clock.now()
  const { failures } = await recordFailure(context.database, domain, answer, now)
  await setBackoff(context.database, domain, now + waitAfter(failures, retryAfter, context.random()))
  // Which of them goes next is up to the domain's wait, not theirs.
  for (const delivery of deliveries) await deferDelivery(context.database, delivery, answer, now)
  context.logger.info({ domain, answer, failures }, 'a host could not be reached')
}
