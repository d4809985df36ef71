import { recordFailure, setBackoff } from '../storage/destinations.js'
import type { DeliveryContext } from './engine.js'
import type { Attempt } from './outcome.js'
import { hostWait } from './retry-policy.js'

/** A call to a host that failed because of the host. */
export interface FailedCall {
  readonly domain: string
  readonly operatorKey: Buffer
  /** When it began, ms. */
  readonly beganAt: number
  readonly attempt: Extract<Attempt, { host: 'failing' }>
}

/** Holds a failed call against its host, which is left alone for a while; answers how many failed in a row. */
export async function blameHost(
  { clock, database, random }: DeliveryContext,
  { domain, operatorKey, beganAt, attempt }: FailedCall
): Promise<number> {
  const { answer, retryAfter, suspect } = attempt
  const now = clock.now()
  return database.transaction(async tx => {
    const failures = await recordFailure(tx, { domain, operatorKey, answer, beganAt, now })
    await setBackoff(tx, domain, now + hostWait(failures, retryAfter, random(), suspect))
    return failures
  })
}
