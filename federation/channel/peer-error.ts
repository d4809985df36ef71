import type { IdentityKey } from '../../src/keys/identity-key.js'
import type { Answer } from './exchange.js'

export type PeerErrorKind =
  /** The domain proved to have another key than the expected one; nothing of the payload left. */
  | 'wrong-identity'
  /** It proved another key less than an hour ago; no contact was made. */
  | 'other-key-known'
  /** It answered the handshake with something else than a proof of a key; nothing of the payload left. */
  | 'handshake-failed'
  /** The payload left, and an answer came, but none that the peer signed for this session and request. */
  | 'unauthenticated-answer'
  /** The peer's own answer is not strict JSON. */
  | 'not-json'

/** Why a call to a peer gave no answer of that peer; what went wrong below, on the way, is an OutboundError. */
export class PeerError extends Error {
  /** `wrong-identity`, `other-key-known`: the key that the domain proved instead. */
  readonly shownKey: IdentityKey | undefined
  /**
   * `handshake-failed`, `unauthenticated-answer`, `not-json`: what came; its status and `retry-after` say what to do,
   * but without a signature it may be a proxy that speaks.
   */
  readonly answer: Answer | undefined

  constructor(
    readonly kind: PeerErrorKind,
    message: string,
    evidence: { readonly shownKey?: IdentityKey; readonly answer?: Answer }
  ) {
    super(message)
    this.name = 'PeerError'
    this.shownKey = evidence.shownKey
    this.answer = evidence.answer
  }
}
