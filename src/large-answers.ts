import type { ServerResponse } from 'node:http'
import { whenLeft } from './when-left.js'

/** Longer answers are written in pieces of this many bytes, each when the one before has left. */
export const ANSWER_PIECE = 65_536

/** Bytes of long answers that wait to be read, all together; the oldest of them are given up for new ones. */
const MOST_WAITING = 256 * 2 ** 20

/**
 * Writes long answers piece by piece, so that it can be seen how fast they are read (slow-readers.ts), and bounds the
 * memory that slow readers hold: an answer of 8 MiB costs them one request.
 */
export class LargeAnswers {
  readonly #mostWaiting: number
  readonly #waiting = new Map<ServerResponse, number>()
  #bytes = 0

  constructor(mostWaiting = MOST_WAITING) {
    this.#mostWaiting = mostWaiting
  }

  /** Of answers that are not read yet. */
  get waitingBytes(): number {
    return this.#bytes
  }

  /** The rest of an answer whose head was written. */
  end(response: ServerResponse, body: Buffer): void {
    if (body.length <= ANSWER_PIECE || response.req.method === 'HEAD' || response.destroyed) {
      response.end(body)
      return
    }
    this.#wait(response, body.length)
    write(response, body, 0)
  }

  #wait(response: ServerResponse, length: number): void {
    this.#waiting.set(response, length)
    this.#bytes += length
    whenLeft(response, () => {
      this.#waiting.delete(response)
      this.#bytes -= length
    })
    let excess = this.#bytes - this.#mostWaiting
    for (const [oldest, itsLength] of this.#waiting) {
      if (excess <= 0 || oldest === response) break
      excess -= itsLength
      // Not the answer, which may still wait behind another one and would never say that it is over.
      oldest.req.socket.destroy()
    }
  }
}

function write(response: ServerResponse, body: Buffer, from: number): void {
  const end = from + ANSWER_PIECE
  if (end >= body.length) {
    response.end(body.subarray(from))
    return
  }
  response.write(body.subarray(from, end), error => {
    if (!error) write(response, body, end)
  })
}
