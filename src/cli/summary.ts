import type { Config, Network } from '../config.js'
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

/** What runs, for a program. */
export function summaryOf(node: Node, queue: Queue) {
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

/** What runs, for a person: the box that `start` prints. */
export function summaryBox(node: Node, queue: Queue): string {
  const { config, keys, curve } = node.context
  const database = node.database === 'embedded' ? 'embedded Postgres, in the data folder' : 'DATABASE_URL'
  return framed([
    `peerserv runs on network ${config.network}${config.role === 'all' ? '' : `, role ${config.role}`}`,
    '',
    `Identity key  ${keys.identityKey}`,
    `Key from      ${node.key.origin}${node.key.isNew ? ' (made just now: keep a copy)' : ''}`,
    `URL           ${node.url ?? 'none (a worker)'}`,
    `Known as      ${config.publicDomain}`,
    `Admin         ${node.adminUrl}`,
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
