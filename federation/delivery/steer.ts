import { claimThese, endWait, hastenSome, makeDue, pendingDomains } from '../storage/steering.js'
import type { DeliveryContext } from './engine.js'
import { settleUndelivered } from './settle.js'

/** What a delivery says that the operator ended. */
export const DROPPED = 'dropped by the operator'
/** Long enough for one transaction each. */
const CLAIM_MILLISECONDS = 60_000
const PAGE = 1_000

/** Tries these pending deliveries now, whatever their host or they themselves wait for. @returns those that are pending */
export async function retryDeliveries(context: DeliveryContext, ids: readonly number[]): Promise<number[]> {
  const now = context.clock.now()
  const due = await makeDue(context.database, ids, now)
  const domains = [...new Set(due.map(({ domain }) => domain))]
  await endWait(context.database, domains, now)
  for (const domain of domains) context.queue.add('drain', domain)
  return due.map(({ id }) => id)
}

/**
 * Ends these pending deliveries as refused: the message goes to its recipient's next host, is parked, or its sender is told.
 *
 * @returns those that were ended; one that is in a call right now is not
 */
export async function dropDeliveries(context: DeliveryContext, ids: readonly number[]): Promise<number[]> {
  const now = context.clock.now()
  const claimed = await claimThese(context.database, ids, now, now + CLAIM_MILLISECONDS)
  for (const delivery of claimed) await settleUndelivered(context, delivery, 'refused', DROPPED)
  return claimed.map(({ id }) => id)
}

/** Tries all that waits for a domain now; while it is failing, one goes first as a probe. @returns how many wait */
export async function flush(context: DeliveryContext, domain: string): Promise<number> {
  const { database, clock, queue } = context
  const now = clock.now()
  let total = 0
  for (let after = 0; ; ) {
    const { lastId, lookedAt } = await hastenSome(database, domain, after, now, PAGE)
    total += lookedAt
    if (lastId === undefined || lookedAt < PAGE) break
    after = lastId
  }
  await endWait(database, [domain], now)
  queue.add('drain', domain)
  return total
}

/**
 * Lets what waits for domains that are served no more be refused now, and not when their wait is over.
 *
 * @param known domains to look at; undefined: all
 */
export async function flushBlocked(
  context: DeliveryContext,
  known: readonly string[] | undefined
): Promise<void> {
  if (known !== undefined) {
    for (const domain of known) await flush(context, domain)
    return
  }
  for (let after = ''; ; ) {
    const page = await pendingDomains(context.database, after, PAGE)
    for (const domain of page) {
      if (!context.operatorLists.servesDomain(domain)) await flush(context, domain)
    }
    if (page.length < PAGE) return
    after = page.at(-1)!
  }
}
