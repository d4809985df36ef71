import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** A connection on which every byte is the test's own. */
export class RawConnection {
  readonly #socket: Socket
  #received = ''
  isClosed = false

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setEncoding('latin1')
    socket.on('data', text => {
      this.#received += text
    })
    // Being cut off is what many of these tests are about.
    socket.on('error', () => {})
    socket.on('close', () => {
      this.isClosed = true
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
      await Promise.race([once(this.#socket, 'data'), once(this.#socket, 'close')])
    }
    return this.#received
  }

  async untilClosed(): Promise<string> {
    if (!this.isClosed) await once(this.#socket, 'close')
    return this.#received
  }

  close(): void {
    this.#socket.destroy()
  }
}
