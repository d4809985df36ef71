import type { Context, Forwarding } from '../../src/context.js'
import type { PeerClient } from '../channel/peer-client.js'
import type { JobQueue } from '../queue.js'
import type { TokenCheck } from './token-check.js'

/** What the delivery engine works with. */
export interface DeliveryContext extends Context {
  readonly forwarding: Forwarding
  readonly peers: PeerClient
  readonly queue: JobQueue
  readonly tokens: Pick<TokenCheck, 'holds'>
  /** From 0 to 1; the jitter of waits. */
  readonly random: () => number
  /** A claim ends so long after it was made or renewed; then another worker may take what was claimed, ms. */
  readonly claimMilliseconds: number
  readonly overlay: {
    /** Asks other overlay hosts about a recipient (federation/overlay); what they know reaches the index. */
    lookUpRecipient(recipient: string): Promise<unknown>
  }
}
