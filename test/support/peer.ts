import { EventEmitter, once } from 'node:events'
import {
  createServer as createHttpServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse
} from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Certificate } from './certificates.js'

/** A request as it came. */
export interface ReceivedRequest {
  readonly method: string
  /** Path and query. */
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** Answers one request, in whatever bad manner; `response.socket` takes raw bytes. */
export type Script = (request: ReceivedRequest, response: ServerResponse) => void | Promise<void>

/**
 * A host that does what the test says, over HTTP or HTTPS on loopback. A request that nobody scripted, and a script
 * that nobody asked for, fail the test in `close`.
 */
export class ScriptedHost {
  readonly requests: ReceivedRequest[] = []
  /** Connections accepted so far. */
  connections = 0
  readonly #open = new Set<Socket>()
  readonly #closes = new EventEmitter()
  readonly #server: Server
  readonly #always = new Map<string, Script>()
  readonly #once = new Map<string, Script[]>()
  readonly #problems: string[] = []
  #isCutting = false

  private constructor(certificate: Certificate | undefined) {
    const listener = (request: IncomingMessage, response: ServerResponse) => {
      this.#answer(request, response).catch((error: unknown) => {
        this.#problems.push(`${request.method} ${request.url}: ${error}`)
        response.destroy()
      })
    }
    this.#server =
      certificate === undefined ? createHttpServer(listener) : createHttpsServer({ ...certificate }, listener)
    this.#server.on('connection', (socket: Socket) => {
      this.connections += 1
      if (this.#isCutting) {
        socket.resetAndDestroy()
        return
      }
      this.#open.add(socket)
      // Hostile scripts write into connections that the client has cut off.
      socket.on('error', () => {})
      socket.on('close', () => {
        this.#open.delete(socket)
        this.#closes.emit('closed')
      })
    })
    this.#server.on('tlsClientError', () => {})
  }

  static async start(certificate?: Certificate): Promise<ScriptedHost> {
    const host = new ScriptedHost(certificate)
    host.#server.listen(0, '127.0.0.1')
    await once(host.#server, 'listening')
    return host
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Waits until no more connections than this are open. */
  async untilOpen(count: number): Promise<void> {
    while (this.#open.size > count) await once(this.#closes, 'closed')
  }

  /** `127.0.0.1:port`, as a domain of the `local` network. */
  get domain(): string {
    return `127.0.0.1:${this.port}`
  }

  /** @param route for instance `POST /submit`; without a query: whatever the query is */
  always(route: string, script: Script): this {
    this.#always.set(route, script)
    return this
  }

  /** Each of them once, in this order, before what `always` says. */
  next(route: string, ...scripts: readonly Script[]): this {
    const waiting = this.#once.get(route) ?? []
    this.#once.set(route, [...waiting, ...scripts])
    return this
  }

  /** How many requests came for this path. */
  count(path: string): number {
    return this.requests.filter(request => request.path === path).length
  }

  /** From now on cuts every connection at once, until the function that it answers is called. */
  cutConnections(): () => void {
    this.#isCutting = true
    this.reset()
    return () => {
      this.#isCutting = false
    }
  }

  /** Cuts every connection without a goodbye. */
  reset(): void {
    for (const socket of this.#open) socket.resetAndDestroy()
  }

  /** @throws if anything happened that was not scripted, or did not happen that was */
  async close(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.reset()
    await closed
    for (const [route, scripts] of this.#once) {
      if (scripts.length > 0)
        this.#problems.push(`${route}: ${scripts.length} expected requests did not come`)
    }
    if (this.#problems.length > 0) throw new Error(this.#problems.join('\n'))
  }

  async #answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = Buffer.concat(await message.toArray())
    const { method = '', url: path = '', headers } = message
    const request = { method, path, headers, body }
    this.requests.push(request)
    const route = `${method} ${path}`
    const [withoutQuery = ''] = route.split('?')
    const script = this.#once.get(route)?.shift() ?? this.#always.get(route) ?? this.#always.get(withoutQuery)
    if (script === undefined) throw new Error('nobody expected this request')
    await script(request, response)
  }
}

/** A proper answer. */
export function json(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Script {
  return (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
  }
}

/** Exactly these bytes, then the connection stays as it is. */
export function raw(...pieces: readonly (string | Buffer)[]): Script {
  return (_request, response) => {
    for (const piece of pieces) response.socket?.write(piece)
  }
}

/** These bytes, then the end of the connection in the middle of whatever it was. */
export function truncated(bytes: string): Script {
  return (_request, response) => {
    response.socket?.end(bytes)
  }
}

/** The request is taken and never answered. */
export const silent: Script = () => {}

/** The request is taken, and the connection broken. */
export const reset: Script = (_request, response) => {
  response.socket?.resetAndDestroy()
}

export function redirect(status: number, location: string): Script {
  return (_request, response) => {
    response.writeHead(status, { location }).end()
  }
}

/** These bytes first, then others again and again, as fast as they are taken. */
export function endless(first: string, repeated: string): Script {
  return async (_request, response) => {
    const socket = response.socket
    socket?.write(first)
    const cutOff = new AbortController()
    socket?.once('close', () => cutOff.abort())
    const block = Buffer.from(repeated.repeat(Math.ceil(16_384 / repeated.length)))
    while (socket?.writable) {
      // A client that cuts off is what these scripts are for.
      if (!socket.write(block)) await once(socket, 'drain', { signal: cutOff.signal }).catch(() => {})
    }
  }
}

/** These bytes first, then one other byte every few milliseconds: never idle, never done. */
export function dripping(first: string, byte: string): Script {
  return (_request, response) => {
    const socket = response.socket
    socket?.write(first)
    const timer = setInterval(() => socket?.write(byte), 5)
    socket?.once('close', () => clearInterval(timer))
  }
}
