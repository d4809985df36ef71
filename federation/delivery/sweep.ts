import { identityKeyFromBytes } from '../../src/keys/identity-key.js'
import { dueCatchUps } from '../storage/catch-ups.js'
import { claimOverdue, dueDomains, pruneFederation } from '../storage/deliveries.js'
import { dueLookups } from '../storage/parked.js'
import { ClockWatch, correctTimes } from './clock-watch.js'
import type { Drains } from './drains.js'
import type { DeliveryContext } from './engine.js'
import { settleUndelivered } from './settle.js'

/** Between two sweeps, ms; half of it is random, so that processes do not sweep in step. */
const INTERVAL = 2_000
/** Subjects that one sweep hands to the queue; the next one goes on. */
const BATCH = 1_000
const OVERDUE_BATCH = 100
const PRUNING_STEPS = 20

/**
 * Finds what is due in Postgres and has no job: what the queue lost, what waited for a host, what has run out of time.
 * Without it the queue would have to be reliable.
 */
export function startSweep(context: DeliveryContext, drains: Drains): { stop(): Promise<void> } {
  const watch = new ClockWatch(context.clock)
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> = Promise.resolve()
  const next = () => {
    if (stopped) return
    timer = setTimeout(run, INTERVAL / 2 + (INTERVAL / 2) * context.random())
  }
  const run = () => {
    running = watch
      .look(() => correctTimes(context))
      .then(() => sweep(context, drains))
      .catch(error => context.logger.warn({ err: error }, 'a sweep failed'))
      .finally(next)
  }
  run()
  return {
    async stop() {
      stopped = true
      clearTimeout(timer)
      await running
    }
  }
}

/** One round. */
export async function sweep(context: DeliveryContext, drains: Drains): Promise<void> {
  const { database, queue, clock, config } = context
  const now = clock.now()
  for (const domain of await dueDomains(database, now, BATCH)) {
    if (drains.isRunning(domain)) void drains.start(domain)
    else queue.add('drain', domain)
  }
  for (const recipient of await dueCatchUps(database, BATCH)) {
    queue.add('catch-up', identityKeyFromBytes(recipient))
  }
  for (const recipient of await dueLookups(database, now, BATCH)) {
    queue.add('lookup', identityKeyFromBytes(recipient))
  }
  const giveUpBefore = now - config.giveUpMilliseconds
  for (const delivery of await claimOverdue(database, now, giveUpBefore, OVERDUE_BATCH)) {
    await settleUndelivered(context, delivery, 'expired', delivery.last_answer ?? 'ERR_MESSAGE_EXPIRED')
  }
  // Each step is a commit of its own, so that nobody waits long for a row; so many of them that it keeps up.
  for (let step = 0; step < PRUNING_STEPS; step++) {
    if ((await pruneFederation(database, now, BATCH)) < BATCH) return
  }
}
