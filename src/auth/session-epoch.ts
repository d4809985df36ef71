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
