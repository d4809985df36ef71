import type { WaitingHosts } from './delivery/waiting-hosts.js'
import type { Overlay } from './overlay/overlay.js'
import type { PushOffer } from './push/context.js'
import type { ReceivedMessages } from './storage/propagated.js'
import type { ReconciliationAnswers } from './sync/answering.js'
import type { SyncContext } from './sync/context.js'

/** What the endpoints of the federation work with. */
export interface FederationContext extends SyncContext {
  readonly overlay: Overlay
  readonly push: PushOffer
  readonly reconciliation: ReconciliationAnswers
  readonly receivedMessages: ReceivedMessages
  /** Told of every request that a host is proven to have sent. */
  readonly waitingHosts: Pick<WaitingHosts, 'heard'>
  readonly steering: Steering
}

/** What the operator can do to the delivery engine (federation/delivery/steer.ts). */
export interface Steering {
  retry(ids: readonly number[]): Promise<number[]>
  drop(ids: readonly number[]): Promise<number[]>
  flush(domain: string): Promise<number>
  flushBlocked(domains: readonly string[] | undefined): Promise<void>
}
