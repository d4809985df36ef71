/** What a parser answers: the narrower value, or why there is none in words that a stranger may see. */
export type Parsed<T> = Accepted<T> | Refused

export interface Accepted<T> {
  readonly ok: true
  readonly value: T
}

export interface Refused {
  readonly ok: false
  readonly reason: string
}

export function accepted<T>(value: T): Accepted<T> {
  return { ok: true, value }
}

export function refused(reason: string): Refused {
  return { ok: false, reason }
}
