import type { Clock } from '../context.js'

/**
 * When the memory of replays began. Sessions issued before cannot be checked for replays and are refused, so new
 * ones are dated no earlier (its clock may be a little ahead of ours).
 */
export interface SessionEpoch {
  /** Milliseconds since 1970; 0 while unknown. */
  readonly bornAt: number
  /** Looks again, after a session was found older than the memory: it may have begun anew. Never rejects. */
  renew(): Promise<void>
}

/**
 * The time by which sessions are dated and end: it never lies before the memory began. Where the memory was begun by a
 * clock that was ahead, or this clock is behind, it stands still until the clock gets there; otherwise no session would
 * count until then.
 *
 * @returns ms since 1970
 */
export function sessionTime({
  clock,
  epoch
}: {
  readonly clock: Clock
  readonly epoch: SessionEpoch
}): number {
  return Math.max(clock.now(), epoch.bornAt)
}
