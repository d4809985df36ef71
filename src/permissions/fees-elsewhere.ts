import type { IdentityKey } from '../keys/identity-key.js'

/** What recipients want whose mail is taken by other hosts only. Never rejects because of another host. */
export interface FeesElsewhere {
  /**
   * @returns satoshis, 0 or -1 of those recipients who are not at home here but somewhere else; what that host said last,
   * or 0, where it does not answer
   */
  of(
    sender: IdentityKey,
    messageBox: string,
    recipients: readonly IdentityKey[]
  ): Promise<ReadonlyMap<IdentityKey, number>>
}
