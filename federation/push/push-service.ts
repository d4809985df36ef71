import type { PushAddress } from '../storage/devices.js'

/** All that a push says: where to look. Nothing of any message is in it, not even an id. */
export interface PushNotice {
  /** Domain of this node. */
  readonly host: string
  /** Boxes with something new, of those that the operator lets push. */
  readonly messageBoxes: readonly string[]
}

/** What became of a push. */
export type PushOutcome =
  | { readonly result: 'pushed' }
  /** The device will never be reached under this address again. */
  | { readonly result: 'gone'; readonly answer: string }
  /** Worth another attempt; not before so many seconds, where the service said so. */
  | { readonly result: 'failed'; readonly answer: string; readonly retryAfter: number | undefined }

/** Hands notices to a service that wakes devices. */
export interface PushService {
  /** One attempt. Never rejects for what the service does or answers. */
  push(to: Pick<PushAddress, 'address' | 'keys'>, notice: PushNotice): Promise<PushOutcome>
}

/** Seconds during which a service may keep what it cannot deliver yet: whoever is away longer looks by himself. */
export const KEPT_SECONDS = 24 * 60 * 60
/** Of an undelivered notice the next one takes the place. */
export const COLLAPSE_KEY = 'messages'
