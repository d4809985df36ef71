const UNITS = [
  ['d', 24 * 60 * 60_000],
  ['h', 60 * 60_000],
  ['min', 60_000]
] as const

/** How far apart two times are, ms, in one number that a person takes in: `3 h`, `12 min`, `40 s`. */
export function timeSpan(from: number, to: number): string {
  const distance = Math.abs(to - from)
  for (const [unit, size] of UNITS) if (distance >= 2 * size) return `${Math.floor(distance / size)} ${unit}`
  return `${Math.round(distance / 1_000)} s`
}
