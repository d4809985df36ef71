import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { overlayEndpoints } from '../../federation/api/overlay.js'
import { createOutboundDoor } from '../../federation/channel/guarded-fetch.js'
import { createPeerClient } from '../../federation/channel/peer-client.js'
import type { VerifiedAuthorization } from '../../federation/overlay/advertiser.js'
import { type FundedTransaction, MadeUpFunding } from '../../federation/overlay/funding.js'
import { createOverlay, type Overlay, type OverlayOptions } from '../../federation/overlay/overlay.js'
import { formatRoutingText, signRoutingText } from '../../federation/phip/routing-authorization.js'
import { createTokenScript, signTokenSpend } from '../../federation/phip/token.js'
import { signWithdrawalText, type Withdrawal } from '../../federation/phip/withdrawal.js'
import { createApp } from '../../src/app.js'
import { readConfiguration } from '../../src/config.js'
import { mountEndpoints } from '../../src/endpoint.js'
import { KeyDeriver } from '../../src/keys/key-deriver.js'
import { createLogger } from '../../src/logger.js'
import { createMetrics } from '../../src/metrics.js'
import { UNLIMITED } from '../../src/rates/rates.js'
import { curve, TestUser } from './client.js'
import { createTestDatabase } from './database.js'

/** The overlay half of a node with its endpoints on a port of its own, and nothing else. */
export interface OverlayNode {
  readonly url: string
  readonly domain: string
  readonly keys: KeyDeriver
  readonly overlay: Overlay
  /** Moved by hand. */
  readonly clock: { time: number; now(): number }
  /** Recipients whose hosts were said to have changed, in hex. */
  readonly changed: string[]
  /** Requests received, as `POST /submit`. */
  readonly requests: string[]
  query<Row>(text: string, values?: readonly unknown[]): Promise<Row[]>
  /** Operators of the recipient's hosts, as routing sees them; hex. */
  liveHosts(recipient: TestUser): Promise<string[]>
  /** Stops listening: to others it is down. */
  goDown(): Promise<void>
  comeBack(): Promise<void>
  remove(): Promise<void>
}

export interface OverlayNodeOptions {
  /** Base URLs. */
  readonly peers?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly overlay?: Partial<OverlayOptions>
}

/** A port that answers nothing until it is told what. */
interface Port {
  readonly server: Server
  readonly number: number
  listener: RequestListener
}

export async function startOverlayNode(name: string, options: OverlayNodeOptions = {}): Promise<OverlayNode> {
  return build(name, await openPort(), options)
}

/** Nodes that know each other as peers. */
export async function startOverlayMesh(
  names: readonly string[],
  options: Omit<OverlayNodeOptions, 'peers'> = {}
): Promise<OverlayNode[]> {
  const ports = await Promise.all(names.map(openPort))
  return Promise.all(
    names.map((name, own) => {
      const others = ports.filter((_, index) => index !== own)
      return build(name, ports[own]!, {
        ...options,
        peers: others.map(port => `http://localhost:${port.number}`)
      })
    })
  )
}

async function build(name: string, port: Port, options: OverlayNodeOptions): Promise<OverlayNode> {
  const { database, connectionString, drop } = await createTestDatabase()
  const domain = `localhost:${port.number}`
  const { privateKey } = new TestUser(`overlay node ${name}`)
  const { config } = readConfiguration({
    PORT: String(port.number),
    PUBLIC_DOMAIN: domain,
    DATABASE_URL: connectionString,
    SERVER_PRIVATE_KEY: privateKey.toString('hex'),
    PEERS: (options.peers ?? []).join(','),
    ...options.environment
  })
  const keys = new KeyDeriver(curve, privateKey)
  const clock = { time: Date.now(), now: () => clock.time }
  const logger = createLogger('silent')
  const context = { config, logger, clock, curve, keys, database }
  const door = createOutboundDoor({ network: config.network, logger })
  const changed: string[] = []
  const overlay = await createOverlay({
    context,
    door,
    peerClient: createPeerClient({ keys, door, clock, logger }),
    onHostsChanged: recipient => changed.push(recipient),
    ...options.overlay
  })

  const handle = createApp({
    context: { ...context, clock: { now: Date.now }, metrics: createMetrics() },
    endpoints: mountEndpoints(overlayEndpoints, { overlay }),
    epoch: { bornAt: 0, renew: async () => undefined },
    draining: { active: false },
    rates: UNLIMITED
  }).callback()
  const requests: string[] = []
  port.listener = (request, response) => {
    requests.push(`${request.method} ${request.url}`)
    return handle(request, response)
  }

  const query = <Row>(text: string, values?: readonly unknown[]): Promise<Row[]> =>
    database.query<Row>({ name: '', text }, values)
  const goDown = async (): Promise<void> => {
    port.server.close()
    port.server.closeAllConnections()
    await once(port.server, 'close')
  }
  return {
    url: `http://${domain}`,
    domain,
    keys,
    overlay,
    clock,
    changed,
    requests,
    query,
    async liveHosts({ identityKey }) {
      const text = `select encode(operator_key, 'hex') as key from live_hosts($1)`
      const rows = await query<{ key: string }>(text, [Buffer.from(identityKey, 'hex')])
      return rows.map(({ key }) => key)
    },
    goDown,
    async comeBack() {
      port.server.listen(port.number, '127.0.0.1')
      await once(port.server, 'listening')
    },
    async remove() {
      await overlay.stop()
      if (port.server.listening) await goDown()
      door.close()
      await drop()
    }
  }
}

async function openPort(): Promise<Port> {
  const port: { listener: RequestListener } = {
    listener: (_, response) => void response.writeHead(503).end()
  }
  const server = createServer((request, response) => port.listener(request, response))
  server.listen(0, '127.0.0.1').unref()
  await once(server, 'listening')
  const { port: number } = server.address() as AddressInfo
  return Object.assign(port, { server, number })
}

/** Somebody waits until somebody else opens. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => {}
  const opened = new Promise<void>(resolve => {
    open = resolve
  })
  return { opened, open }
}

/** What a recipient hands to a node so that it advertises for him. */
export function authorization(
  node: Pick<OverlayNode, 'keys' | 'domain'>,
  recipient: TestUser,
  boxExpression?: string
): VerifiedAuthorization {
  const text = routingText(node, boxExpression)
  return {
    recipient: recipient.identityKey,
    boxExpression,
    recipientSignature: signRoutingText(recipient.keys, text)
  }
}

export function withdrawal(
  node: Pick<OverlayNode, 'keys' | 'domain'>,
  recipient: TestUser,
  boxExpression?: string
): Withdrawal {
  const text = routingText(node, boxExpression)
  return { recipient: recipient.identityKey, text, signature: signWithdrawalText(recipient.keys, text) }
}

function routingText({ keys, domain }: Pick<OverlayNode, 'keys' | 'domain'>, boxExpression?: string): string {
  return formatRoutingText({ hostKey: keys.identityKey, domain, boxExpression })
}

export interface MadeToken extends FundedTransaction {
  readonly keys: KeyDeriver
  readonly script: Uint8Array
}

/** A token of any operator, in a transaction that nobody knows yet. */
export async function makeToken(
  host: Pick<OverlayNode, 'keys' | 'domain'>,
  recipient: TestUser,
  boxExpression?: string
): Promise<MadeToken> {
  const script = createTokenScript(host.keys, {
    ...authorization(host, recipient, boxExpression),
    domain: host.domain
  })
  return { ...(await fundScripts([script])), keys: host.keys, script }
}

/** A transaction with these scripts, one satoshi each. */
export function fundScripts(scripts: readonly Uint8Array[], satoshis = 1): Promise<FundedTransaction> {
  return new MadeUpFunding().fund(
    scripts.map(lockingScript => ({ lockingScript, satoshis })),
    []
  )
}

/** Spends the first output of a transaction. */
export function spend(
  { txid, beef }: FundedTransaction,
  sign: (digest: Uint8Array) => Uint8Array
): Promise<FundedTransaction> {
  return new MadeUpFunding().fund([], [{ txid, outputIndex: 0, beef, sign }])
}

export function spendToken(token: MadeToken): Promise<FundedTransaction> {
  return spend(token, digest => signTokenSpend(token.keys, digest))
}

/** An operator that is only a key and a domain. */
export function operator(name: string): Pick<OverlayNode, 'keys' | 'domain'> {
  return { keys: new TestUser(`operator ${name}`).keys, domain: `${name}.example` }
}

export interface OverlayAnswer {
  readonly status: number
  readonly type: string | null
  readonly bytes: Buffer
  // biome-ignore lint/suspicious/noExplicitAny: each test knows what it asked for
  readonly json: any
}

export async function call(
  node: Pick<OverlayNode, 'url'>,
  path: string,
  body?: Uint8Array | string,
  headers: Record<string, string> = {}
): Promise<OverlayAnswer> {
  const answer = await fetch(
    `${node.url}${path}`,
    body === undefined ? {} : { method: 'POST', body, headers }
  )
  const bytes = Buffer.from(await answer.arrayBuffer())
  const type = answer.headers.get('content-type')
  return {
    status: answer.status,
    type,
    bytes,
    json: type?.startsWith('application/json') ? JSON.parse(bytes.toString()) : undefined
  }
}

export function submit(
  node: Pick<OverlayNode, 'url'>,
  body: Uint8Array,
  headers: Record<string, string> = {}
): Promise<OverlayAnswer> {
  const usual = { 'content-type': 'application/octet-stream', 'x-topics': '["tm_phip"]' }
  return call(node, '/submit', body, { ...usual, ...headers })
}

export function lookUp(
  node: Pick<OverlayNode, 'url'>,
  query: unknown,
  headers: Record<string, string> = {},
  service = 'ls_phip'
): Promise<OverlayAnswer> {
  return call(node, '/lookup', JSON.stringify({ service, query }), {
    'content-type': 'application/json',
    ...headers
  })
}
