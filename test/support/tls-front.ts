import { once } from 'node:events'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import type { Certificate } from './certificates.js'

/** Whoever speaks TLS for a server that speaks plain HTTP on loopback. */
export interface TlsFront {
  readonly port: number
  /** Names that clients asked for, one for each handshake that ended well. */
  readonly served: string[]
  /** Bytes that came through TLS. */
  readonly received: () => number
  /** From now on; those who are connected are cut off. */
  show(certificate: Certificate): void
  /** Answers every request with this instead of the server's answer; undefined: the server's. */
  answer(raw: string | undefined): void
  close(): Promise<void>
}

export async function startTlsFront(upstream: number, certificate: Certificate): Promise<TlsFront> {
  const open = new Set<Socket>()
  const served: string[] = []
  let received = 0
  let canned: string | undefined
  const server = createServer(certificate, (secured: TLSSocket) => {
    served.push(secured.servername || '')
    secured.on('data', (piece: Buffer) => {
      received += piece.length
    })
    secured.on('error', () => {})
    if (canned !== undefined) {
      const answer = canned
      secured.once('data', () => secured.end(answer))
      return
    }
    const plain = connect(upstream, '127.0.0.1')
    plain.on('error', () => secured.destroy())
    secured.on('close', () => plain.destroy())
    secured.pipe(plain).pipe(secured)
  })
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
  })
  server.on('tlsClientError', () => {})
  const cutOff = (): void => {
    for (const socket of open) socket.destroy()
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    served,
    received: () => received,
    show(other) {
      server.setSecureContext(other)
      cutOff()
    },
    answer(raw) {
      canned = raw
      cutOff()
    },
    async close() {
      const closed = once(server, 'close')
      server.close()
      cutOff()
      await closed
    }
  }
}
