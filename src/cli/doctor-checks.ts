import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createOutboundDoor } from '../../federation/channel/guarded-fetch.js'
import { OutboundError, type OutboundErrorKind } from '../../federation/channel/outbound-error.js'
import { domainToBaseUrl } from '../../federation/phip/domain.js'
import type { Config, Configuration } from '../config.js'
import type { IdentityKey } from '../keys/identity-key.js'
import { KeyDeriver } from '../keys/key-deriver.js'
import { KEY_FILE, loadIdentityKey } from '../keys/key-file.js'
import { createLogger } from '../logger.js'
import { isObject } from '../message.js'
import { StartError } from '../start-error.js'
import { createDatabase, statement } from '../storage/database.js'
import { CommandError } from './command.js'
import { curve } from './curve.js'
import { type Finding, failed, ok, skipped } from './finding.js'
import { jsonObject, NodeClient, parseNodeDocument } from './node-client.js'
import { duration } from './output.js'
import { pingRedis } from './redis-ping.js'
import { createAnonymous } from './user-key.js'

const silent = createLogger('silent')
const OLDEST_POSTGRES = 150_000
const ANSWER_BYTES = 64 * 1024

/** The process that this configuration starts, if it runs now. */
export interface RunningNode {
  readonly identityKey: IdentityKey | undefined
  /** `ok` or `away`, by what it depends on. */
  readonly checks: Readonly<Record<string, unknown>>
}

/** The node's own key, without making one. */
export function checkKey({ config, secrets }: Configuration): {
  finding: Finding
  identityKey?: IdentityKey
} {
  const isConfigured = secrets.privateKey !== undefined || secrets.privateKeyFile !== undefined
  if (!isConfigured && !existsSync(join(config.dataDirectory, KEY_FILE))) {
    return { finding: skipped('key', `none yet; the first start makes one in ${config.dataDirectory}`) }
  }
  try {
    const { privateKey, origin } = loadIdentityKey(curve, secrets, config.dataDirectory)
    const { identityKey } = new KeyDeriver(curve, privateKey)
    return { finding: ok('key', `${identityKey}, from ${origin}`), identityKey }
  } catch (error) {
    if (!(error instanceof StartError)) throw error
    return { finding: failed('key', error.message, 'give the right key, or correct the file') }
  }
}

/** @returns undefined if nothing answers where this configuration listens */
export async function findRunningNode({ config }: Configuration): Promise<RunningNode | undefined> {
  const base = localUrl(config)
  const ready = await get(base, '/readyz')
  if (ready === undefined) return undefined
  const checks = jsonObject(ready.body)?.checks
  const document = await get(base, '/.well-known/peerserv')
  return {
    identityKey: document && parseNodeDocument(document.status, document.body)?.identityKey,
    checks: isObject(checks) ? checks : {}
  }
}

export function checkNode(
  { config }: Configuration,
  node: RunningNode | undefined,
  identityKey: IdentityKey | undefined
): Finding {
  const url = localUrl(config)
  if (node === undefined) return skipped('node', `nothing runs at ${url}`, 'npm start')
  // A worker says no more than that it is well.
  if (config.role !== 'worker' && (node.identityKey === undefined || node.identityKey !== identityKey)) {
    const who = node.identityKey === undefined ? 'another program' : `another node, ${node.identityKey},`
    return failed('node', `${who} answers at ${url}`, 'stop it, or choose another PORT')
  }
  return ok('node', `runs at ${url}`)
}

export async function checkDatabase(
  { config, secrets }: Configuration,
  node: RunningNode | undefined
): Promise<Finding> {
  if (node?.checks.database === 'ok') return ok('database', 'the node reaches it')
  if (secrets.databaseUrl === undefined) {
    const where = `the embedded Postgres in ${config.dataDirectory}`
    if (node === undefined) return ok('database', `${where}; it starts with the node`)
    return failed(
      'database',
      `the node does not reach ${where}`,
      'look into its log; the node starts it again'
    )
  }
  const database = createDatabase({
    connectionString: secrets.databaseUrl,
    logger: silent,
    maxConnections: 2
  })
  try {
    const [row] = await database.query<{ version: number; name: string }>(VERSION)
    if (row !== undefined && row.version >= OLDEST_POSTGRES) return ok('database', `Postgres ${row.name}`)
    return failed('database', `it is Postgres ${row?.name}`, 'Postgres 15 or newer is needed')
  } catch (error) {
    return failed('database', `it does not answer (${reasonOf(error)})`, 'start it, or correct DATABASE_URL')
  } finally {
    await database.close()
  }
}

const VERSION = statement(
  'doctor-version',
  `select current_setting('server_version_num')::int as version, current_setting('server_version') as name`
)

export async function checkQueue(
  { secrets }: Configuration,
  node: RunningNode | undefined
): Promise<Finding> {
  if (node?.checks.queue === 'ok') return ok('queue', 'the node reaches it')
  if (secrets.redisUrl === undefined) return ok('queue', 'kept in Postgres, with the rest')
  try {
    await pingRedis(secrets.redisUrl)
    return ok('queue', 'Redis answers')
  } catch (error) {
    return failed('queue', `Redis does not answer (${reasonOf(error)})`, 'start it, or correct REDIS_URL')
  }
}

const DOMAIN_ADVICE: Readonly<Partial<Record<OutboundErrorKind, string>>> = {
  dns: 'make a DNS record for it, or correct PUBLIC_DOMAIN',
  connect: 'start the node, and the proxy in front of it; open port 443',
  tls: 'give the proxy a certificate for this name',
  'refused-address': 'its DNS record must lead to a public address',
  redirect: 'the proxy must not redirect: signatures name the path'
}

/** Reaches this node as its peers do: by its domain, under the rules of its network. */
export async function checkDomain(
  { config }: Configuration,
  node: RunningNode | undefined,
  identityKey: IdentityKey | undefined
): Promise<Finding> {
  const base = domainToBaseUrl(config.publicDomain, config.network)
  const door = createOutboundDoor({ network: config.network, logger: silent })
  try {
    const url = new URL('/.well-known/peerserv', base).href
    const { status, body } = await door.request({ url, method: 'GET', maximumAnswerBytes: ANSWER_BYTES })
    const document = parseNodeDocument(status, body)
    if (document === undefined) {
      return failed(
        'domain',
        `${base} answers, but not as a node (status ${status})`,
        'point the proxy at this node'
      )
    }
    if (document.identityKey === identityKey) return ok('domain', `${base} leads to this node`)
    return failed(
      'domain',
      `${base} leads to another node, ${document.identityKey}`,
      'correct PUBLIC_DOMAIN or the proxy'
    )
  } catch (error) {
    if (!(error instanceof OutboundError)) throw error
    if (node === undefined) return skipped('domain', `${base} is not reached while the node does not run`)
    const advice = DOMAIN_ADVICE[error.kind] ?? 'look at the proxy in front of the node'
    return failed('domain', `${base} is not reached (${error.message})`, advice)
  } finally {
    door.close()
  }
}

/** A handshake and a signed call, as any client makes them, by a user who has nothing here. */
export async function checkRoundTrip(
  { config }: Configuration,
  node: RunningNode | undefined
): Promise<Finding> {
  if (node === undefined) return skipped('round trip', 'the node does not run')
  if (config.role === 'worker') return skipped('round trip', 'this process takes no requests (ROLE worker)')
  const client = new NodeClient(localUrl(config), createAnonymous())
  const start = performance.now()
  try {
    await client.post('/listMessages', { messageBox: 'inbox' })
    return ok('round trip', `authenticated both ways, in ${duration(performance.now() - start)}`)
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    return failed('round trip', error.message, 'look into the log of the node')
  } finally {
    client.close()
  }
}

/** Where this configuration's process answers on this machine. */
function localUrl({ host, port, adminPort, role }: Config): string {
  if (role === 'worker') return `http://127.0.0.1:${adminPort}`
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host
  return `http://${name}:${port}`
}

async function get(base: string, path: string): Promise<{ status: number; body: Buffer } | undefined> {
  const door = createOutboundDoor({ network: 'local', logger: silent })
  try {
    return await door.request({ url: base + path, method: 'GET', maximumAnswerBytes: ANSWER_BYTES })
  } catch (error) {
    if (error instanceof OutboundError) return undefined
    throw error
  } finally {
    door.close()
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause instanceof Error ? error.cause : error
  return 'code' in cause ? String(cause.code) : cause.message
}
