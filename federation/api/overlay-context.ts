import type { FederationContext } from '../context.js'

/** What the overlay's own endpoints need of a node: less than the rest of the federation. */
export interface OverlayContext {
  readonly overlay: Pick<FederationContext['overlay'], 'host'>
}
