import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { addressBlock } from './rates/address-block.js'

/** Connections that are open at once in this process. */
export interface ConnectionLimits {
  readonly total: number
  /** From one address (IPv6: one /64); many people may share one. */
  readonly perAddress: number
  /** A proxy brings the connections of everybody: only the total counts. */
  readonly isTrustedProxy: (address: string) => boolean
}

/** Connections on which nothing is being answered, those that have waited longest first. */
class Waiting {
  /** Have not brought a whole request yet. */
  readonly #fresh = new Set<Socket>()
  /** Had an answer, and wait for another request. */
  readonly #idle = new Set<Socket>()

  add(socket: Socket, isFresh: boolean): void {
    const room = isFresh ? this.#fresh : this.#idle
    room.add(socket)
  }

  remove(socket: Socket): void {
    this.#fresh.delete(socket)
    this.#idle.delete(socket)
  }

  /** The one whose loss hurts least; the newcomer only where nobody else waits. */
  dispensable(newcomer: Socket): Socket {
    for (const socket of this.#fresh) if (socket !== newcomer) return socket
    for (const socket of this.#idle) return socket
    return newcomer
  }
}

/** One address. */
interface Holder {
  readonly block: string
  readonly waiting: Waiting
  connections: number
}

interface Connection {
  readonly holder: Holder | undefined
  /** Requests that are being answered. */
  answering: number
  /** A live client's from now on: bounded by live/sockets.ts, and here only in the sum of its address. */
  isUpgraded: boolean
}

/**
 * Bounds the connections of a server. Where there are too many, room is made by closing one on which nothing is being
 * answered, rather than by turning a newcomer away: who opens connections only to hold them drives out his own.
 */
export function limitConnections(server: Server, limits: ConnectionLimits): void {
  const everybody = new Waiting()
  const holders = new Map<string, Holder>()
  const connections = new Map<Socket, Connection>()

  server.on('connection', (socket: Socket) => {
    const holder = holderFor(socket)
    connections.set(socket, { holder, answering: 0, isUpgraded: false })
    everybody.add(socket, true)
    holder?.waiting.add(socket, true)
    socket.once('close', () => release(socket, holder))
    if (holder !== undefined && holder.connections > limits.perAddress) {
      holder.waiting.dispensable(socket).destroy()
    } else if (connections.size > limits.total) {
      everybody.dispensable(socket).destroy()
    }
  })

  server.prependListener('request', ({ socket }, response) => {
    const connection = connections.get(socket)
    if (connection === undefined) return
    connection.answering++
    everybody.remove(socket)
    connection.holder?.waiting.remove(socket)
    response.once('close', () => {
      connection.answering--
      if (connection.answering > 0 || connection.isUpgraded || !connections.has(socket)) return
      everybody.add(socket, false)
      connection.holder?.waiting.add(socket, false)
    })
  })

  // It is silent most of the time, and would be the first to be closed for a newcomer.
  server.prependListener('upgrade', (_request, stream) => {
    const socket = stream as Socket
    const connection = connections.get(socket)
    if (connection === undefined) return
    connection.isUpgraded = true
    connections.delete(socket)
    everybody.remove(socket)
    connection.holder?.waiting.remove(socket)
  })

  function holderFor({ remoteAddress }: Socket): Holder | undefined {
    if (remoteAddress === undefined || limits.isTrustedProxy(remoteAddress)) return undefined
    const block = addressBlock(remoteAddress)
    const holder = holders.get(block) ?? { block, waiting: new Waiting(), connections: 0 }
    holders.set(block, holder)
    holder.connections++
    return holder
  }

  function release(socket: Socket, holder: Holder | undefined): void {
    connections.delete(socket)
    everybody.remove(socket)
    if (holder === undefined) return
    holder.waiting.remove(socket)
    holder.connections--
    if (holder.connections === 0) holders.delete(holder.block)
  }
}
