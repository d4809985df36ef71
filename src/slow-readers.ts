import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { readKernelQueues } from './kernel-queues.js'
import { ANSWER_PIECE } from './large-answers.js'
import type { MinimumRate } from './request-body.js'

export interface SlowReaderOptions {
  readonly minimumRate: MinimumRate
  /** How often connections are looked at, ms. */
  readonly checkMilliseconds: number
  readonly readQueues: typeof readKernelQueues
}

/** How far an answer had got. */
interface Progress {
  /** Bytes that the other side has confirmed since the connection began. */
  readonly confirmed: number
  /** ms */
  readonly at: number
}

/**
 * Closes connections whose answers wait here while the other side hardly reads. Of what is written in pieces the piece
 * under way is not counted, so that much more must have been read than the rate asks for: no steady reader of 16 KiB/s
 * is ever closed. Where the kernel does not tell, nobody is closed here, only after a minute without any progress.
 */
export function closeSlowReaders(server: Server, options: SlowReaderOptions): void {
  const { minimumRate, checkMilliseconds, readQueues } = options
  const least = minimumRate.bytes + ANSWER_PIECE
  const sockets = new Set<Socket>()
  /** Those whose answers waited when they were looked at last; undefined: for the first time. */
  let before = new Map<Socket, Progress | undefined>()
  let isBusy = false

  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  const timer = setInterval(() => {
    if (isBusy) return
    isBusy = true
    void look().finally(() => {
      isBusy = false
    })
  }, checkMilliseconds).unref()
  server.once('close', () => clearInterval(timer))

  async function look(): Promise<void> {
    const waiting = [...sockets].filter(({ writableLength }) => writableLength > 0)
    // Most answers are gone by the next look; the kernel is asked about the others.
    const asked = waiting.filter(socket => before.has(socket))
    const left = new Map(asked.map(socket => [socket, leftHere(socket)]))
    const unconfirmed = asked.length > 0 ? await readQueues() : undefined
    const now = performance.now()
    const after = new Map<Socket, Progress | undefined>(waiting.map(socket => [socket, undefined]))
    for (const socket of asked) {
      const queued = unconfirmed?.(socket)
      // What has left while the kernel was asked may be in its answer or not; and it shows that somebody reads.
      if (queued !== undefined && left.get(socket) === leftHere(socket)) {
        after.set(socket, judge(socket, leftHere(socket) - queued, now))
      }
    }
    before = after
  }

  function judge(socket: Socket, confirmed: number, now: number): Progress {
    const progress = before.get(socket)
    if (progress === undefined) return { confirmed, at: now }
    if (confirmed - progress.confirmed >= least) {
      // Node itself hears of progress as seldom as everybody else.
      if (socket.timeout !== undefined) socket.setTimeout(socket.timeout)
      return { confirmed, at: now }
    }
    if (now - progress.at >= minimumRate.milliseconds) socket.destroy()
    return progress
  }
}

/** Bytes that the kernel has taken. */
function leftHere(socket: Socket): number {
  return socket.bytesWritten - socket.writableLength
}
