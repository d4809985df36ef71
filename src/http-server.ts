import { createServer, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type Koa from 'koa'
import { type ConnectionLimits, limitConnections } from './connections.js'
import { readKernelQueues } from './kernel-queues.js'
import { MINIMUM_RATE, type MinimumRate } from './request-body.js'
import type { RequestState } from './request-state.js'
import { EVERY_ANSWER, FOR_BROWSERS } from './response-headers.js'
import { closeSlowReaders } from './slow-readers.js'

/**
 * All headers of a request together, bytes. Node's 16 KiB are too few for `x-bsv-payment`, which carries a
 * transaction with its ancestry (BRC-105); a megabyte is too many for what any stranger may make us hold on each of
 * thousands of connections. So it is what a stranger may send as a body; larger payments travel in bodies.
 */
export const MAX_HEADER_BYTES = 65_536

/** What no connection may exceed; times in ms. */
export interface ServerLimits {
  readonly connections: ConnectionLimits
  /** From the opening of the connection, or the first byte of a later request, to the end of the headers. */
  readonly headersMilliseconds: number
  /** How often it is looked for connections that are too slow. */
  readonly checkMilliseconds: number
  /** Of whoever reads a long answer. */
  readonly readingRate: MinimumRate
}

const DEFAULT_LIMITS: ServerLimits = {
  connections: {
    total: Number.POSITIVE_INFINITY,
    perAddress: Number.POSITIVE_INFINITY,
    isTrustedProxy: () => false
  },
  headersMilliseconds: 10_000,
  checkMilliseconds: 1_000,
  readingRate: MINIMUM_RATE
}

const SERVER_OPTIONS = {
  maxHeaderSize: MAX_HEADER_BYTES,
  /** None for the whole request: 16 MiB over a slow but steady line take minutes. readBody watches the rate. */
  requestTimeout: 0,
  /** Longer than the usual minute of proxies, so that it is they who close idle connections. */
  keepAliveTimeout: 65_000
}

/** No byte in either direction, ms. Longer than any handler may take. */
const SILENCE_MILLISECONDS = 60_000

/** What Node's parser says, and what the client is told; anything else is 400. */
const REFUSALS: Readonly<Record<string, readonly [status: number, code: string, description: string]>> = {
  HPE_HEADER_OVERFLOW: [
    431,
    'ERR_HEADERS_TOO_LARGE',
    `All headers together exceed ${MAX_HEADER_BYTES} bytes.`
  ],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'ERR_REQUEST_TIMEOUT', 'The request headers came too slowly.'],
  UPGRADE: [400, 'ERR_MALFORMED_REQUEST', 'Only connections to /socket.io can be upgraded.']
}
const MALFORMED = [400, 'ERR_MALFORMED_REQUEST', 'This is not a well-formed HTTP/1.1 request.'] as const

/**
 * The HTTP server around the app, with limits for what comes before any middleware runs and after the last. Not
 * listening yet.
 *
 * @param limits the defaults of docs/protocol.md, and any number of connections, where absent
 * @param attach what takes some requests from the app, as sockets do; those are within the limits, too
 */
export function createHttpServer(
  app: Koa<RequestState>,
  limits: Partial<ServerLimits> = {},
  attach: (server: Server) => void = () => undefined
): Server {
  const { connections, headersMilliseconds, checkMilliseconds, readingRate } = {
    ...DEFAULT_LIMITS,
    ...limits
  }
  const timing = { headersTimeout: headersMilliseconds, connectionsCheckingInterval: checkMilliseconds }
  const server = createServer({ ...SERVER_OPTIONS, ...timing }, app.callback())
  server.timeout = SILENCE_MILLISECONDS
  // First, since it may hide requests from whoever listens already.
  attach(server)
  limitConnections(server, connections)
  closeSlowReaders(server, { minimumRate: readingRate, checkMilliseconds, readQueues: readKernelQueues })

  const answering = new WeakMap<Duplex, ServerResponse>()
  server.prependListener('request', (request, response) => answering.set(request.socket, response))
  // Whatever else is expected is not promised; left to Node, it would be refused without a body.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response))
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const response = answering.get(socket)
    // In the middle of an answer a second one would be read as part of it.
    const isMidAnswer = response?.headersSent === true && !response.writableFinished
    if (socket.writable && !isMidAnswer && error.code !== 'ECONNRESET') refuse(socket, error.code)
    else socket.destroy()
  })
  return server
}

/** Answers a request to speak another protocol, where it is no socket's. */
export function refuseUpgrade(socket: Duplex): void {
  refuse(socket, 'UPGRADE')
}

function refuse(socket: Duplex, reason = ''): void {
  const [status, code, description] = REFUSALS[reason] ?? MALFORMED
  const body = JSON.stringify({ status: 'error', code, description })
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    ...Object.entries({ ...EVERY_ANSWER, ...FOR_BROWSERS }).map(([name, value]) => `${name}: ${value}`),
    'connection: close'
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}
