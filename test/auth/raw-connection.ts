import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** A connection on which every byte is the test's own. */
export class RawConnection {
  readonly #socket: Socket
  #received = ''
  isClosed = false
  /** Not `once`, which takes an error before it for a failure. */
  readonly #closed: Promise<void>

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setEncoding('latin1')
    socket.on('data', text => {
      this.#received += text
    })
    // Being cut off is what many of these tests are about.
    socket.on('error', () => {})
    this.#closed = new Promise(resolve => {
      socket.on('close', () => {
        this.isClosed = true
        resolve()
      })
    })
  }

  static async open(url: string): Promise<RawConnection> {
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    await once(socket, 'connect')
    return new RawConnection(socket)
  }

  get received(): string {
    return this.#received
  }

  write(bytes: string | Buffer): void {
    this.#socket.write(bytes)
  }

  /** Waits until what has been received matches, or the other side closed. */
  async until(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.#received) && !this.isClosed) {
      await Promise.race([once(this.#socket, 'data'), this.#closed])
    }
    return this.#received
  }

  async untilClosed(): Promise<string> {
    if (!this.isClosed) await this.#closed
    return this.#received
  }

  close(): void {
    this.#socket.destroy()
  }
}
