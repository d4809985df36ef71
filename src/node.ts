import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { createFederation, type FederationOptions } from '../federation/index.js'
import { isOperator } from '../federation/storage/operators.js'
import { acknowledgeMessage } from './api/acknowledge-message.js'
import { type Dependency, healthz, readyz } from './api/health.js'
import { listMessages } from './api/list-messages.js'
import { messageStream } from './api/message-stream.js'
import { metrics as metricsEndpoint } from './api/metrics.js'
import { sendMessage } from './api/send-message.js'
import { streamTicket } from './api/stream-ticket.js'
import { createApp } from './app.js'
import { trustedProxyTest } from './client-address.js'
import type { Configuration } from './config.js'
import { type Clock, type Context, type LocalContext, systemClock } from './context.js'
import { loadCurve } from './curve/load.js'
import { type MountedEndpoint, mountEndpoints } from './endpoint.js'
import { createHttpServer, type ServerLimits } from './http-server.js'
import { identityKeyBytes } from './keys/identity-key.js'
import { KeyDeriver } from './keys/key-deriver.js'
import { type LoadedKey, loadIdentityKey } from './keys/key-file.js'
import { Lifecycle } from './lifecycle.js'
import { Arrivals } from './live/arrivals.js'
import { LiveConnections } from './live/live-connections.js'
import type { OpenNotifications } from './live/notifications.js'
import { redisNotifications } from './live/redis-notifications.js'
import { attachSockets } from './live/sockets.js'
import type { Logger } from './logger.js'
import { createMetrics } from './metrics.js'
import { onlyForOperator } from './operator-endpoint.js'
import { type Admission, EVERYBODY, OperatorLists } from './operator-lists.js'
import { startPruning } from './pruning.js'
import { createRates, type Rates, UNLIMITED } from './rates/rates.js'
import { redisRateStore } from './rates/redis-store.js'
import type { RateStore } from './rates/store.js'
import { StartError } from './start-error.js'
import { createDatabase, type Database } from './storage/database.js'
import { startEmbeddedPostgres } from './storage/embedded-postgres.js'
import { StoredMessages } from './storage/messages.js'
import { migrate } from './storage/migrate.js'
import { watchOperatorLists } from './storage/operator-lists-watch.js'
import { checkDatabase, claimDatabase } from './storage/owner.js'
import { postgresNotifications } from './storage/postgres-notifications.js'
import { postgresRateStore } from './storage/rate-limits.js'
import { admitRequest, createSessionEpoch } from './storage/replays.js'
import { SentMessages } from './storage/sent-messages.js'

/** A running node. */
export interface Node {
  /** Of the API; undefined for a pure worker. */
  readonly url: string | undefined
  /** Of metrics and steering, on the loopback interface. */
  readonly adminUrl: string
  readonly context: Context
  readonly key: LoadedKey
  /** Where its data is: `embedded`, or the configured database. */
  readonly database: 'embedded' | 'configured'
  /** Stops taking requests, finishes what runs, closes everything in reverse order. */
  stop(): Promise<void>
}

export interface NodeOptions {
  readonly logger: Logger
  readonly clock?: Clock
  /** What tests put in place of the world outside. */
  readonly federation?: Partial<FederationOptions>
}

/** The door outward gives up an attempt after 15 s. */
const CLAIM_MILLISECONDS = 25_000
/** Everything closes within this, ms. */
const STOP_MILLISECONDS = 10_000

/**
 * Builds a node and starts it: everything long-lived is made here, once, and closed in reverse order.
 *
 * @throws StartError with one sentence for a person: port taken, database away, wrong key
 */
export async function createNode(configuration: Configuration, options: NodeOptions): Promise<Node> {
  const lifecycle = new Lifecycle(options.logger)
  try {
    return await start(configuration, options, lifecycle)
  } catch (error) {
    await lifecycle.stop(STOP_MILLISECONDS)
    throw error
  }
}

async function start(
  configuration: Configuration,
  options: NodeOptions,
  lifecycle: Lifecycle
): Promise<Node> {
  const { config, secrets } = configuration
  const { logger, clock = systemClock } = options
  const curve = loadCurve()
  const key = loadIdentityKey(curve, secrets, config.dataDirectory)
  const keys = new KeyDeriver(curve, key.privateKey)

  const database = await openDatabase(configuration, logger, lifecycle)
  await claimDatabase(database, identityKeyBytes(keys.identityKey), clock.now())
  const epoch = await createSessionEpoch(database, clock, logger)

  const metrics = createMetrics()
  const rateStore = openRateStore(secrets.redisUrl, keys.identityKey, database)
  lifecycle.add('store of rate limits', () => rateStore.close())
  const rates = createRates({
    limits: config.limits.rates,
    clock,
    logger,
    onRefused: metrics.rateLimited,
    store: rateStore,
    isHost: identityKey => isOperator(database, identityKeyBytes(identityKey))
  })
  const operatorLists = new OperatorLists({
    own: { identityKey: keys.identityKey, domain: config.publicDomain },
    onRefused: metrics.blocked
  })
  const { connectionString } = database
  const listsWatch = await watchOperatorLists({ connectionString, logger, lists: operatorLists })
  lifecycle.add('lists of the operator', () => listsWatch.stop())
  const arrivals = new Arrivals(
    openNotifications(secrets.redisUrl, keys.identityKey, database, logger),
    logger
  )
  lifecycle.add('arrivals', () => arrivals.close())
  const context: Context = {
    config,
    logger,
    clock,
    curve,
    keys,
    database,
    arrivals,
    metrics,
    rates,
    operatorLists
  }
  const federation = await createFederation(context, {
    redisUrl: secrets.redisUrl,
    random: Math.random,
    claimMilliseconds: CLAIM_MILLISECONDS,
    outbound: {},
    ...options.federation
  })
  lifecycle.add('federation', () => federation.close())
  const local: LocalContext = {
    ...context,
    connections: new LiveConnections(),
    forwarding: federation.forwarding,
    sentMessages: new SentMessages(database, keys.publicKey, config.limits),
    storedMessages: new StoredMessages(database, { self: keys.publicKey, ...config.limits })
  }

  const draining = { active: false }
  const dependencies: Dependency[] = [
    { name: 'database', check: () => checkDatabase(database) },
    { name: 'queue', check: () => federation.checkQueue() }
  ]
  const health = mountEndpoints([healthz, readyz], { dependencies, draining })
  const limits: Partial<ServerLimits> = {
    connections: { ...config.limits.connections, isTrustedProxy: trustedProxyTest(config.trustedProxies) }
  }
  const listen = async (
    name: string,
    host: string,
    port: number,
    endpoints: MountedEndpoint[],
    { rates, admission, isForOperator }: { rates: Rates; admission: Admission; isForOperator: boolean }
  ) => {
    const app = createApp({
      context,
      endpoints: [...health, ...endpoints],
      epoch,
      draining,
      rates,
      admission,
      isForOperator
    })
    const server = createHttpServer(app, isForOperator ? {} : limits)
    await listening(server, host, port)
    lifecycle.add(name, () => closeServer(server))
    return { server, url: urlOf(server, host) }
  }

  const steering = onlyForOperator(federation.operatorEndpoints, {
    identityKey: keys.identityKey,
    admit: replay => admitRequest(database, replay)
  })
  const { url: adminUrl } = await listen(
    'admin server',
    '127.0.0.1',
    config.adminPort,
    [...mountEndpoints([metricsEndpoint], context), ...steering],
    { rates: UNLIMITED, admission: EVERYBODY, isForOperator: true }
  )
  if (config.role !== 'api') {
    const worker = await federation.startWorker()
    lifecycle.add('worker', () => worker.stop())
    const pruning = startPruning(context)
    lifecycle.add('pruning', () => pruning.stop())
  }
  const endpoints = [
    ...mountEndpoints<LocalContext>(
      [sendMessage, listMessages, acknowledgeMessage, streamTicket, messageStream],
      local
    ),
    ...federation.endpoints
  ]
  let url: string | undefined
  if (config.role !== 'worker') {
    const options = { rates, admission: operatorLists, isForOperator: false }
    const api = await listen('API server', config.host, config.port, endpoints, options)
    url = api.url
    const sockets = attachSockets(api.server, { context: local, auth: { keys, curve, clock, epoch } })
    lifecycle.add('sockets', () => sockets.close())
    lifecycle.add('live connections', () => local.connections.close())
  }

  return {
    url,
    adminUrl,
    context,
    key,
    database: secrets.databaseUrl === undefined ? 'embedded' : 'configured',
    async stop() {
      // Whoever balances load sees it and sends no more; what still comes is served.
      draining.active = true
      await delay(config.drainMilliseconds)
      await lifecycle.stop(STOP_MILLISECONDS - config.drainMilliseconds)
    }
  }
}

async function openDatabase(
  { config, secrets }: Configuration,
  logger: Logger,
  lifecycle: Lifecycle
): Promise<Database> {
  let connectionString = secrets.databaseUrl
  if (connectionString === undefined) {
    const postgres = await startEmbeddedPostgres({ dataDirectory: config.dataDirectory, logger })
    lifecycle.add('embedded Postgres', () => postgres.stop())
    connectionString = postgres.connectionString
  }
  await migrate(connectionString, logger)
  const database = createDatabase({
    connectionString,
    logger,
    maxConnections: config.databaseConnections,
    applicationName: 'peerserv'
  })
  lifecycle.add('database', () => database.close())
  return database
}

function openNotifications(
  redisUrl: string | undefined,
  identityKey: string,
  database: Database,
  logger: Logger
): OpenNotifications {
  return listener =>
    redisUrl === undefined
      ? postgresNotifications(database.connectionString, 'arrivals', listener, logger)
      : redisNotifications(redisUrl, `${identityKey}:arrivals`, listener)
}

function openRateStore(redisUrl: string | undefined, identityKey: string, database: Database): RateStore {
  return redisUrl === undefined ? postgresRateStore(database) : redisRateStore(redisUrl, identityKey)
}

async function listening(server: Server, host: string, port: number): Promise<void> {
  server.listen(port, host)
  try {
    await once(server, 'listening')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'EADDRINUSE') {
      throw new StartError(
        `Port ${port} on ${host} is taken by another program; choose another one with PORT.`
      )
    }
    throw new StartError(`Cannot listen on port ${port} of ${host} (${String(code)}).`, { cause: error })
  }
}

/** Takes no new connections, lets requests that run finish, and closes those that wait for another one. */
async function closeServer(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeIdleConnections()
  await closed
}

function urlOf(server: Server, host: string): string {
  const { port } = server.address() as AddressInfo
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host.includes(':') ? `[${host}]` : host
  return `http://${name}:${port}`
}
