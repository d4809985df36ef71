/** The middle one; of an even number the lower middle, so that it is a value that was measured. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/**
 * The smallest value that at least this part of the values does not exceed; NaN of none.
 *
 * @param part above 0, up to 1
 */
export function quantile(values: readonly number[], part: number): number {
  if (values.length === 0) return Number.NaN
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)]!
}
