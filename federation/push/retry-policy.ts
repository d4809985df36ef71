/** First wait after a failure, ms; doubled with each further one. */
const FIRST_WAIT = 2_000
const LONGEST_WAIT = 60 * 60 * 1000
/** So many in a row end a device, most of a day after the first. */
export const MOST_FAILURES = 40

/**
 * How long to wait after the n-th failure in a row of one device: half of it random, but not less than the service asked for.
 *
 * @param failures counted from 1
 * @param retryAfter seconds
 * @param random from 0 to 1
 * @returns ms
 */
export function waitAfter(failures: number, retryAfter: number | undefined, random: number): number {
  const limit = Math.min(FIRST_WAIT * 2 ** Math.min(failures - 1, 20), LONGEST_WAIT)
  return Math.round(Math.max((limit / 2) * (1 + random), (retryAfter ?? 0) * 1000))
}
