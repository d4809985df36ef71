import type { Config, Configuration, Network } from '../config.js'
import type { Node } from '../node.js'
import { framed } from './output.js'

const GO_PUBLIC: Readonly<Record<Network, string>> = {
  local:
    'Go public     NETWORK=private PUBLIC_DOMAIN=<your host name>, behind a proxy with TLS (docs/operations.md)',
  private: 'Go public     a proxy with TLS in front (docs/operations.md); others name you in PEERS',
  test: 'Go public     a proxy with TLS in front (docs/operations.md)',
  main: 'Go public     a proxy with TLS in front (docs/operations.md)'
}

/** Where the queue is. */
export type Queue = 'postgres' | 'redis'

export function queueOf({ secrets }: Configuration): Queue {
  return secrets.redisUrl === undefined ? 'postgres' : 'redis'
}

/** What `start` says of a node once it runs. */
export interface Introduction {
  /** For a program. */
  readonly summary: object
  /** For a person. */
  readonly box: string
  /** For a person, one sentence each. */
  readonly warnings: readonly string[]
  /** The process that says it. */
  readonly process: {
    readonly number: number
    readonly pid: number
    readonly adminUrl: string
    /** At which it alone is reached; null without PROCESS_PORTS. */
    readonly url: string | null
  }
}

export function introduce(node: Node, queue: Queue): Introduction {
  const { context, adminUrl, processUrl, key } = node
  return {
    summary: summaryOf(node, queue),
    box: summaryBox(node, queue),
    warnings: key.warnings,
    process: { number: context.processNumber, pid: process.pid, adminUrl, url: processUrl ?? null }
  }
}

function summaryOf(node: Node, queue: Queue) {
  const { config, keys, curve } = node.context
  return {
    event: 'started',
    identityKey: keys.identityKey,
    url: node.url ?? null,
    adminUrl: node.adminUrl,
    domain: config.publicDomain,
    network: config.network,
    role: config.role,
    dataDirectory: config.dataDirectory,
    key: node.key.origin,
    database: node.database,
    queue,
    curve: curve.name
  }
}

function summaryBox(node: Node, queue: Queue): string {
  const { config, keys, curve } = node.context
  const database = node.database === 'embedded' ? 'embedded Postgres, in the data folder' : 'DATABASE_URL'
  return framed([
    `peerserv runs on network ${config.network}${config.role === 'all' ? '' : `, role ${config.role}`}`,
    '',
    `Identity key  ${keys.identityKey}`,
    `Key from      ${node.key.origin}${node.key.isNew ? ' (made just now: keep a copy)' : ''}`,
    `URL           ${node.url ?? 'none (a worker)'}`,
    `Known as      ${config.publicDomain}`,
    `Admin         ${node.adminUrl}${config.processes === 1 ? '' : ' (process 0; each has its own)'}`,
    ...severalProcesses(config),
    `Data folder   ${config.dataDirectory}`,
    `Database      ${database}`,
    `Queue         ${queue === 'redis' ? 'REDIS_URL' : 'on Postgres'}`,
    `Curve         secp256k1, ${curve.name}`,
    '',
    ...firstMessage(node),
    GO_PUBLIC[config.network],
    ...unfunded(config)
  ])
}

function severalProcesses({ processes, processPorts }: Config): string[] {
  if (processes === 1) return []
  const ports =
    processPorts === undefined ? '' : `, on ports ${processPorts} to ${processPorts + processes - 1} too`
  return [`Processes     ${processes}${ports}`]
}

function firstMessage({ url }: Node): string[] {
  if (url === undefined) return []
  const { port } = new URL(url)
  const where = port === '8080' ? '' : ` --node ${port}`
  return [
    'Try it        npx peerserv keygen alice',
    '              npx peerserv keygen bob',
    `              npx peerserv send --as alice --to bob --body hello${where}`,
    `              npx peerserv list --as bob${where}`
  ]
}

function unfunded({ network }: Config): string[] {
  if (network === 'local' || network === 'private') return []
  return [
    '',
    'No wallet yet: nothing can be advertised here, and /authorizeRouting answers 503 ERR_NO_FUNDING.'
  ]
}
