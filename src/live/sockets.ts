import { randomUUID } from 'node:crypto'
import type { Server as HttpServer } from 'node:http'
import { Server } from 'socket.io'
import { clientAddressFinder } from '../client-address.js'
import { refuseUpgrade } from '../http-server.js'
import { AUTHRITE_GREETING, AuthriteProtocol, isAuthriteConnection } from './authrite-protocol.js'
import { BRC103_EVENT, Brc103Protocol } from './brc103-protocol.js'
import { LiveSocket, type LiveSocketContext, longestFrame } from './live-socket.js'
import { PacketAllowance } from './packet-allowance.js'

export interface Sockets {
  /** Tells every client to connect elsewhere, and closes all. */
  close(): Promise<void>
}

export interface SocketsOptions extends LiveSocketContext {
  /** Within which a client of BRC-103 proves who it is, ms. */
  readonly proofMilliseconds?: number
  /** The same for Authrite, ms. */
  readonly authriteProofMilliseconds?: number
}

/** As stock clients ask for it. */
const PATH = '/socket.io'
const PROOF_MILLISECONDS = 15_000
/** Nothing obliges its clients to say anything: they are made to connect again. */
const AUTHRITE_PROOF_MILLISECONDS = 300_000
/** Of all clients of this process together; a socket costs some 50 KiB. */
const SOCKETS_AT_MOST = 20_000

/**
 * Live clients over socket.io 4 on the node's own port (`/socket.io`), speaking BRC-103 as @bsv/authsocket-client does, or
 * Authrite as authrite-js does. What the events mean is in socket-events.ts.
 */
export function attachSockets(server: HttpServer, options: SocketsOptions): Sockets {
  const {
    context,
    auth,
    proofMilliseconds = PROOF_MILLISECONDS,
    authriteProofMilliseconds = AUTHRITE_PROOF_MILLISECONDS
  } = options
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
    const { headers } = socket.handshake
    const isAuthrite = isAuthriteConnection(headers)
    const address = addressOf(socket.request)
    const countStranger = () => rates.stranger(address)
    const live = new LiveSocket(
      options,
      {
        get waitingBytes() {
          return waitingBytes
        },
        send({ eventName, content, bytes }) {
          waitingBytes += bytes
          socket.emit(eventName, content)
        },
        // As if the line had broken, so that clients connect again by themselves.
        close: () => conn.close(),
        cut: () => conn.close(true)
      },
      isAuthrite ? new AuthriteProtocol(auth, countStranger) : new Brc103Protocol(auth, countStranger)
    )
    const allowance = new PacketAllowance()
    conn.on('packet', ({ data }: { readonly data?: unknown }) => {
      if (!allowance.packet()) conn.close(true)
      else if (typeof data === 'string') live.arriving(data.length)
    })
    const giveUp = (): void => {
      if (live.isProven) return
      if (isAuthrite) conn.close()
      else socket.disconnect(true)
    }
    const timer = setTimeout(giveUp, isAuthrite ? authriteProofMilliseconds : proofMilliseconds)
    const receive = (eventName: string, content: unknown): void => {
      allowance.wasMessage()
      live.receive(eventName, content)
    }
    if (isAuthrite) {
      live.receive(AUTHRITE_GREETING, headers)
      // Whatever it is called, it is judged, and counted in the rates.
      socket.onAny(receive)
    } else {
      socket.on(BRC103_EVENT, content => receive(BRC103_EVENT, content))
    }
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
