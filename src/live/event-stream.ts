import { Readable } from 'node:stream'

/** What a client leaves unread for so long ends its stream, ms. */
const SLOW_MILLISECONDS = 20_000
/** Proxies and this server close what is silent for a minute. */
const PING_MILLISECONDS = 20_000
const BUFFER_BYTES = 256 * 1024

/** Server-Sent Events (WHATWG HTML, section 9.2) as a stream of bytes that holds little and ends with a slow reader. */
export class EventStream extends Readable {
  readonly #ping: NodeJS.Timeout
  #drained: (() => void) | undefined
  #isEnded = false

  constructor() {
    super({ highWaterMark: BUFFER_BYTES })
    this.#ping = setInterval(() => {
      // Whoever does not read what is there already needs no more of it.
      if (!this.#isEnded && this.readableLength === 0) this.push(': here\n\n')
    }, PING_MILLISECONDS)
    this.once('close', () => {
      clearInterval(this.#ping)
      this.#drained?.()
    })
  }

  /**
   * Resolves when the client has read enough that more may follow.
   *
   * @param data without line breaks, as from JSON.stringify
   * @throws Error if it does not read; the stream is over then
   */
  async send(event: string, id: string, data: string): Promise<void> {
    if (this.#isEnded || this.destroyed) throw new Error('the stream is over')
    if (this.push(`event: ${event}\nid: ${id}\ndata: ${data}\n\n`)) return
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.destroy()
        reject(new Error('the client does not read'))
      }, SLOW_MILLISECONDS)
      this.#drained = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  /** Ends it in order: what was sent before is still read. */
  end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.push(null)
  }

  override _read(): void {
    this.#drained?.()
    this.#drained = undefined
  }
}
