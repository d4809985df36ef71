import type { Config } from './config.js'
import type { Curve } from './curve/curve.js'
import type { KeyDeriver } from './keys/key-deriver.js'
import type { Arrivals } from './live/arrivals.js'
import type { LiveConnections } from './live/live-connections.js'
import type { Logger } from './logger.js'
import type { Metrics } from './metrics.js'
import type { OperatorLists } from './operator-lists.js'
import type { PaymentCheck } from './payments/payment-check.js'
import type { FeesElsewhere } from './permissions/fees-elsewhere.js'
import type { Rates } from './rates/rates.js'
import type { Database } from './storage/database.js'
import type { StoredMessages } from './storage/messages.js'
import type { SentMessages } from './storage/sent-messages.js'

/** Where the time comes from; tests move it by hand. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
}

export const systemClock: Clock = { now: () => Date.now() }

/** Everything long-lived, built once in node.ts and passed on. */
export interface Context {
  readonly config: Config
  /** Of this process among those of one `start`, from 0; a proxy can tell them apart by it (PROCESS_PORTS). */
  readonly processNumber: number
  readonly logger: Logger
  readonly clock: Clock
  readonly curve: Curve
  /** The node's identity key and everything derived from it. */
  readonly keys: KeyDeriver
  readonly database: Database
  /** Tells live readers what has arrived. */
  readonly arrivals: Arrivals
  readonly metrics: Metrics
  readonly rates: Rates
  readonly operatorLists: OperatorLists
  /** What this node takes for a message, satoshis by box; none where it has no wallet to take it. */
  readonly deliveryFees: ReadonlyMap<string, number>
  readonly payments: PaymentCheck
}

/** What message boxes need of the federation. Without one, every message stays here. */
export interface Forwarding {
  /** Whether a box expression (BRC-34, field 6) matches a box, in linear time. */
  matches(boxExpression: string, messageBox: string): boolean
  /** Says that deliveries to these domains were committed; losing it costs time only. */
  nudge(domains: readonly string[]): void
  /** The same of statements, such as acknowledgements. */
  nudgeStatements(domains: readonly string[]): void
}

/** What the endpoints of message boxes work with. */
export interface LocalContext extends Context {
  readonly connections: LiveConnections
  readonly forwarding: Forwarding
  readonly sentMessages: SentMessages
  readonly storedMessages: StoredMessages
  readonly feesElsewhere: FeesElsewhere
}
