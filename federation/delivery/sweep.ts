import { identityKeyFromBytes } from '../../src/keys/identity-key.js'
import { dueCatchUps } from '../storage/catch-ups.js'
import { claimOverdue, dueDomains, pruneFederation } from '../storage/deliveries.js'
import { dueLookups } from '../storage/parked.js'
import type { DeliveryContext } from './engine.js'
import { GIVE_UP_AFTER } from './retry-policy.js'
import { settleUndelivered } from './settle.js'

/** Between two sweeps, ms; half of it is random, so that processes do not sweep in step. */
const INTERVAL = 2_000
/** Subjects that one sweep hands to the queue; the next one goes on. */
const BATCH = 1_000
const OVERDUE_BATCH = 100

/**
 * Finds what is due in Postgres and has no job: what the queue lost, what waited for a host, what has run out of time.
 * Without it the queue would have to be reliable.
 */
export function startSweep(context: DeliveryContext): { stop(): Promise<void> } {
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> = Promise.resolve()
  const next = () => {
    if (stopped) return
    timer = setTimeout(run, INTERVAL / 2 + (INTERVAL / 2) * context.random())
  }
  const run = () => {
    running = sweep(context)
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
export async function sweep(context: DeliveryContext): Promise<void> {
  const { database, queue, clock } = context
  const now = clock.now()
  for (const domain of await dueDomains(database, now, BATCH)) queue.add('drain', domain)
  for (const recipient of await dueCatchUps(database, BATCH)) {
    queue.add('catch-up', identityKeyFromBytes(recipient))
  }
  for (const recipient of await dueLookups(database, now, BATCH)) {
    queue.add('lookup', identityKeyFromBytes(recipient))
  }
  for (const delivery of await claimOverdue(database, now, now - GIVE_UP_AFTER, OVERDUE_BATCH)) {
    await settleUndelivered(context, delivery, 'expired', delivery.last_answer ?? 'ERR_MESSAGE_EXPIRED')
  }
  await pruneFederation(database, now, BATCH)
}
