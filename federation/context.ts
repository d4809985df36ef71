import type { DeliveryContext } from './delivery/engine.js'
import type { Overlay } from './overlay/overlay.js'

/** What the endpoints of the federation work with. */
export interface FederationContext extends DeliveryContext {
  readonly overlay: Overlay
}
