/**
 * The one error type that reaches a client. Anything else that is thrown becomes a 500 without detail.
 *
 * The envelope is `{"status":"error","code":"ERR_…","description":"…"}` plus `details`; the codes are listed in
 * docs/errors.md, are stable, and are only ever added to.
 */
export class ApiError extends Error {
  /**
   * @param httpStatus 4xx or 5xx
   * @param code stable, `ERR_…`
   * @param description what was wrong and what would be right; safe to show to a stranger
   * @param details further members of the envelope, for instance `{ recipients: […] }`
   * @param headers further response headers, for instance `{ 'Retry-After': '5' }`
   */
  constructor(
    readonly httpStatus: number,
    readonly code: string,
    description: string,
    readonly details: Readonly<Record<string, unknown>> = {},
    readonly headers: Readonly<Record<string, string>> = {}
  ) {
    // A refusal says all in its code. Walking the stack for each would cost as much as a third of a signature.
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = 0
    super(description)
    Error.stackTraceLimit = stackTraceLimit
    this.name = 'ApiError'
  }

  /** The JSON body sent to the client. */
  toBody(): Record<string, unknown> {
    return { status: 'error', code: this.code, description: this.message, ...this.details }
  }
}

/** 400: the request is malformed. */
export function badRequest(code: string, description: string, details?: Record<string, unknown>): ApiError {
  return new ApiError(400, code, description, details)
}

/** 503: something this node depends on is away; the same request may succeed after `retryAfterSeconds`. */
export function unavailable(code: string, description: string, retryAfterSeconds = 1): ApiError {
  const headers = { 'Retry-After': String(retryAfterSeconds) }
  return new ApiError(503, code, description, { retryAfter: retryAfterSeconds }, headers)
}
