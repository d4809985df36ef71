import type { IdentityKey } from '../keys/identity-key.js'
import type { SignedMessageFormat } from '../names.js'
import type { RequestTarget } from './request-target.js'

/** Who is asking, proven, and what proves it later. */
export interface Caller {
  /** The one the session is bound to; never the word of a header. */
  readonly identityKey: IdentityKey
  /** 33 bytes. */
  readonly identityKeyBytes: Buffer
  readonly scheme: SignedMessageFormat
  readonly envelope: Envelope
  readonly replay: ReplayTicket
}

/** One authenticated request exactly as its sender signed it. */
export interface Envelope {
  /** 32 bytes: SHA-256 of `JSON.stringify([sender, format, keyID])` followed by the signed bytes. */
  readonly id: Buffer
  readonly sender: IdentityKey
  readonly format: SignedMessageFormat
  /** The BRC-43 key id the signature was made under. */
  readonly keyID: string
  /** BRC-104: the request preimage; BRC-103 on a socket: the payload; Authrite: see authrite.ts. */
  readonly signedBytes: Buffer
  /** DER. */
  readonly signature: Buffer
  /** True if an `authorization` header is among the signed ones: such bytes must not be shown to anybody. */
  readonly carriesAuthorization: boolean
}

/** What an endpoint's SQL needs to refuse the same signed bytes a second time. */
export interface ReplayTicket {
  /** 16 bytes, the first ones of the envelope id. */
  readonly digest: Buffer
  /** When the session was issued, ms since 1970; `REMEMBERED_FOR_GOOD` where the memory cannot be lost. */
  readonly issuedAt: number
  /** When the session ends, ms since 1970; the digest need not be remembered longer. */
  readonly expiresAt: number
}

/**
 * Sessions that last for months are remembered in logged tables (`seen_slot` in the migrations): whenever theirs was issued,
 * the memory reaches back as far.
 */
export const REMEMBERED_FOR_GOOD = Number.MAX_SAFE_INTEGER

/** One HTTP request under some scheme, whose headers have been checked. */
export interface OpenedRequest {
  readonly scheme: 'brc104' | 'authrite'
  /** The one this node gave to the identity of the request; base64. */
  readonly sessionNonce: string
  /**
   * @param body in the pieces it came in
   * @throws ApiError 401 if the signature is not the session's identity over exactly this request
   */
  verify(
    target: RequestTarget,
    body: readonly Uint8Array[]
  ): Promise<{ readonly caller: Caller; readonly body: Buffer }>
  /**
   * @param headers of the answer by lower-case name
   * @param body exactly as it will be sent
   * @returns the headers to add
   */
  sign(status: number, headers: Readonly<Record<string, unknown>>, body: Uint8Array): Record<string, string>
}
