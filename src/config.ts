import { isIP } from 'node:net'
import type { Parser } from './config-parsers.js'
import { SETTINGS, type Setting, type SettingName, type Values } from './config-schema.js'
import { collect } from './config-source.js'
import type { RateLimits } from './rates/rates.js'
import { StartError } from './start-error.js'

/** What the node runs with; complete, checked and frozen. Secrets are not in it, so it can be logged. */
export interface Config {
  readonly host: string
  readonly port: number
  /** Port for metrics and steering on 127.0.0.1, of the first process; 0 picks a free one for each. */
  readonly adminPort: number
  /** Processes of this machine that share the work. */
  readonly processes: number
  /** The first process's own port; undefined: they have none. */
  readonly processPorts: number | undefined
  /** Absolute path. */
  readonly dataDirectory: string
  readonly network: Network
  /** What PHIP tokens name: a host name, on `local` possibly with a port (that of `port`, even if that is 0). */
  readonly publicDomain: string
  /** Base URLs of overlay hosts to start from, without trailing slash. */
  readonly peers: readonly string[]
  readonly role: Role
  readonly logLevel: string
  /** Addresses or CIDR ranges of proxies whose X-Forwarded-For is believed. */
  readonly trustedProxies: readonly string[]
  /** How long requests are still taken after SIGTERM, ms. */
  readonly drainMilliseconds: number
  /** How long mail waits for a host that fails all the time. */
  readonly giveUpMilliseconds: number
  /** Connections to Postgres at most, not counting the queue. */
  readonly databaseConnections: number
  /** What this node takes for a message if it has a wallet, satoshis by box. */
  readonly deliveryFees: ReadonlyMap<string, number>
  /** What calls cost, satoshis by path. */
  readonly prices: ReadonlyMap<string, number>
  readonly push: PushConfig
  /** Whether the page of the examples is served. */
  readonly servesExamples: boolean
  readonly limits: Limits
}

/** Telling devices that something has arrived; each service is off where its setting is undefined. */
export interface PushConfig {
  /** `mailto:` or `https:`, told to Web Push services. */
  readonly contact: string | undefined
  /** Absolute path. */
  readonly serviceAccountFile: string | undefined
  /** Of which devices are told. */
  readonly messageBoxes: readonly string[]
}

/** Of all ports. */
const MOST_PORT = 65_535

export type Network = 'local' | 'private' | 'test' | 'main'
export type Role = 'all' | 'api' | 'worker'

/** Limits that a client or a peer can hit; told in the node document (protocol section 7). */
export interface Limits {
  /** Whole request, bytes. */
  readonly requestBytes: number
  /** `message.body`, bytes of UTF-8. */
  readonly messageBodyBytes: number
  /** Messages in one answer of /listMessages. */
  readonly listMessages: number
  /** Bytes of bodies and payments in one answer of /listMessages. */
  readonly listBytes: number
  readonly recipientsPerSend: number
  /** What may wait for one recipient; encrypted messages without further proof that other hosts handed on are apart. */
  readonly messagesPerRecipient: number
  /** Bytes of bodies; of those apart as many again. */
  readonly bytesPerRecipient: number
  /** Of one sender, waiting for one recipient. */
  readonly messagesPerSender: number
  readonly boxesPerRecipient: number
  readonly devicesPerRecipient: number
  /** Those apart. */
  readonly sealedMessagesPerRecipient: number
  /** Those of one host, waiting for one recipient. */
  readonly sealedMessagesPerHost: number
  /** Seconds after which a message expires. */
  readonly timeToLive: number
  /** PHIP tokens that this host makes, and withdrawals that it publishes, a day (UTC). */
  readonly tokensPerDay: number
  readonly withdrawalsPerDay: number
  /** Each a minute. */
  readonly rates: RateLimits
  /** Open at once, of one process. */
  readonly connections: { readonly total: number; readonly perAddress: number }
}

/** What must not be logged; kept apart from Config. */
export interface Secrets {
  /** 32 bytes. */
  readonly privateKey: Uint8Array
  /** Postgres connection string; undefined runs the embedded Postgres. */
  readonly databaseUrl: string | undefined
  /** Redis connection string; undefined runs the queue on Postgres. */
  readonly redisUrl: string | undefined
  /** Of the node's wallet; undefined: it takes no fees. */
  readonly walletUrl: string | undefined
}

/** What the settings say about secrets; the identity key may still have to be read or made (keys/key-file.ts). */
export interface ConfiguredSecrets extends Omit<Secrets, 'privateKey'> {
  /** SERVER_PRIVATE_KEY: 32 bytes, not yet known to be in range. */
  readonly privateKey: Uint8Array | undefined
  /** SERVER_PRIVATE_KEY_FILE, absolute. */
  readonly privateKeyFile: string | undefined
}

export interface Configuration {
  readonly config: Config
  readonly secrets: ConfiguredSecrets
  /** For a person, one sentence each. */
  readonly warnings: readonly string[]
}

/** Every problem of the configuration, one line each; no secret is in it. */
export class ConfigurationError extends StartError {
  constructor(readonly problems: readonly string[]) {
    super(`The configuration is wrong:\n${problems.map(problem => `  - ${problem}`).join('\n')}`)
    this.name = 'ConfigurationError'
  }
}

/**
 * Reads the settings of config-schema.ts from the environment and from the file that CONFIG_FILE names.
 *
 * @param environment usually process.env
 * @throws ConfigurationError with every problem at once
 */
export function readConfiguration(environment: Readonly<Record<string, string | undefined>>): Configuration {
  const { texts, problems: unreadable, warnings } = collect(environment)
  const problems = [...unreadable]
  const values = parseAll(texts, problems)
  problems.push(...contradictions(values))
  if (problems.length > 0) throw new ConfigurationError(problems)
  return {
    config: toConfig(values),
    secrets: {
      privateKey: values.SERVER_PRIVATE_KEY,
      privateKeyFile: values.SERVER_PRIVATE_KEY_FILE,
      databaseUrl: values.DATABASE_URL,
      redisUrl: values.REDIS_URL,
      walletUrl: values.WALLET_URL
    },
    warnings
  }
}

/** What could not be parsed has its default here, so that contradictions are found in the same run. */
function parseAll(texts: ReadonlyMap<string, string>, problems: string[]): Values {
  const parse = <T>(name: string, { parser, fallback, secret }: Setting<T>): T | undefined => {
    const text = texts.get(name)
    const value = text === undefined ? undefined : parser.parse(text)
    if (text !== undefined && value === undefined) problems.push(problem(name, text, secret, parser))
    return value ?? (fallback === undefined ? undefined : parser.parse(fallback))
  }
  const entries = Object.entries<Setting<unknown>>(SETTINGS).map(([name, setting]) => [
    name,
    parse(name, setting)
  ])
  return Object.fromEntries(entries) as Values
}

function problem(name: string, text: string, secret: boolean, { expected }: Parser<unknown>): string {
  const shown = text.length > 100 ? `${text.slice(0, 100)}…` : text
  return `${name} is ${secret ? 'set (not shown here)' : JSON.stringify(shown)}; it may be ${expected}`
}

function contradictions(values: Values): string[] {
  const { NETWORK: network, PUBLIC_DOMAIN: domain, PEERS: peers } = values
  const found: string[] = []
  const say = (name: SettingName, text: string): number => found.push(`${name} ${text}`)
  if (network !== 'local') {
    if (domain === undefined)
      say('PUBLIC_DOMAIN', `is not set; NETWORK ${network} needs the name others reach this node by`)
    else if (domain.includes(':'))
      say('PUBLIC_DOMAIN', `is "${domain}"; a port is possible on NETWORK local only`)
    else if (!domain.includes('.') || isIP(domain) !== 0)
      say('PUBLIC_DOMAIN', `is "${domain}"; on NETWORK ${network} it is a name with at least one dot`)
    for (const peer of peers) {
      if (peer.startsWith('http:'))
        say('PEERS', `has "${peer}"; on NETWORK ${network} peers are reached by https only`)
    }
  }
  if (values.SERVER_PRIVATE_KEY !== undefined && values.SERVER_PRIVATE_KEY_FILE !== undefined) {
    say('SERVER_PRIVATE_KEY', 'is set, and SERVER_PRIVATE_KEY_FILE too; set one of them')
  }
  if (values.PRICES.size > 0 && values.WALLET_URL === undefined) {
    say('PRICES', 'is set, and WALLET_URL is not: nobody could take what is paid')
  }
  found.push(...portContradictions(values))
  if (values.LIMIT_BODY_BYTES > values.LIMIT_REQUEST_BYTES) {
    say(
      'LIMIT_BODY_BYTES',
      `is ${values.LIMIT_BODY_BYTES}, more than LIMIT_REQUEST_BYTES (${values.LIMIT_REQUEST_BYTES})`
    )
  }
  return found
}

/** Several processes take several ports from one on. */
function portContradictions({ PORT, PROCESSES, PROCESS_PORTS, ADMIN_PORT }: Values): string[] {
  const found = Object.entries({ ADMIN_PORT, PROCESS_PORTS })
    .filter(([, first]) => first !== undefined && first + PROCESSES - 1 > MOST_PORT)
    .map(
      ([name, first]) =>
        `${name} is ${first}; for PROCESSES ${PROCESSES} it may be ${MOST_PORT + 1 - PROCESSES} at most`
    )
  if (PROCESS_PORTS !== undefined && PROCESS_PORTS <= PORT && PORT < PROCESS_PORTS + PROCESSES) {
    found.push(
      `PROCESS_PORTS is ${PROCESS_PORTS}; from there on PROCESSES ${PROCESSES} take PORT (${PORT}) too`
    )
  }
  return found
}

function toConfig(values: Values): Config {
  const generosity = values.NETWORK === 'local' ? 1_000 : 1
  return Object.freeze({
    host: values.HOST,
    port: values.PORT,
    adminPort: values.ADMIN_PORT ?? adminPortFor(values.PORT, values.PROCESSES),
    processes: values.PROCESSES,
    processPorts: values.PROCESS_PORTS,
    dataDirectory: values.DATA_DIR,
    network: values.NETWORK,
    publicDomain: values.PUBLIC_DOMAIN ?? `localhost:${values.PORT}`,
    peers: Object.freeze(values.PEERS),
    role: values.ROLE,
    logLevel: values.LOG_LEVEL,
    trustedProxies: Object.freeze(values.TRUSTED_PROXIES),
    drainMilliseconds: values.DRAIN_SECONDS * 1_000,
    giveUpMilliseconds: values.LIMIT_DELIVERY_SECONDS * 1_000,
    databaseConnections: values.DATABASE_CONNECTIONS,
    deliveryFees: values.DELIVERY_FEES,
    prices: values.PRICES,
    push: Object.freeze({
      contact: values.PUSH_CONTACT,
      serviceAccountFile: values.FCM_SERVICE_ACCOUNT_FILE,
      messageBoxes: Object.freeze(values.PUSH_BOXES)
    }),
    servesExamples: values.EXAMPLES === 'on',
    limits: Object.freeze({
      requestBytes: values.LIMIT_REQUEST_BYTES,
      messageBodyBytes: values.LIMIT_BODY_BYTES,
      listMessages: values.LIMIT_LIST_MESSAGES,
      listBytes: values.LIMIT_LIST_BYTES,
      recipientsPerSend: values.LIMIT_RECIPIENTS,
      messagesPerRecipient: values.LIMIT_RECIPIENT_MESSAGES ?? 10_000 * generosity,
      bytesPerRecipient: values.LIMIT_RECIPIENT_BYTES ?? 2 ** 30 * generosity,
      messagesPerSender: values.LIMIT_SENDER_MESSAGES ?? 1_000 * generosity,
      boxesPerRecipient: values.LIMIT_RECIPIENT_BOXES,
      devicesPerRecipient: values.LIMIT_DEVICES,
      sealedMessagesPerRecipient: values.LIMIT_SEALED_MESSAGES ?? 5_000 * generosity,
      sealedMessagesPerHost: values.LIMIT_SEALED_HOST_MESSAGES ?? 1_000 * generosity,
      timeToLive: values.LIMIT_TIME_TO_LIVE,
      tokensPerDay: values.LIMIT_DAILY_TOKENS ?? 1_000 * generosity,
      withdrawalsPerDay: values.LIMIT_DAILY_WITHDRAWALS ?? 1_000 * generosity,
      rates: Object.freeze({
        address: values.LIMIT_RATE_ADDRESS ?? 600 * generosity,
        identity: values.LIMIT_RATE_IDENTITY ?? 1_000 * generosity,
        peer: values.LIMIT_RATE_PEER ?? 6_000 * generosity,
        pair: values.LIMIT_RATE_PAIR ?? 120 * generosity
      }),
      connections: Object.freeze({
        total: values.LIMIT_CONNECTIONS,
        perAddress: values.LIMIT_CONNECTIONS_ADDRESS ?? 500 * generosity
      })
    })
  })
}

/** Several nodes on one machine need to say nothing about this port. */
function adminPortFor(port: number, processes: number): number {
  if (port === 0) return 0
  return port + 1_000 + processes - 1 <= MOST_PORT ? port + 1_000 : port - 1_000
}
