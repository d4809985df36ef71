export type OutboundErrorKind =
  /** A resolver's answer, or a literal address on `local`, that must not be dialled. */
  | 'refused-address'
  /** A URL that this node never calls, whoever asks. */
  | 'refused-url'
  /** A domain that the operator of this node does not deal with. */
  | 'blocked'
  /** The name has no address, or no answer came in time. */
  | 'dns'
  /** No TCP connection: refused, unreachable, or not in time. */
  | 'connect'
  /** No trusted TLS connection: certificate, name, version, or not in time. */
  | 'tls'
  /** Nothing, or not all of the headers, came in time; also no free connection in time (`before-sent`). */
  | 'timeout-before-headers'
  /** The headers came, the body did not in time. */
  | 'timeout'
  /** The connection broke, or ended before the answer did. */
  | 'reset'
  /** The host answered 3xx. */
  | 'redirect'
  /** The answer, its headers, or what it was wrapped in exceeded what is read of it. */
  | 'too-large'
  /** What came is not HTTP/1.1, or an encoding that was not asked for. */
  | 'protocol'

/** `before-sent`: not a byte of the request has left. `after-sent`: the host may have acted on it. */
export type OutboundPhase = 'before-sent' | 'after-sent'

/** Why a request got no answer. The message names no secret and may be shown to whoever caused the request. */
export class OutboundError extends Error {
  constructor(
    readonly kind: OutboundErrorKind,
    readonly phase: OutboundPhase,
    message: string,
    options?: ErrorOptions
  ) {
    super(message, options)
    this.name = 'OutboundError'
  }
}

/** A short reason for messages: the system's or library's code (`ECONNREFUSED`) rather than its prose. */
export function codeOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string') {
    return error.code
  }
  return error instanceof Error ? error.name : 'unknown'
}
