import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import { codeOf, OutboundError, type OutboundErrorKind } from './outbound-error.js'

export interface ExchangeRequest {
  readonly method: 'GET' | 'POST'
  /** Path and query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** Absent: none is sent. */
  readonly body: Uint8Array | undefined
  /** Bytes of the body. */
  readonly maximumAnswerBytes: number
  /** From the request's leaving until its answer's headers are complete, ms. */
  readonly headersMilliseconds: number
}

export interface Answer {
  /** 200 to 599, never 3xx. */
  readonly status: number
  /** Names in lower case; values as latin1, repeated ones joined with `, `. No prototype. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** Called once. */
type Done = (error: OutboundError | TypeError | undefined, answer?: Answer) => void

/** All headers of an answer, their names and values, bytes. */
export const MAXIMUM_HEADER_BYTES = 16 * 1024
/** Most that is allocated before a byte of the body is there: a host's word alone gets no memory. */
const FIRST_BODY_BYTES = 16 * 1024

/** 103 and the like before the answer. */
const MAXIMUM_INTERIM_ANSWERS = 8

/**
 * Pieces of a body, however small they are: each costs as much as a kilobyte does. Far more than an honest host needs
 * for the largest answer that is ever asked for.
 */
const MAXIMUM_PIECES = 8_192

/**
 * Watches one request on its connection and collects the answer, never more of it than was asked for. Who gets an
 * error from it closes the connection.
 */
export class Exchange implements Dispatcher.DispatchHandler {
  readonly #maximumBytes: number
  readonly #headersMilliseconds: number
  readonly #expiry: AbortSignal
  readonly #done: Done
  #headersTimer: NodeJS.Timeout | undefined
  #isSent = false
  #isDone = false
  #interimAnswers = 0
  #status = 0
  #headers: Readonly<Record<string, string>> = {}
  #body = Buffer.alloc(0)
  #length = 0
  #pieces = 0

  /** @param expiry aborted when the time for the whole call is over */
  constructor(request: ExchangeRequest, expiry: AbortSignal, done: Done) {
    this.#maximumBytes = request.maximumAnswerBytes
    this.#headersMilliseconds = request.headersMilliseconds
    this.#expiry = expiry
    this.#done = done
    expiry.addEventListener('abort', this.#expire)
  }

  /** Whether the headers of the answer are complete. */
  get hasHeaders(): boolean {
    return this.#status !== 0
  }

  onRequestStart(): void {
    this.#isSent = true
    this.#headersTimer = setTimeout(this.#expire, this.#headersMilliseconds)
  }

  onResponseStart(_controller: unknown, status: number, headers: IncomingHttpHeaders): void {
    if (this.#isDone) return
    if (status < 200) {
      // Interim answers say nothing and win no time.
      this.#interimAnswers += 1
      if (this.#interimAnswers > MAXIMUM_INTERIM_ANSWERS)
        this.#fail('protocol', 'protocol: only interim answers')
      return
    }
    clearTimeout(this.#headersTimer)
    this.#status = status
    this.#headers = flattened(headers)
    const told = Number(this.#headers['content-length'] ?? 0)
    if (status >= 300 && status < 400) this.#fail('redirect', `redirect: status ${status}`)
    else if (status > 599) this.#fail('protocol', `protocol: status ${status}`)
    else if (sizeOf(this.#headers) > MAXIMUM_HEADER_BYTES) this.#fail('too-large', 'too large: the headers')
    else if (isEncoded(this.#headers)) this.#fail('protocol', 'protocol: an encoding that was not asked for')
    else if (told > this.#maximumBytes) this.#tooLarge()
    else this.#body = Buffer.allocUnsafe(Math.min(told, FIRST_BODY_BYTES))
  }

  onResponseData(_controller: unknown, chunk: Buffer): void {
    if (this.#isDone) return
    this.#pieces += 1
    if (this.#pieces > MAXIMUM_PIECES) {
      this.#fail('protocol', `protocol: more than ${MAXIMUM_PIECES} pieces`)
      return
    }
    const length = this.#length + chunk.length
    if (length > this.#maximumBytes) {
      this.#tooLarge()
      return
    }
    if (length > this.#body.length) {
      // Copied together, since a thousand chunks of one byte would otherwise be a thousand objects.
      const larger = Buffer.allocUnsafe(Math.min(Math.max(length, 2 * this.#body.length), this.#maximumBytes))
      this.#body.copy(larger, 0, 0, this.#length)
      this.#body = larger
    }
    chunk.copy(this.#body, this.#length)
    this.#length = length
  }

  onResponseEnd(): void {
    const body = this.#body.subarray(0, this.#length)
    this.#settle(undefined, { status: this.#status, headers: this.#headers, body })
  }

  onResponseError(_controller: unknown, error: Error): void {
    const code = codeOf(error)
    if (error instanceof OutboundError) this.#settle(error)
    // A header or method that undici refuses is this node's own mistake and must not be held against a host.
    else if (code === 'UND_ERR_INVALID_ARG') this.#settle(new TypeError(error.message, { cause: error }))
    else this.#fail(this.#kindOf(error, code), `connection broke: ${code}`)
  }

  #kindOf(error: Error, code: string): OutboundErrorKind {
    if (!this.#isSent) return 'connect'
    // Words where undici has no codes: these errors are about what came, or about its ending too early.
    if (error.name === 'HTTPParserError') return error.message.includes('EOF') ? 'reset' : 'protocol'
    if (code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH') return this.#status === 0 ? 'protocol' : 'reset'
    if (code.startsWith('ERR_SSL') || code.startsWith('ERR_TLS')) return 'tls'
    // Interim 100 and an upgrade that nobody asked for share their code with a broken socket.
    return error.message.startsWith('bad ') ? 'protocol' : 'reset'
  }

  readonly #expire = (): void => {
    if (this.#status === 0) this.#fail('timeout-before-headers', 'timeout: no answer in time')
    else this.#fail('timeout', 'timeout: the answer did not end in time')
  }

  #tooLarge(): void {
    this.#fail('too-large', `too large: more than ${this.#maximumBytes} bytes`)
  }

  #fail(kind: OutboundErrorKind, message: string): void {
    // Without its cause: undici's errors carry what the host sent.
    this.#settle(new OutboundError(kind, this.#isSent ? 'after-sent' : 'before-sent', message))
  }

  #settle(error: OutboundError | TypeError | undefined, answer?: Answer): void {
    if (this.#isDone) return
    this.#isDone = true
    clearTimeout(this.#headersTimer)
    this.#expiry.removeEventListener('abort', this.#expire)
    this.#done(error, answer)
  }
}

function sizeOf(headers: Readonly<Record<string, string>>): number {
  let size = 0
  for (const name in headers) size += name.length + (headers[name]?.length ?? 0)
  return size
}

function isEncoded(headers: Readonly<Record<string, string>>): boolean {
  const encoding = headers['content-encoding']
  return encoding !== undefined && encoding.toLowerCase() !== 'identity'
}

function flattened(headers: IncomingHttpHeaders): Readonly<Record<string, string>> {
  const flat: Record<string, string> = Object.create(null)
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) flat[name] = Array.isArray(value) ? value.join(', ') : value
  }
  return flat
}
