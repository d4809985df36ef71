import { once } from 'node:events'
import type { Server as HttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { StartError } from './start-error.js'

/** One place to listen at. */
export interface Door {
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
  /** Which setting to change if the port is taken. */
  readonly setting: 'PORT' | 'ADMIN_PORT' | 'PROCESS_PORTS'
  /** All processes of the node listen here, and each connection goes to one of them; otherwise this process alone does. */
  readonly isShared: boolean
}

/** A server that takes connections. */
export interface Listening {
  /** Of each door, in their order. */
  readonly urls: readonly string[]
  /** Takes no new connections, lets requests that run finish, and closes connections that wait for another one. */
  close(): Promise<void>
}

/**
 * Lets one server take connections at several doors, so that its limits and whatever is attached to it count for all of them.
 *
 * @throws StartError if a port is taken or cannot be listened on
 */
export async function listen(server: HttpServer, doors: readonly Door[]): Promise<Listening> {
  const listeners: Server[] = []
  const close = async (): Promise<void> => {
    const closed = Promise.all(listeners.map(listener => once(listener, 'close')))
    for (const listener of listeners) listener.close()
    server.closeIdleConnections()
    await closed
  }
  const urls: string[] = []
  try {
    for (const door of doors) {
      const listener = listeners.length === 0 ? server : sideDoor(server)
      await listening(listener, door)
      listeners.push(listener)
      urls.push(urlOf(listener, door.host))
    }
  } catch (error) {
    await close()
    throw error
  }
  return { urls, close }
}

/** As the HTTP server listens itself: it answers whoever has said all that he has to say. */
function sideDoor(server: HttpServer): Server {
  return createServer({ allowHalfOpen: true, noDelay: true }, (socket: Socket) =>
    server.emit('connection', socket)
  )
}

async function listening(server: Server, { host, port, setting, isShared }: Door): Promise<void> {
  server.listen({ port, host, exclusive: !isShared })
  try {
    await once(server, 'listening')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'EADDRINUSE') {
      throw new StartError(
        `Port ${port} on ${host} is taken by another program; choose another one with ${setting}.`
      )
    }
    throw new StartError(`Cannot listen on port ${port} of ${host} (${String(code)}).`, { cause: error })
  }
}

function urlOf(server: Server, host: string): string {
  const { port } = server.address() as AddressInfo
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host.includes(':') ? `[${host}]` : host
  return `http://${name}:${port}`
}
