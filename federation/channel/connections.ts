import { Connection } from './connection.js'
import type { DialOptions } from './dial.js'
import { OutboundError } from './outbound-error.js'
import type { Destination } from './outbound-url.js'

interface Host {
  readonly all: Set<Connection>
  /** The one used last at the end: it is the least likely to have been closed. */
  readonly unused: Connection[]
  /** Calls that have a connection, or are about to. */
  calls: number
  /** Calls that wait for one, in order; each is woken by being called. */
  readonly waiting: Set<() => void>
}

/** The connections of all hosts: a few for each, kept for a while, and only for so many hosts. */
export class Connections {
  readonly #options: DialOptions
  readonly #perHost: number
  readonly #maximumHosts: number
  /** By origin; the host called last at the end. Only hosts with connections or calls. */
  readonly #hosts = new Map<string, Host>()

  /**
   * @param perHost connections to one host at the same time
   * @param maximumHosts hosts to which unused connections are kept
   */
  constructor(options: DialOptions, perHost: number, maximumHosts: number) {
    this.#options = options
    this.#perHost = perHost
    this.#maximumHosts = maximumHosts
  }

  /**
   * Lends a connection to `work`, waiting for a free one if the host has as many as it may.
   *
   * @throws OutboundError `timeout-before-headers`, `before-sent` if none became free before `expiry` was aborted
   */
  async use<T>(
    destination: Destination,
    expiry: AbortSignal,
    work: (connection: Connection) => Promise<T>
  ): Promise<T> {
    const host = this.#hostOf(destination.origin)
    if (host.calls < this.#perHost) host.calls += 1
    else await turn(host, expiry)
    const connection = openOf(host) ?? this.#create(destination, host)
    try {
      return await work(connection)
    } finally {
      if (connection.isOpen) host.unused.push(connection)
      else this.#drop(host, connection)
      this.#finish(destination.origin, host)
    }
  }

  /** Closes every connection at once. */
  close(): void {
    for (const host of this.#hosts.values()) {
      for (const connection of host.all) connection.close()
    }
  }

  #hostOf(origin: string): Host {
    const host = this.#hosts.get(origin) ?? { all: new Set(), unused: [], calls: 0, waiting: new Set() }
    this.#hosts.delete(origin)
    if (this.#hosts.size >= this.#maximumHosts) this.#forgetOldest()
    this.#hosts.set(origin, host)
    return host
  }

  /** Hosts with calls stay, whatever their number: the callers bound that. */
  #forgetOldest(): void {
    for (const [origin, host] of this.#hosts) {
      if (host.calls > 0) continue
      this.#hosts.delete(origin)
      for (const connection of host.all) connection.close()
      return
    }
  }

  #create(destination: Destination, host: Host): Connection {
    const connection = new Connection(destination, this.#options, () => {
      const place = host.unused.indexOf(connection)
      if (place === -1) return
      host.unused.splice(place, 1)
      this.#drop(host, connection)
      this.#forgetIfEmpty(destination.origin, host)
    })
    host.all.add(connection)
    return connection
  }

  #drop(host: Host, connection: Connection): void {
    host.all.delete(connection)
    connection.close()
  }

  #finish(origin: string, host: Host): void {
    const [next] = host.waiting
    if (next !== undefined) {
      next()
      return
    }
    host.calls -= 1
    this.#forgetIfEmpty(origin, host)
  }

  #forgetIfEmpty(origin: string, host: Host): void {
    // By identity: the same origin may have been forgotten and come back since.
    if (host.calls === 0 && host.all.size === 0 && this.#hosts.get(origin) === host)
      this.#hosts.delete(origin)
  }
}

function openOf(host: Host): Connection | undefined {
  for (let last = host.unused.pop(); last !== undefined; last = host.unused.pop()) {
    if (last.isOpen) return last
    host.all.delete(last)
  }
  return undefined
}

/** Waits until a call that ends passes on its place. */
function turn(host: Host, expiry: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const wake = () => {
      leave()
      resolve()
    }
    const expire = () => {
      leave()
      reject(new OutboundError('timeout-before-headers', 'before-sent', 'timeout: no connection became free'))
    }
    const leave = () => {
      host.waiting.delete(wake)
      expiry.removeEventListener('abort', expire)
    }
    host.waiting.add(wake)
    expiry.addEventListener('abort', expire)
  })
}
