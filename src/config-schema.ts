import {
  baseUrls,
  boxNames,
  bytes,
  domain,
  fees,
  integer,
  listenAddress,
  networks,
  oneOf,
  type Parser,
  path,
  prices,
  privateKey,
  seconds,
  urlOf
} from './config-parsers.js'

/** One environment variable. `T` is undefined too where it has no default of its own. */
export interface Setting<T> {
  readonly parser: Parser<T>
  /** Read like a value that was set. */
  readonly fallback: string | undefined
  /** The default in words where it depends on other settings, or there is none. */
  readonly otherwise: string | undefined
  readonly description: string
  /** Its value appears in no message. */
  readonly secret: boolean
}

interface Optional<T> extends Setting<T> {
  readonly fallback: undefined
}

const MEBIBYTE = 2 ** 20
const MOST_BYTES = 256 * MEBIBYTE
const MOST_PROCESSES = 256
const MOST_A_MINUTE = 1_000_000_000

function withDefault<T>(parser: Parser<T>, fallback: string, description: string): Setting<T> {
  return { parser, fallback, otherwise: undefined, description, secret: false }
}

function optional<T>(parser: Parser<T>, otherwise: string, description: string, secret = false): Optional<T> {
  return { parser, fallback: undefined, otherwise, description, secret }
}

/** Every setting of a node. docs/configuration.md shows this table. */
export const SETTINGS = {
  PORT: withDefault(integer(0, 65535), '8080', 'Port for clients and other nodes; 0 picks a free one.'),
  HOST: withDefault(listenAddress, '127.0.0.1', 'Address to listen on.'),
  NETWORK: withDefault(
    oneOf('local', 'private', 'test', 'main'),
    'local',
    'local: one machine, nothing costs. private: operators who know each other, over HTTPS. test, main: the chains.'
  ),
  PUBLIC_DOMAIN: optional(
    domain,
    'localhost:PORT on local; to be set elsewhere',
    'Host name under which others reach this node over HTTPS; PHIP tokens name it.'
  ),
  PEERS: withDefault(baseUrls, '', 'Overlay hosts to start from.'),
  DATA_DIR: withDefault(path, './data', 'Folder for the identity key and the embedded Postgres.'),
  SERVER_PRIVATE_KEY: optional(
    privateKey,
    'the key in DATA_DIR, which the first start makes',
    "The node's identity key.",
    true
  ),
  SERVER_PRIVATE_KEY_FILE: optional(path, 'none', 'File that holds the identity key instead.'),
  DATABASE_URL: optional(
    urlOf('postgresql://user:password@localhost/peerserv', 'postgres:', 'postgresql:'),
    'an embedded Postgres in DATA_DIR',
    'Postgres 15 or newer, in UTF8. Several processes may share one.',
    true
  ),
  DATABASE_CONNECTIONS: withDefault(
    integer(2, 1000),
    '20',
    'Connections to Postgres at most, not counting the queue.'
  ),
  REDIS_URL: optional(
    urlOf('redis://:password@localhost:6379', 'redis:', 'rediss:'),
    'the queue runs on Postgres',
    'Redis for the queue.',
    true
  ),
  ROLE: withDefault(
    oneOf('all', 'api', 'worker'),
    'all',
    'What this process does: answer requests (api), deliver to other nodes (worker), or both.'
  ),
  PROCESSES: withDefault(
    integer(1, MOST_PROCESSES),
    '1',
    'Processes of this machine that share the work, for as many cores; started and supervised together.'
  ),
  PROCESS_PORTS: optional(
    integer(1, 65535),
    'none',
    'A port beside PORT for each of them, from this one upwards, for a proxy that has to reach a certain one.'
  ),
  ADMIN_PORT: optional(
    integer(0, 65535),
    'PORT + 1000',
    'Port on 127.0.0.1 for metrics and for commands that steer the node; 0 picks a free one. Of several PROCESSES each has one, from this one upwards.'
  ),
  TRUSTED_PROXIES: withDefault(
    networks,
    '',
    'Proxies whose X-Forwarded-For is believed when the address of a client matters.'
  ),
  PUSH_CONTACT: optional(
    urlOf('mailto:operator@example.org', 'mailto:', 'https:'),
    'no Web Push',
    'Turns on Web Push; where a push service reaches the operator when something is wrong.'
  ),
  FCM_SERVICE_ACCOUNT_FILE: optional(
    path,
    'no FCM',
    'Turns on Firebase Cloud Messaging; the JSON file of a service account that may send messages.'
  ),
  PUSH_BOXES: withDefault(
    boxNames,
    'notifications',
    'Message boxes of which devices are told that something has arrived.'
  ),
  EXAMPLES: withDefault(
    oneOf('off', 'on'),
    'off',
    'Whether the page under /examples/chat is served, a chat in the browser.'
  ),
  LOG_LEVEL: withDefault(
    oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'),
    'info',
    'Least important log lines to write.'
  ),
  DRAIN_SECONDS: withDefault(
    seconds(60),
    '2',
    'How long requests are still taken after SIGTERM while /readyz says that the node goes away.'
  ),
  DELIVERY_FEES: withDefault(
    fees,
    'notifications=10',
    'Satoshis that this node takes for a message, by box; nothing for other boxes, and nothing at all without a wallet.'
  ),
  WALLET_URL: optional(
    urlOf('http://localhost:3321', 'http:', 'https:'),
    'none; then this node takes no fees',
    "A wallet with this node's key (BRC-100, JSON over HTTP), which takes what this node is paid and knows the chain.",
    true
  ),
  PRICES: withDefault(
    prices,
    '',
    'Satoshis that calls cost, by path (BRC-105), for users and, on /propagateMessage, for other hosts.'
  ),
  LIMIT_REQUEST_BYTES: withDefault(bytes(1024, MOST_BYTES), '16MiB', 'Size of a request.'),
  LIMIT_BODY_BYTES: withDefault(bytes(1024, MOST_BYTES), '1MiB', 'Size of the body of a message.'),
  LIMIT_LIST_MESSAGES: withDefault(integer(1, 100_000), '1000', 'Messages in one answer of /listMessages.'),
  LIMIT_LIST_BYTES: withDefault(
    bytes(1024, MOST_BYTES),
    '8MiB',
    'Bytes of messages in one answer of /listMessages.'
  ),
  LIMIT_RECIPIENTS: withDefault(integer(1, 10_000), '100', 'Recipients of one /sendMessage.'),
  LIMIT_RECIPIENT_MESSAGES: optional(
    integer(1, 1e12),
    '10000, on local 10000000',
    'Messages that wait for one recipient.'
  ),
  LIMIT_RECIPIENT_BYTES: optional(
    bytes(1024, 1e15),
    '1GiB, on local 1000GiB',
    'Bytes of messages that wait for one recipient.'
  ),
  LIMIT_SENDER_MESSAGES: optional(
    integer(1, 1e12),
    '1000, on local 1000000',
    'Messages of one sender that wait for one recipient.'
  ),
  LIMIT_DEVICES: withDefault(integer(1, 1_000), '20', 'Devices that one recipient may register for pushes.'),
  LIMIT_RECIPIENT_BOXES: withDefault(integer(1, 100_000), '1000', 'Message boxes of one recipient.'),
  LIMIT_SEALED_MESSAGES: optional(
    integer(1, 1e12),
    '5000, on local 5000000',
    'Encrypted messages without further proof, handed on by other hosts, that wait for one recipient; they count in no other limit of messages.'
  ),
  LIMIT_SEALED_HOST_MESSAGES: optional(
    integer(1, 1e12),
    '1000, on local 1000000',
    'Of those, how many one host may have handed on.'
  ),
  LIMIT_TIME_TO_LIVE: withDefault(
    integer(60, 3650 * 86_400),
    String(30 * 86_400),
    'Seconds after which a message expires.'
  ),
  LIMIT_DELIVERY_SECONDS: withDefault(
    integer(60, 3650 * 86_400),
    String(7 * 86_400),
    'Seconds after which mail for a host that fails all the time is given up.'
  ),
  LIMIT_DAILY_TOKENS: optional(
    integer(1, 1_000_000_000),
    '1000, on local 1000000',
    'PHIP tokens made a day (UTC), each a transaction that the operator pays for.'
  ),
  LIMIT_DAILY_WITHDRAWALS: optional(
    integer(1, 1_000_000_000),
    '1000, on local 1000000',
    'Withdrawals published a day (UTC), likewise.'
  ),
  LIMIT_CONNECTIONS: withDefault(
    integer(10, 1_000_000),
    '10000',
    'Connections to one process at once; the oldest that wait for a request are closed for new ones.'
  ),
  LIMIT_CONNECTIONS_ADDRESS: optional(
    integer(1, 1_000_000_000),
    '500, on local 500000',
    'Connections from one address (IPv6: one /64) at once, likewise; TRUSTED_PROXIES may have any number.'
  ),
  LIMIT_RATE_ADDRESS: optional(
    integer(1, MOST_A_MINUTE),
    '600, on local 600000',
    'Requests a minute from one address (IPv6: one /64) that are public, refused, or handshakes.'
  ),
  LIMIT_RATE_IDENTITY: optional(
    integer(1, MOST_A_MINUTE),
    '1000, on local 1000000',
    'Requests a minute of one identity.'
  ),
  LIMIT_RATE_PEER: optional(
    integer(1, MOST_A_MINUTE),
    '6000, on local 6000000',
    'Requests a minute of another host that hands on messages.'
  ),
  LIMIT_RATE_PAIR: optional(
    integer(1, MOST_A_MINUTE),
    '120, on local 120000',
    'Messages a minute of one sender to one recipient.'
  )
}

export type SettingName = keyof typeof SETTINGS

/** What the settings say, by name. */
export type Values = {
  readonly [Name in SettingName]: (typeof SETTINGS)[Name] extends Optional<infer T>
    ? T | undefined
    : (typeof SETTINGS)[Name] extends Setting<infer T>
      ? T
      : never
}

/** The name of a file with further settings; it can be named by the environment only. */
export const CONFIG_FILE = 'CONFIG_FILE'
