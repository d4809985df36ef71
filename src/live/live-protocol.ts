import type { Caller } from '../auth/caller.js'
import type { IdentityKey } from '../keys/identity-key.js'

/** What goes to a client as it is. */
export interface Frame {
  readonly eventName: string
  readonly content: object
  /** About as many wait in memory until it is read. */
  readonly bytes: number
}

/** What a client has said, and who it is. */
export interface ProvenEvent {
  readonly caller: Caller
  readonly eventName: string
  readonly data: unknown
  /**
   * It was signed for this very connection, so whoever sends it is the one who signed it. Others may be copies of what was
   * said elsewhere, and count once in all.
   */
  readonly isOfThisSocket: boolean
}

/** How the client of one socket and this node prove to each other what they say. */
export interface LiveProtocol {
  /** Whose socket it is; undefined before the handshake. Proven only once an event is. */
  readonly identityKey: IdentityKey | undefined
  /**
   * Takes what the client has sent.
   *
   * @returns an answer where it belongs to the handshake; undefined where it means nothing
   * @throws ApiError
   */
  receive(eventName: string, content: unknown): Promise<Frame | ProvenEvent | undefined>
  /** An event to the client, signed; undefined before the client has spoken. */
  frame(eventName: string, data: unknown): Frame | undefined
  /** The body of a message as this client's apps expect it. */
  shownBody(body: string): unknown
  /** What the client is told before it is cut off; undefined where the protocol has no word for it. */
  refusal(error: unknown): Frame | undefined
}

export function isProvenEvent(received: Frame | ProvenEvent): received is ProvenEvent {
  return 'caller' in received
}
