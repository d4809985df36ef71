import { randomUUID } from 'node:crypto'
import type { Server as HttpServer } from 'node:http'
import { Server } from 'socket.io'
import { clientAddressFinder } from '../client-address.js'
import { refuseUpgrade } from '../http-server.js'
import { LiveSocket, type LiveSocketContext, longestFrame } from './live-socket.js'
import { PacketAllowance } from './packet-allowance.js'

export interface Sockets {
  /** Tells every client to connect elsewhere, and closes all. */
  close(): Promise<void>
}

export interface SocketsOptions extends LiveSocketContext {
  /** Within which a client proves who it is, ms. */
  readonly proofMilliseconds?: number
}

/** As stock clients ask for it. */
const PATH = '/socket.io'
const PROOF_MILLISECONDS = 15_000
/** Of all clients of this process together; a socket costs some 50 KiB. */
const SOCKETS_AT_MOST = 20_000

/**
 * Live clients over socket.io 4 on the node's own port (`/socket.io`), speaking BRC-103 as @bsv/authsocket-client does: the
 * one event `authMessage`, both ways. What the events inside mean is in socket-events.ts.
 */
export function attachSockets(server: HttpServer, options: SocketsOptions): Sockets {
  const { context, proofMilliseconds = PROOF_MILLISECONDS } = options
  const { config, logger, processNumber, rates } = context
  const addressOf = clientAddressFinder(config.trustedProxies)
  const io = new Server(server, {
    serveClient: false,
    path: PATH,
    destroyUpgrade: false,
    maxHttpBufferSize: longestFrame(config.limits),
    // Every client is told its own arrivals, signed for it: there are no rooms to keep for it.
    connectTimeout: PROOF_MILLISECONDS,
    perMessageDeflate: false,
    httpCompression: false,
    cors: { origin: '*' },
    allowRequest: (request, answer) => {
      const count = async () => {
        if (io.engine.clientsCount >= SOCKETS_AT_MOST) throw new Error('too many sockets')
        await rates.stranger(addressOf(request))
      }
      count().then(
        () => answer(null, true),
        () => answer('refused', false)
      )
    }
  })
  server.on('upgrade', (request, socket) => {
    if (request.url?.startsWith(`${PATH}/`) !== true) refuseUpgrade(socket)
  })
  // While a client polls, each request must reach this process: a proxy sees by the prefix which one it is.
  io.engine.generateId = () => `${processNumber}.${randomUUID()}`
  io.on('connection', socket => {
    const { conn } = socket
    let waitingBytes = 0
    conn.on('drain', () => {
      waitingBytes = 0
    })
    const live = new LiveSocket(options, {
      address: addressOf(socket.request),
      get waitingBytes() {
        return waitingBytes
      },
      send(message, bytes) {
        waitingBytes += bytes
        socket.emit('authMessage', message)
      },
      // As if the line had broken, so that clients connect again by themselves.
      close: () => conn.close(),
      cut: () => conn.close(true)
    })
    const allowance = new PacketAllowance()
    conn.on('packet', ({ data }: { readonly data?: unknown }) => {
      if (!allowance.packet()) conn.close(true)
      else if (typeof data === 'string') live.arriving(data.length)
    })
    const timer = setTimeout(() => {
      if (!live.isProven) socket.disconnect(true)
    }, proofMilliseconds)
    socket.on('authMessage', (message: unknown) => {
      allowance.wasMessage()
      live.receive(message)
    })
    socket.on('disconnect', () => {
      clearTimeout(timer)
      live.stop()
    })
    socket.on('error', error => logger.debug({ err: error }, 'a socket failed'))
  })
  return {
    async close() {
      io.disconnectSockets(true)
      io.engine.close()
    }
  }
}
