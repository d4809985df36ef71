import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { scheduler } from 'node:timers/promises'
import { senderAuthorizationText } from '../../federation/origin/sender-authorization.js'
import { formatRoutingText, signRoutingText } from '../../federation/phip/routing-authorization.js'
import { readConfiguration } from '../../src/config.js'
import { signPortably } from '../../src/keys/portable-signature.js'
import { createLogger } from '../../src/logger.js'
import { createNode, type Node, type NodeOptions } from '../../src/node.js'
import { TestUser } from './client.js'
import { createTestDatabase, type TestDatabase } from './database.js'

/** A real node of the `local` network in this process, on a database of its own. */
export interface TestNode {
  readonly name: string
  readonly url: string
  readonly domain: string
  readonly identityKey: string
  readonly databases: TestDatabase
  /** Stops it; its database stays. */
  stop(): Promise<void>
  /** Starts it again on the same port and database. */
  restart(): Promise<void>
  /** Stops it and drops its database. */
  remove(): Promise<void>
  readonly node: Node
}

/** What a client must know of a node. */
export type NodeAddress = Pick<TestNode, 'url' | 'domain' | 'identityKey'>

export interface TestNodeOptions {
  readonly port?: number
  /** Base URLs. */
  readonly peers?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly options?: Partial<NodeOptions>
}

/** A port that was free a moment ago: nodes must know each other's before they start. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** The same name is the same identity key. */
export async function startTestNode(name: string, options: TestNodeOptions = {}): Promise<TestNode> {
  const databases = await createTestDatabase()
  const port = options.port ?? (await freePort())
  const configuration = readConfiguration({
    PORT: String(port),
    ADMIN_PORT: '0',
    PUBLIC_DOMAIN: `localhost:${port}`,
    DATA_DIR: join(tmpdir(), `peerserv-node-${randomUUID()}`),
    DATABASE_URL: databases.connectionString,
    SERVER_PRIVATE_KEY: new TestUser(`node ${name}`).privateKey.toString('hex'),
    PEERS: (options.peers ?? []).join(','),
    DRAIN_SECONDS: '0',
    ...options.environment
  })
  const start = () => createNode(configuration, { logger: createLogger('silent'), ...options.options })
  let node = await start()
  return {
    name,
    url: `http://localhost:${port}`,
    domain: `localhost:${port}`,
    identityKey: node.context.keys.identityKey,
    databases,
    get node() {
      return node
    },
    stop: () => node.stop(),
    async restart() {
      node = await start()
    },
    async remove() {
      await node.stop()
      await databases.drop()
    }
  }
}

/** Some nodes that know each other as overlay hosts. */
export async function startMesh(
  names: readonly string[],
  options: Omit<TestNodeOptions, 'port' | 'peers'> = {}
): Promise<TestNode[]> {
  const ports = await Promise.all(names.map(freePort))
  return Promise.all(
    names.map((name, i) =>
      startTestNode(name, {
        ...options,
        port: ports[i]!,
        peers: ports.filter((_, other) => other !== i).map(port => `http://localhost:${port}`)
      })
    )
  )
}

/** The recipient makes this node one of his homes. */
export async function authorizeRouting(
  user: TestUser,
  node: NodeAddress,
  boxExpression?: string
): Promise<void> {
  const message = formatRoutingText({ hostKey: node.identityKey, domain: node.domain, boxExpression })
  const signature = signRoutingText(user.keys, message).toString('hex')
  const answer = await user.post(node.url, '/authorizeRouting', { message, signature })
  if (answer.status !== 200) throw new Error(`authorizeRouting: ${answer.status} ${answer.body}`)
}

/**
 * The sender lets this node vouch for him.
 *
 * @param given when, ms since 1970
 */
export async function authorizeSending(
  user: TestUser,
  node: NodeAddress,
  given: number = Date.now()
): Promise<void> {
  const expires = given + 30 * 24 * 60 * 60_000
  const signature = signPortably(user.keys, senderAuthorizationText(node.identityKey, given, expires))
  const answer = await user.post(node.url, '/authorizeSending', { given, expires, signature })
  if (answer.status !== 200) throw new Error(`authorizeSending: ${answer.status} ${answer.body}`)
}

export interface ListedMessage {
  readonly messageId: string | number
  readonly body: string
  readonly sender: string
  readonly envelopeId: string
  readonly origin: string
}

export async function listMessages(
  user: TestUser,
  node: NodeAddress,
  messageBox: string
): Promise<ListedMessage[]> {
  const answer = await user.post(node.url, '/listMessages', { messageBox })
  if (answer.status !== 200) throw new Error(`listMessages: ${answer.status} ${answer.body}`)
  return answer.json.messages as ListedMessage[]
}

/** Asks again and again until the condition holds; rejects after the time limit, ms. */
export async function until<T>(
  ask: () => Promise<T>,
  holds: (value: T) => boolean,
  limit = 40_000
): Promise<T> {
  const end = performance.now() + limit
  for (;;) {
    const value = await ask()
    if (holds(value)) return value
    if (performance.now() > end) throw new Error(`not reached in ${limit} ms: ${JSON.stringify(value)}`)
    await scheduler.wait(10)
  }
}
