import type { Network } from '../../src/config.js'
import type { Logger } from '../../src/logger.js'
import { Connections } from './connections.js'
import { type Connector, connectDirectly, createResolve, type Resolve } from './dial.js'
import type { Answer } from './exchange.js'
import { OutboundError } from './outbound-error.js'
import { parseOutboundUrl } from './outbound-url.js'

/** Bytes of an answer's body that are read from a peer. */
export const PEER_ANSWER_BYTES = 64 * 1024
/** Bytes of an answer's body that are read from an overlay host. */
export const OVERLAY_ANSWER_BYTES = 1024 * 1024

export interface OutboundRequest {
  /** In canonical form. */
  readonly url: string
  readonly method: 'GET' | 'POST'
  /** `host`, `content-length` and `accept-encoding` are added. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  readonly maximumAnswerBytes: number
  readonly timeouts?: Partial<Timeouts>
}

/** All in ms. */
export interface Timeouts {
  /** Name, TCP and TLS together. */
  readonly connect: number
  /** From the request's leaving until its answer's headers are complete. */
  readonly headers: number
  /** The whole call, waiting for a free connection included. */
  readonly total: number
}

export interface OutboundDoor {
  readonly network: Network
  /**
   * Makes one request and reads its whole answer: any status but 3xx, authenticated by nothing but TLS.
   *
   * @throws OutboundError, which says why there is no answer and whether the request may have arrived
   */
  request(request: OutboundRequest): Promise<Answer>
  /** Closes all connections at once: requests under way fail with `reset`, later ones with `connect`. */
  close(): void
}

export interface OutboundDoorOptions {
  readonly network: Network
  readonly logger: Logger
  /** Whether the operator lets this node deal with a domain (with its port, where it is not the usual one). */
  readonly servesDomain?: (domain: string) => boolean
  /** All addresses of a name; they are judged here. */
  readonly resolver?: Resolve
  /** TCP to an address that was judged. Tests put a loopback listener behind it; everything before it stays real. */
  readonly connector?: Connector
  /** PEM; instead of the certificate authorities that Node.js trusts. */
  readonly ca?: string
  /** Connections to one host at the same time. */
  readonly connectionsPerHost?: number
  /** Hosts to which unused connections are kept. */
  readonly hosts?: number
  /** For calls that state no others. */
  readonly timeouts?: Partial<Timeouts>
}

const TIMEOUTS: Timeouts = { connect: 5_000, headers: 10_000, total: 15_000 }

/**
 * The one door to the outside: whatever this node fetches from a peer or an overlay host goes through here.
 *
 * HTTPS on port 443 of public addresses only, except on the `local` network (outbound-url.ts, addresses.ts). No
 * redirect is followed, no proxy is taken from the environment, no compressed answer is unpacked.
 */
export function createOutboundDoor(options: OutboundDoorOptions): OutboundDoor {
  const { network, logger } = options
  const connections = new Connections(
    {
      network,
      resolve: options.resolver ?? createResolve(network),
      connector: options.connector ?? connectDirectly,
      ca: options.ca
    },
    options.connectionsPerHost ?? 24,
    options.hosts ?? 256
  )
  let isClosed = false

  async function request(call: OutboundRequest): Promise<Answer> {
    const destination = parseOutboundUrl(call.url, network)
    if (options.servesDomain?.(new URL(destination.origin).host) === false)
      throw new OutboundError('blocked', 'before-sent', 'blocked: the operator deals with no such domain')
    if (isClosed) throw new OutboundError('connect', 'before-sent', 'connect: the node is stopping')
    const timeouts = { ...TIMEOUTS, ...options.timeouts, ...call.timeouts }
    const exchange = {
      method: call.method,
      path: destination.path,
      headers: { ...call.headers, 'accept-encoding': 'identity' },
      body: call.body,
      maximumAnswerBytes: call.maximumAnswerBytes,
      headersMilliseconds: timeouts.headers
    }
    const expiry = new AbortController()
    const timer = setTimeout(() => expiry.abort(), timeouts.total)
    try {
      return await connections.use(destination, expiry.signal, connection =>
        connection.exchange(exchange, timeouts.connect, expiry.signal)
      )
    } finally {
      clearTimeout(timer)
    }
  }

  return {
    network,
    async request(call) {
      try {
        return await request(call)
      } catch (error) {
        if (
          error instanceof OutboundError &&
          (error.kind === 'refused-url' || error.kind === 'refused-address')
        ) {
          logger.warn({ url: call.url.slice(0, 256), reason: error.message }, 'refused to call out')
        }
        throw error
      }
    },
    close() {
      isClosed = true
      connections.close()
    }
  }
}
