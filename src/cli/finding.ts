/** What one check of `doctor` found. */
export interface Finding {
  readonly check: string
  /** `skipped`: it cannot be checked now, which is no fault. */
  readonly state: 'ok' | 'failed' | 'skipped'
  readonly text: string
  /** What to do about it. */
  readonly advice?: string
}

export function ok(check: string, text: string): Finding {
  return { check, state: 'ok', text }
}

export function failed(check: string, text: string, advice: string): Finding {
  return { check, state: 'failed', text, advice }
}

export function skipped(check: string, text: string, advice?: string): Finding {
  return { check, state: 'skipped', text, ...(advice === undefined ? {} : { advice }) }
}
