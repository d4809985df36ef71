import type { Overlay } from './overlay/overlay.js'
import type { ReconciliationAnswers } from './sync/answering.js'
import type { SyncContext } from './sync/context.js'

/** What the endpoints of the federation work with. */
export interface FederationContext extends SyncContext {
  readonly overlay: Overlay
  readonly reconciliation: ReconciliationAnswers
  readonly steering: Steering
}

/** What the operator can do to the delivery engine (federation/delivery/steer.ts). */
export interface Steering {
  retry(ids: readonly number[]): Promise<number[]>
  drop(ids: readonly number[]): Promise<number[]>
  flush(domain: string): Promise<number>
  flushBlocked(domains: readonly string[] | undefined): Promise<void>
}
