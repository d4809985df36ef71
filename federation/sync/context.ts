import type { DeliveryContext } from '../delivery/engine.js'
import type { PeerExtensions } from './extensions.js'

/** What keeping hosts in step works with. */
export interface SyncContext extends DeliveryContext {
  readonly extensions: PeerExtensions
}
