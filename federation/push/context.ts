import type { Context } from '../../src/context.js'
import type { JobQueue } from '../queue.js'
import type { PushServiceName } from '../storage/devices.js'
import type { PushRules } from '../storage/pushes.js'
import type { PushService } from './push-service.js'

/** What pushing works with. */
export interface PushContext extends Context {
  readonly queue: JobQueue
  readonly pushServices: ReadonlyMap<PushServiceName, PushService>
  readonly pushRules: PushRules
  /** From 0 to 1. */
  readonly random: () => number
  /** How long a claim lasts, ms. */
  readonly claimMilliseconds: number
}

/** What those who register devices must know. */
export interface PushOffer {
  /** Services that this node pushes through. */
  readonly services: ReadonlySet<PushServiceName>
  /** Base64url, for `pushManager.subscribe`; undefined where Web Push is not configured. */
  readonly applicationServerKey: string | undefined
  readonly messageBoxes: readonly string[]
}
