import { lookup, Resolver } from 'node:dns/promises'
import { connect as connectTcp, isIP, type LookupFunction, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Network } from '../../src/config.js'
import { forbiddenRange } from './addresses.js'
import { codeOf, OutboundError } from './outbound-error.js'
import type { Destination } from './outbound-url.js'

/** All addresses of a name, as text. Rejects, or answers none, if there is none. */
export type Resolve = (hostname: string, signal: AbortSignal) => Promise<readonly string[]>

/** The last step before the network: TCP to one of these addresses, all of which were judged. */
export type Connector = (target: DialTarget) => Socket

export interface DialTarget {
  readonly hostname: string
  readonly port: number
  /** One at least. */
  readonly addresses: readonly string[]
}

export interface DialOptions {
  readonly network: Network
  readonly resolve: Resolve
  readonly connector: Connector
  /** PEM; instead of the certificate authorities that Node.js trusts. */
  readonly ca: string | undefined
}

/** A name may have thousands of addresses; all are judged, this many are tried. */
const ADDRESSES_TRIED = 6
/** How long an address that does not answer is waited for if there is another, ms (RFC 8305, section 5). */
const ATTEMPT_MILLISECONDS = 250

/**
 * Resolves, judges, connects, and on `https:` shakes hands; the connection leads to an address that was judged.
 *
 * One forbidden address among the answers refuses the name: a host that mixes them is not to be trusted with the
 * choice. The resolver is asked once for each connection, so there is no second answer that could differ.
 *
 * @param signal ends the attempt
 * @param milliseconds for all of it
 * @throws OutboundError `refused-address`, `dns`, `connect` or `tls`, always `before-sent`
 */
export async function dial(
  destination: Destination,
  options: DialOptions,
  signal: AbortSignal,
  milliseconds: number
): Promise<Socket> {
  const limit = new AbortController()
  const end = () => limit.abort()
  const timer = setTimeout(end, milliseconds)
  signal.addEventListener('abort', end)
  try {
    return await connectJudged(destination, options, limit.signal)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', end)
  }
}

async function connectJudged(
  destination: Destination,
  options: DialOptions,
  limit: AbortSignal
): Promise<Socket> {
  const { hostname, port } = destination
  const addresses = await judgedAddresses(destination, options, limit)
  const socket = options.connector({ hostname, port, addresses: addresses.slice(0, ADDRESSES_TRIED) })
  await opened('connect', socket, 'connect', limit)
  if (destination.protocol === 'http:') return socket
  const secured = connectTls({
    socket,
    host: hostname,
    // SNI has names only; certificates for literal addresses (on `local`) are checked by `host`.
    servername: destination.isAddress ? '' : hostname,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
    // Explicit: the environment (NODE_TLS_REJECT_UNAUTHORIZED) must not be able to weaken this.
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    ALPNProtocols: ['http/1.1']
  })
  await opened('tls', secured, 'secureConnect', limit)
  return secured
}

/** Tries the addresses in turn, and takes the first that connects. */
export const connectDirectly: Connector = ({ hostname, port, addresses }) => {
  const judged = addresses.map(address => ({ address, family: isIP(address) }))
  const judgedLookup: LookupFunction = (_hostname, _options, callback) => callback(null, judged)
  return connectTcp({
    host: hostname,
    port,
    lookup: judgedLookup,
    noDelay: true,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: ATTEMPT_MILLISECONDS
  })
}

/**
 * The node's resolver. On `local` the system's, which knows /etc/hosts. Elsewhere DNS alone: no search suffix makes
 * an internal name of a public one, and a hostile, silent name server holds up none of the process's few
 * getaddrinfo threads.
 *
 * @param servers name servers (`address:port`) instead of the system's
 */
export function createResolve(network: Network, servers?: readonly string[]): Resolve {
  return network === 'local' ? resolveBySystem : (hostname, signal) => resolveByDns(hostname, signal, servers)
}

const resolveBySystem: Resolve = async hostname => {
  const answers = await lookup(hostname, { all: true })
  return answers.map(answer => answer.address)
}

async function resolveByDns(
  hostname: string,
  signal: AbortSignal,
  servers: readonly string[] | undefined
): Promise<readonly string[]> {
  // One for each name: it can be cancelled without the others, and knows the servers of now.
  const resolver = new Resolver({ timeout: 1_000, tries: 2 })
  if (servers !== undefined) resolver.setServers(servers)
  const cancel = () => resolver.cancel()
  signal.addEventListener('abort', cancel)
  try {
    const answers = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)])
    const addresses = answers.flatMap(answer => (answer.status === 'fulfilled' ? answer.value : []))
    const failure = answers.find(answer => answer.status === 'rejected')
    if (addresses.length === 0 && failure !== undefined) throw failure.reason
    return addresses
  } finally {
    signal.removeEventListener('abort', cancel)
  }
}

async function judgedAddresses(
  { hostname, isAddress }: Destination,
  { resolve, network }: DialOptions,
  limit: AbortSignal
): Promise<readonly string[]> {
  const addresses = isAddress ? [hostname] : await step('dns', resolve(hostname, limit), limit)
  if (addresses.length === 0) throw new OutboundError('dns', 'before-sent', 'dns: no address')
  for (const address of addresses) {
    const range = forbiddenRange(address, network)
    if (range !== undefined) {
      throw new OutboundError('refused-address', 'before-sent', `refused address: ${address} is ${range}`)
    }
  }
  return addresses
}

async function opened(
  kind: 'connect' | 'tls',
  socket: Socket,
  event: 'connect' | 'secureConnect',
  limit: AbortSignal
): Promise<void> {
  const opening = new Promise<void>((resolve, reject) => {
    socket.once(event, resolve)
    // Stays for good: a later error concerns whoever uses the socket then, and must never end the process.
    socket.on('error', reject)
    socket.once('close', () => reject(new OutboundError(kind, 'before-sent', `${kind}: closed`)))
  })
  try {
    await step(kind, opening, limit)
  } catch (error) {
    socket.destroy()
    throw error
  }
}

/** Waits for one step, at most until the limit, and names what failed in it. */
function step<T>(kind: 'dns' | 'connect' | 'tls', work: Promise<T>, limit: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const expire = () => reject(new OutboundError(kind, 'before-sent', `${kind}: not in time`))
    limit.addEventListener('abort', expire)
    if (limit.aborted) expire()
    work
      .then(resolve, (error: unknown) => {
        if (error instanceof OutboundError) reject(error)
        else reject(new OutboundError(kind, 'before-sent', `${kind}: ${codeOf(error)}`, { cause: error }))
      })
      .finally(() => limit.removeEventListener('abort', expire))
  })
}
