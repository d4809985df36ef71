/** First wait after a failure, ms; doubled with each further one. */
const FIRST_WAIT = 2_000
const LONGEST_WAIT = 60 * 60 * 1000
/** A host that has been failing for so long gets nothing more of what waits for it, ms. */
export const GIVE_UP_AFTER = 7 * 24 * 60 * 60 * 1000

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
