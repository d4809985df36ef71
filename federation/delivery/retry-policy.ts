/** First wait after a failure, ms; doubled with each further one. */
const FIRST_WAIT = 2_000
const LONGEST_WAIT = 60 * 60 * 1000
/** Of a host that proves its key and fails at messages: only a message can tell whether it still does. */
const LONGEST_SUSPECT_WAIT = 60 * 1000
/** A message holds its lane for so many tries … */
const TRIES = 3
/** … and for no longer wait than this, ms. */
const LONGEST_HOLD = 60 * 1000

/**
 * How long to wait after the n-th failure in a row: full jitter below a limit that doubles from 2 s to 1 h, but not less than
 * the other side asked for.
 *
 * @param failures counted from 1
 * @param retryAfter seconds
 * @param random from 0 to 1
 * @returns ms
 */
export function waitAfter(failures: number, retryAfter: number | undefined, random: number): number {
  const limit = Math.min(FIRST_WAIT * 2 ** Math.min(failures - 1, 20), LONGEST_WAIT)
  // Never at once: a host that refuses connections would be asked in a loop.
  const jittered = limit / 10 + (limit * 9 * random) / 10
  return Math.round(Math.max(jittered, (retryAfter ?? 0) * 1000))
}

/** As `waitAfter`, for a host; at most a minute where messages fail that may be to blame themselves. */
export function hostWait(
  failures: number,
  retryAfter: number | undefined,
  random: number,
  suspect: boolean
): number {
  const wait = waitAfter(failures, retryAfter, random)
  return suspect ? Math.min(wait, LONGEST_SUSPECT_WAIT) : wait
}

/** What is known when a call failed that may have failed because of its message. */
export interface Suspicion {
  /** How often it has been under suspicion, this time included. */
  readonly setbacks: number
  /** The host was failing before: this was the probe. */
  readonly failing: boolean
  readonly skipped: boolean
  /** The host has answered another call since this one began. */
  readonly answeredMeanwhile: boolean
}

/**
 * Whether the message is to blame rather than the host: the host answers others, or has answered others since the same
 * message failed before; or it has failed so often that its lane must not wait for it any longer.
 */
export function blamesMessage({ setbacks, failing, skipped, answeredMeanwhile }: Suspicion): boolean {
  return skipped || answeredMeanwhile || setbacks >= TRIES || (setbacks > 1 && !failing)
}

/** Whether a message that waits lets its lane go on. @param wait ms */
export function skipsLane(setbacks: number, wait: number): boolean {
  return setbacks >= TRIES || wait > LONGEST_HOLD
}
