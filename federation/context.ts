import type { DeliveryContext } from './delivery/engine.js'
import type { Overlay } from './overlay/overlay.js'

/** What the endpoints of the federation work with. */
export interface FederationContext extends DeliveryContext {
  readonly overlay: Overlay
  readonly steering: Steering
}

/** What the operator can do to the delivery engine (federation/delivery/steer.ts). */
export interface Steering {
  retry(ids: readonly number[]): Promise<number[]>
  drop(ids: readonly number[]): Promise<number[]>
  flush(domain: string): Promise<number>
  flushBlocked(domains: readonly string[] | undefined): Promise<void>
}
