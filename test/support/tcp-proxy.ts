import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { scheduler } from 'node:timers/promises'

/**
 * What a proxy does with connections. All but `refuse` leave what is established alone until bytes come.
 *
 * - `refuse`: nobody listens, and what was connected is reset
 * - `black-hole`: connections are taken, and what is sent into them vanishes
 * - `half-open`: after its next answer a connection is dead without either side being told; a new one has one answer
 * - `reset-after-request`: the request arrives, and the connection is reset when its answer comes
 * - `cut-answer`: half of the answer's first bytes come, then the end
 * - `delay`: every piece is late, either way
 * - `duplicate`: the same bytes reach the server on a second connection too; its answers vanish
 * - `throttle`: so many bytes a second, either way
 */
export const PROXY_MODES = [
  'pass',
  'refuse',
  'black-hole',
  'half-open',
  'reset-after-request',
  'cut-answer',
  'delay',
  'duplicate',
  'throttle'
] as const
export type ProxyMode = (typeof PROXY_MODES)[number]

export interface ProxySettings {
  /** Of those exchanges that a mode breaks every n-th; 1: all. */
  readonly every?: number
  /** Of `delay`, ms. */
  readonly delay?: number
  /** Of `throttle`, bytes a second. */
  readonly rate?: number
}

const DEFAULTS: Required<ProxySettings> = { every: 1, delay: 100, rate: 64 * 1024 }

/** Bytes in either direction since the start. */
export interface ProxyCounts {
  connections: number
  up: number
  down: number
}

/** A TCP proxy on loopback that misbehaves as it is told, also while connections are open. */
export class TcpProxy {
  readonly counts: ProxyCounts = { connections: 0, up: 0, down: 0 }
  readonly port: number
  /** A port of 127.0.0.1, or the path of a Unix socket. */
  readonly upstream: number | string
  /** Called with what vanishes in a black hole. */
  onSwallowed: ((chunk: Buffer) => void) | undefined
  #server: Server
  #mode: ProxyMode = 'pass'
  #settings = DEFAULTS
  #exchanges = 0
  readonly #open = new Set<ProxiedConnection>()

  private constructor(server: Server, upstream: number | string) {
    this.#server = server
    this.port = (server.address() as AddressInfo).port
    this.upstream = upstream
  }

  static async start(upstream: number | string): Promise<TcpProxy> {
    const proxy = new TcpProxy(await listen(0), upstream)
    proxy.#accept()
    return proxy
  }

  get mode(): ProxyMode {
    return this.#mode
  }

  get settings(): Required<ProxySettings> {
    return this.#settings
  }

  /** Resolves when the mode is in force. */
  async switch(mode: ProxyMode, settings: ProxySettings = {}): Promise<void> {
    const before = this.#mode
    this.#mode = mode
    this.#settings = { ...DEFAULTS, ...settings }
    if (mode === 'refuse' && before !== 'refuse') await this.#unlisten()
    if (mode !== 'refuse' && before === 'refuse') {
      this.#server = await listen(this.port)
      this.#accept()
    }
  }

  /** Cuts every connection without a goodbye. */
  reset(): void {
    for (const connection of this.#open) connection.reset()
  }

  /** True for those exchanges that the mode is to break. */
  isHit(): boolean {
    return this.#exchanges++ % this.#settings.every === 0
  }

  async stop(): Promise<void> {
    if (this.#mode !== 'refuse') await this.#unlisten()
  }

  async #unlisten(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.reset()
    await closed
  }

  #accept(): void {
    this.#server.on('connection', (client: Socket) => {
      this.counts.connections++
      const connection = new ProxiedConnection(this, client)
      this.#open.add(connection)
      client.once('close', () => this.#open.delete(connection))
    })
  }
}

async function listen(port: number): Promise<Server> {
  const server = createServer({ noDelay: true }).listen(port, '127.0.0.1')
  await once(server, 'listening')
  return server
}

/** One connection of a client, and the one to the server that belongs to it. */
class ProxiedConnection {
  readonly #proxy: TcpProxy
  readonly #client: Socket
  readonly #server: Socket
  /** Gets what the server gets, while the mode is `duplicate`. */
  #second: Socket | undefined
  /** Whatever comes from now on vanishes. */
  #isDead = false
  /** Bytes of a request have passed, and none of its answer. */
  #isAsked = false

  constructor(proxy: TcpProxy, client: Socket) {
    this.#proxy = proxy
    this.#client = client
    this.#server = this.#connect()
    this.#forward(client, this.#server, chunk => this.#up(chunk))
    this.#forward(this.#server, client, chunk => this.#down(chunk))
  }

  reset(): void {
    this.#client.resetAndDestroy()
    this.#server.destroy()
    this.#second?.destroy()
  }

  #connect(): Socket {
    const { upstream } = this.#proxy
    if (typeof upstream === 'string') return connect(upstream)
    return connect({ port: upstream, host: '127.0.0.1', noDelay: true })
  }

  /** Passes pieces on in their order, as soon as the one before has been dealt with. */
  #forward(from: Socket, to: Socket, passed: (chunk: Buffer) => Promise<Buffer | undefined>): void {
    from.on('error', () => {})
    const pump = async () => {
      for await (const chunk of from) {
        const rest = await passed(chunk)
        if (rest !== undefined && to.writable && !to.write(rest)) {
          await Promise.race([once(to, 'drain'), once(to, 'close')])
        }
      }
      if (!this.#isDead) to.end()
    }
    // A reset is passed on as one.
    pump().catch(() => {
      if (!this.#isDead) this.reset()
    })
  }

  async #up(chunk: Buffer): Promise<Buffer | undefined> {
    const { mode, counts } = this.#proxy
    if (mode === 'black-hole') {
      this.#proxy.onSwallowed?.(chunk)
      this.#die()
    }
    if (this.#isDead) return undefined
    counts.up += chunk.length
    await this.#pace(chunk)
    if (mode === 'duplicate') this.#repeat(chunk)
    this.#isAsked = true
    return chunk
  }

  async #down(chunk: Buffer): Promise<Buffer | undefined> {
    const { mode, counts } = this.#proxy
    if (this.#isDead) return undefined
    const begins = this.#isAsked
    this.#isAsked = false
    if (begins && mode === 'reset-after-request' && this.#proxy.isHit()) {
      this.reset()
      return undefined
    }
    counts.down += chunk.length
    await this.#pace(chunk)
    if (begins && mode === 'cut-answer' && this.#proxy.isHit()) {
      this.#client.end(chunk.subarray(0, chunk.length / 2))
      this.#server.destroy()
      return undefined
    }
    // An answer may come in pieces; the next request is what finds nobody.
    if (begins && mode === 'half-open' && this.#proxy.isHit()) setImmediate(() => this.#die())
    return chunk
  }

  #die(): void {
    this.#isDead = true
    this.#server.destroy()
    this.#second?.destroy()
  }

  async #pace(chunk: Buffer): Promise<void> {
    const { mode, settings } = this.#proxy
    if (mode === 'delay') await scheduler.wait(settings.delay)
    if (mode === 'throttle') await scheduler.wait((chunk.length / settings.rate) * 1000)
  }

  #repeat(chunk: Buffer): void {
    // It must begin where a request does.
    if (this.#second === undefined && !this.#isAsked) {
      this.#second = this.#connect()
      this.#second.on('error', () => {}).resume()
      this.#client.once('close', () => this.#second?.destroy())
    }
    if (this.#second?.writable === true) this.#second.write(chunk)
  }
}
