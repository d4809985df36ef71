import type { IdentityKey } from '../keys/identity-key.js'

/** Who is asking, proven, and what proves it later. */
export interface Caller {
  /** The one the session is bound to; never the word of a header. */
  readonly identityKey: IdentityKey
  /** 33 bytes. */
  readonly identityKeyBytes: Buffer
  readonly scheme: 'brc104' | 'brc103'
  readonly envelope: Envelope
  readonly replay: ReplayTicket
}

/** One authenticated request exactly as its sender signed it. */
export interface Envelope {
  /** 32 bytes: SHA-256 of `JSON.stringify([sender, format, keyID])` followed by the signed bytes. */
  readonly id: Buffer
  readonly sender: IdentityKey
  readonly format: 'brc104' | 'brc103'
  /** The BRC-43 key id the signature was made under. */
  readonly keyID: string
  /** BRC-104: the request preimage; BRC-103 on a socket: the payload. */
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
  /** When the session was issued, ms since 1970. */
  readonly issuedAt: number
  /** When the session ends, ms since 1970; the digest need not be remembered longer. */
  readonly expiresAt: number
}
