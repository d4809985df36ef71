import { identityKeyFromBytes } from '../../src/keys/identity-key.js'
import { type DueDelivery, retargetDelivery } from '../storage/deliveries.js'
import { clearFailures, endProbe } from '../storage/destinations.js'
import type { EnvelopeRow } from '../storage/envelopes.js'
import type { HostState } from './drain.js'
import type { DeliveryContext } from './engine.js'
import { blameHost } from './host-failure.js'
import { type Attempt, judgeAnswer, judgeFailure } from './outcome.js'
import { propagationBody } from './propagation.js'
import { blamesMessage, skipsLane, waitAfter } from './retry-policy.js'
import { servesHost, settleUndelivered } from './settle.js'
import type { Settlements } from './settlements.js'

/** A results answer speaks of one hundred recipients at most. */
const ANSWER_BYTES = 64 * 1024

/** Where a call goes, and who records how it ended. */
export interface Call {
  readonly domain: string
  readonly host: HostState
  readonly settlements: Settlements
}

/** An attempt that is over. */
interface Ended extends Call {
  readonly beganAt: number
  /** The host has answered another call since this one began. */
  readonly answeredMeanwhile: boolean
}

/** One call with deliveries of one envelope, until its outcome is committed. False if the host is failing. */
export async function handOn(
  context: DeliveryContext,
  call: Call,
  claimed: readonly DueDelivery[],
  envelope: EnvelopeRow | undefined
): Promise<boolean> {
  const { domain, host } = call
  const deliveries = await stillDue(context, domain, claimed, envelope)
  const isProbe = claimed.some(({ failing }) => failing)
  if (deliveries.length === 0 || envelope === undefined) {
    if (isProbe) await endProbe(context.database, domain)
    return true
  }
  const before = host.answers
  const beganAt = context.clock.now()
  const attempt = await post(context, domain, envelope, deliveries)
  const ended = { ...call, beganAt, answeredMeanwhile: host.answers > before }
  if (attempt.host === 'failing') return recordFailing(context, ended, deliveries, attempt)
  if (attempt.host === 'impostor') {
    context.metrics.attempt('impostor')
    context.metrics.tokenPassedOver(attempt.answer)
    const operator = identityKeyFromBytes(deliveries[0]!.host_key)
    context.logger.warn({ operator, domain, reason: attempt.answer }, 'a token was passed over')
    if (isProbe) await endProbe(context.database, domain)
    for (const delivery of deliveries)
      await settleUndelivered(context, delivery, 'refused', 'ERR_WRONG_IDENTITY')
    return true
  }
  host.answers++
  host.isWell = true
  host.window.answered(context.clock.now() - beganAt)
  if (isProbe) await clearFailures(context.database, domain)
  await Promise.all(deliveries.map(delivery => record(context, call.settlements, delivery, attempt)))
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
      context.forwarding.nudge([delivery.live_domain])
    } else if (!(await context.tokens.holds({ ...delivery, live_domain: domain }))) {
      // The index has been put right: what it says now decides.
      await retargetDelivery(context.database, delivery, domain)
    } else due.push(delivery)
  }
  return due
}

async function post(
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
  settlements: Settlements,
  delivery: DueDelivery,
  attempt: Extract<Attempt, { host: 'answered' }>
): Promise<void> {
  const outcome = attempt.outcomeOf(identityKeyFromBytes(delivery.recipient))
  context.metrics.attempt(outcome.state)
  if (outcome.state === 'delivered') return settlements.delivered(delivery)
  if (outcome.state === 'refused') return settleUndelivered(context, delivery, 'refused', outcome.answer)
  await wait(context, settlements, delivery, outcome.answer, outcome.retryAfter, outcome.waits === 'message')
}

/** The message, or its lane, is to blame for what it was answered. */
async function wait(
  { clock, random, metrics, logger }: DeliveryContext,
  settlements: Settlements,
  delivery: DueDelivery,
  answer: string,
  retryAfter: number | undefined,
  maySkip: boolean
): Promise<void> {
  const setbacks = delivery.setbacks + 1
  const milliseconds = waitAfter(setbacks, retryAfter, random())
  const skip = maySkip && skipsLane(setbacks, milliseconds)
  if (skip && !delivery.skipped) {
    metrics.attempt('skipped')
    logger.info(
      { domain: delivery.domain, delivery: delivery.id, answer },
      'a message no longer holds its lane'
    )
  }
  await settlements.deferred({
    delivery,
    answer,
    nextAttemptAt: clock.now() + milliseconds,
    setbacks,
    skip
  })
}

/** False if it is the host that fails. */
async function recordFailing(
  context: DeliveryContext,
  { domain, host, settlements, beganAt, answeredMeanwhile }: Ended,
  deliveries: readonly DueDelivery[],
  attempt: Extract<Attempt, { host: 'failing' }>
): Promise<boolean> {
  const { answer, retryAfter, suspect } = attempt
  host.window.congested()
  const isToBlame = (delivery: DueDelivery) =>
    blamesMessage({ ...delivery, setbacks: delivery.setbacks + 1, answeredMeanwhile })
  if (suspect && deliveries.every(isToBlame)) {
    if (deliveries.some(({ failing }) => failing)) await endProbe(context.database, domain)
    context.metrics.attempt('deferred')
    await Promise.all(
      deliveries.map(delivery => wait(context, settlements, delivery, answer, retryAfter, true))
    )
    return true
  }
  host.isWell = false
  context.metrics.attempt('failing')
  const operatorKey = deliveries[0]!.host_key
  const failures = await blameHost(context, { domain, operatorKey, beganAt, attempt })
  context.logger.info({ domain, answer, failures }, 'a host could not be reached')
  // Which of them goes next is up to the domain's wait, not theirs.
  const deferral = { answer, nextAttemptAt: context.clock.now(), skip: false }
  await Promise.all(
    deliveries.map(delivery =>
      settlements.deferred({ ...deferral, delivery, setbacks: delivery.setbacks + (suspect ? 1 : 0) })
    )
  )
  return false
}
