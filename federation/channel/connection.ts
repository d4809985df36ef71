import type { Socket } from 'node:net'
import { Client } from 'undici'
import { type DialOptions, dial } from './dial.js'
import { type Answer, Exchange, type ExchangeRequest, MAXIMUM_HEADER_BYTES } from './exchange.js'
import { OutboundError } from './outbound-error.js'
import type { Destination } from './outbound-url.js'

/** What is read before the headers of an answer are complete: those, and what arrived together with them, bytes. */
const EARLY_BYTES = MAXIMUM_HEADER_BYTES + 64 * 1024
/** What headers, chunk sizes, their extensions, interim answers and the like may add to a body, bytes. */
const FRAMING_BYTES = 96 * 1024
/** How long an unused connection is kept if the host doesn't say, and at most, ms. */
const KEEP_ALIVE_MILLISECONDS = 4_000
const LONGEST_KEEP_ALIVE_MILLISECONDS = 60_000

/**
 * One connection to one origin, for one request at a time. It is dialled when it is first used, and again if it broke
 * while unused. After a request that failed it is closed.
 */
export class Connection {
  readonly #client: Client
  readonly #closing = new AbortController()
  #socket: Socket | undefined
  #connectMilliseconds = 0
  #exchange: Exchange | undefined
  /** What the socket had read before this answer, bytes. */
  #readBefore = 0
  /** What may be read for all of this answer, bytes. */
  #readLimit = 0

  /** @param onDisconnect called when an open connection has closed, whoever closed it */
  constructor(destination: Destination, options: DialOptions, onDisconnect: () => void) {
    this.#client = new Client(destination.origin, {
      pipelining: 1,
      // Beyond what is ever read: undici makes an error for each header over its limit, which is dear by the thousand.
      maxHeaderSize: 2 * EARLY_BYTES,
      keepAliveTimeout: KEEP_ALIVE_MILLISECONDS,
      keepAliveMaxTimeout: LONGEST_KEEP_ALIVE_MILLISECONDS,
      // None of undici's: they are as coarse as a second, and none of them is for the whole call.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: (_options, callback) => {
        dial(destination, options, this.#closing.signal, this.#connectMilliseconds).then(
          socket => {
            this.#opened(socket)
            callback(null, socket)
          },
          (error: Error) => callback(error, null)
        )
      }
    })
    this.#client.on('disconnect', () => {
      this.#socket = undefined
      onDisconnect()
    })
  }

  get isOpen(): boolean {
    return this.#socket !== undefined && !this.#socket.destroyed
  }

  /** Closes at once; a request under way fails. */
  close(): void {
    this.#closing.abort()
    // Resolves when the socket is gone; nobody waits for that.
    void this.#client.destroy()
  }

  /**
   * Sends one request and reads its whole answer.
   *
   * @param connectMilliseconds for name, TCP and TLS together, if there is no connection yet
   * @param expiry aborted when the time for the whole call is over
   * @throws OutboundError
   */
  exchange(request: ExchangeRequest, connectMilliseconds: number, expiry: AbortSignal): Promise<Answer> {
    this.#connectMilliseconds = connectMilliseconds
    this.#readBefore = this.#socket?.bytesRead ?? 0
    // Twice, since chunks of a few bytes are bad manners but no attack.
    this.#readLimit = 2 * request.maximumAnswerBytes + FRAMING_BYTES
    return new Promise((resolve, reject) => {
      const exchange = new Exchange(request, expiry, (error, answer) => {
        if (answer !== undefined) return resolve(answer)
        this.close()
        reject(error)
      })
      this.#exchange = exchange
      const { method, path, headers, body } = request
      this.#client.dispatch({ method, path, headers: { ...headers }, body: body ?? null }, exchange)
    })
  }

  #opened(socket: Socket): void {
    this.#socket = socket
    this.#readBefore = socket.bytesRead
    // The parser skips chunk extensions and the like without end, so this counts what comes, whatever it is.
    socket.on('readable', () => {
      const limit = this.#exchange?.hasHeaders ? this.#readLimit : EARLY_BYTES
      if (socket.bytesRead - this.#readBefore > limit) {
        socket.destroy(
          new OutboundError('too-large', 'after-sent', 'too large: an answer that is mostly framing')
        )
      }
    })
  }
}
