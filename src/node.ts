import type { Server } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { createFederation, type FederationOptions } from '../federation/index.js'
import { isOperator } from '../federation/storage/operators.js'
import { acknowledgeMessage } from './api/acknowledge-message.js'
import { type Dependency, healthz, readyz } from './api/health.js'
import { listMessages } from './api/list-messages.js'
import { messageStream } from './api/message-stream.js'
import { metrics as metricsEndpoint } from './api/metrics.js'
import { deletePermission } from './api/permission-delete.js'
import { getPermission } from './api/permission-get.js'
import { listPermissionsOfCaller } from './api/permission-list.js'
import { quotePermission } from './api/permission-quote.js'
import { setPermission } from './api/permission-set.js'
import { sendMessage } from './api/send-message.js'
import { streamTicket } from './api/stream-ticket.js'
import { createApp } from './app.js'
import { trustedProxyTest } from './client-address.js'
import type { Config, Configuration } from './config.js'
import { type Clock, type Context, type LocalContext, systemClock } from './context.js'
import { loadCurve } from './curve/load.js'
import { type MountedEndpoint, mountEndpoints } from './endpoint.js'
import { examplePage } from './example-page.js'
import { createHttpServer, type ServerLimits } from './http-server.js'
import { type IdentityKey, identityKeyBytes } from './keys/identity-key.js'
import { KeyDeriver } from './keys/key-deriver.js'
import { type LoadedKey, loadIdentityKey } from './keys/key-file.js'
import { Lifecycle } from './lifecycle.js'
import { type Door, listen as listenAt } from './listening.js'
import { Arrivals } from './live/arrivals.js'
import { LiveConnections } from './live/live-connections.js'
import type { OpenNotifications } from './live/notifications.js'
import { redisNotifications } from './live/redis-notifications.js'
import { attachSockets, type Sockets } from './live/sockets.js'
import type { Logger } from './logger.js'
import { createMetrics } from './metrics.js'
import { onlyForOperator } from './operator-endpoint.js'
import { type Admission, EVERYBODY, OperatorLists } from './operator-lists.js'
import { chargeFor } from './payments/charging.js'
import { NodeWallet, walletAt } from './payments/node-wallet.js'
import { PaymentCheck } from './payments/payment-check.js'
import { startTakings } from './payments/takings.js'
import { prepareDatabase } from './prepared-database.js'
import { startPruning } from './pruning.js'
import { createRates, type Rates, UNLIMITED } from './rates/rates.js'
import { redisRateStore } from './rates/redis-store.js'
import type { RateStore } from './rates/store.js'
import { StartError } from './start-error.js'
import { createDatabase, type Database } from './storage/database.js'
import { StoredMessages } from './storage/messages.js'
import { watchOperatorLists } from './storage/operator-lists-watch.js'
import { checkDatabase, claimDatabase } from './storage/owner.js'
import { postgresNotifications } from './storage/postgres-notifications.js'
import { postgresRateStore } from './storage/rate-limits.js'
import { admitRequest, createSessionEpoch } from './storage/replays.js'
import { SentMessages } from './storage/sent-messages.js'
import { isMadeUp } from './transactions/chain.js'

/** A running node. */
export interface Node {
  /** Of the API; undefined for a pure worker. */
  readonly url: string | undefined
  /** Of metrics and steering, on the loopback interface. */
  readonly adminUrl: string
  /** At which the API of this very process is reached; undefined without PROCESS_PORTS, and for a pure worker. */
  readonly processUrl: string | undefined
  readonly context: Context
  readonly key: LoadedKey
  /** Where its data is: `embedded`, or the configured database. */
  readonly database: 'embedded' | 'configured'
  /** Stops taking requests, finishes what runs, closes everything in reverse order. */
  stop(): Promise<void>
}

/** One process of several that run as one node. */
export interface NodeProcess {
  /** From 0. */
  readonly number: number
  /** Of the database that was prepared for all. */
  readonly connectionString: string
}

export interface NodeOptions {
  readonly logger: Logger
  /** Absent: this process is the node, and prepares its database itself. */
  readonly process?: NodeProcess
  readonly clock?: Clock
  /** What tests put in place of the world outside. */
  readonly federation?: Partial<FederationOptions>
}

/** Of a process that was killed, what it was about waits so long; the others renew their claims. */
const CLAIM_MILLISECONDS = 8_000
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

  const processNumber = options.process?.number ?? 0
  const connectionString =
    options.process?.connectionString ?? (await prepareDatabase(configuration, logger, lifecycle))
  const database = createDatabase({
    connectionString,
    logger,
    maxConnections: config.databaseConnections,
    applicationName: 'peerserv'
  })
  lifecycle.add('database', () => database.close())
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
  const listsWatch = await watchOperatorLists({ connectionString, logger, lists: operatorLists })
  lifecycle.add('lists of the operator', () => listsWatch.stop())
  const arrivals = new Arrivals(
    openNotifications(secrets.redisUrl, keys.identityKey, database, logger),
    logger
  )
  lifecycle.add('arrivals', () => arrivals.close())
  const wallet = await openWallet(secrets.walletUrl, keys.identityKey, logger)
  const context: Context = {
    config,
    processNumber,
    logger,
    clock,
    curve,
    keys,
    database,
    arrivals,
    metrics,
    rates,
    operatorLists,
    // Without a wallet nobody could take them.
    deliveryFees: wallet === undefined ? new Map() : config.deliveryFees,
    payments: new PaymentCheck({
      config,
      curve,
      keys,
      logger,
      // Where coins are made up, no chain knows them.
      chainTracker: isMadeUp(config.network) ? undefined : wallet?.chainTracker
    })
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
    connections: new LiveConnections(operatorLists),
    forwarding: federation.forwarding,
    sentMessages: new SentMessages(database, keys.publicKey, config.limits),
    storedMessages: new StoredMessages(database, { self: keys.publicKey, ...config.limits }),
    feesElsewhere: federation.feesElsewhere
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
    doors: readonly Door[],
    endpoints: MountedEndpoint[],
    { rates, admission, isForOperator }: { rates: Rates; admission: Admission; isForOperator: boolean },
    attach?: (server: Server) => void
  ) => {
    const app = createApp({
      context,
      endpoints: [...health, ...endpoints],
      epoch,
      draining,
      rates,
      admission,
      remember: replay => admitRequest(database, replay),
      isForOperator
    })
    const server = createHttpServer(app, isForOperator ? {} : limits, attach)
    const { urls, close } = await listenAt(server, doors)
    lifecycle.add(name, close)
    return urls
  }

  const steering = onlyForOperator(federation.operatorEndpoints, {
    identityKey: keys.identityKey,
    admit: replay => admitRequest(database, replay)
  })
  const { apiDoors, adminDoor } = doorsOf(config, processNumber)
  const [adminUrl] = await listen(
    'admin server',
    [adminDoor],
    [...mountEndpoints([metricsEndpoint], context), ...steering],
    { rates: UNLIMITED, admission: EVERYBODY, isForOperator: true }
  )
  if (config.role !== 'api') {
    const worker = await federation.startWorker()
    lifecycle.add('worker', () => worker.stop())
    const pruning = startPruning(context)
    lifecycle.add('pruning', () => pruning.stop())
    if (wallet !== undefined) {
      const takings = startTakings(context, wallet)
      lifecycle.add('takings', () => takings.stop())
    }
  }
  const endpoints = priced(
    [
      ...mountEndpoints<LocalContext>(
        [
          sendMessage,
          listMessages,
          acknowledgeMessage,
          streamTicket,
          messageStream,
          setPermission,
          deletePermission,
          getPermission,
          listPermissionsOfCaller,
          quotePermission
        ],
        local
      ),
      ...federation.endpoints,
      ...(config.servesExamples ? examplePage() : [])
    ],
    context
  )
  let url: string | undefined
  let processUrl: string | undefined
  if (config.role !== 'worker') {
    const options = { rates, admission: operatorLists, isForOperator: false }
    let sockets: Sockets | undefined
    ;[url, processUrl] = await listen('API server', apiDoors, endpoints, options, server => {
      sockets = attachSockets(server, { context: local, auth: { keys, curve, clock, epoch } })
    })
    lifecycle.add('sockets', () => sockets?.close())
    lifecycle.add('live connections', () => local.connections.close())
  }

  return {
    url,
    adminUrl: adminUrl!,
    processUrl,
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

/** The door for what is paid; a wallet that is away is waited for, another one's is not taken. */
async function openWallet(
  url: string | undefined,
  identityKey: IdentityKey,
  logger: Logger
): Promise<NodeWallet | undefined> {
  if (url === undefined) return undefined
  const wallet = new NodeWallet(walletAt(url), identityKey)
  await wallet.requireOwn().catch(error => {
    if (error instanceof StartError) throw error
    logger.warn({ err: error }, 'the wallet does not answer; what this node is paid waits for it')
  })
  return wallet
}

function priced(endpoints: MountedEndpoint[], context: Context): MountedEndpoint[] {
  try {
    return chargeFor(endpoints, context.config.prices, context)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new StartError(`PRICES names ${error.message}, which is no call that proves who is calling.`)
  }
}

/** Where a process listens; the first of the API is everybody's. */
function doorsOf(
  { host, port, adminPort, processPorts }: Config,
  processNumber: number
): { apiDoors: readonly Door[]; adminDoor: Door } {
  const apiDoors: Door[] = [{ host, port, setting: 'PORT', isShared: true }]
  if (processPorts !== undefined) {
    apiDoors.push({ host, port: processPorts + processNumber, setting: 'PROCESS_PORTS', isShared: false })
  }
  const own = adminPort === 0 ? 0 : adminPort + processNumber
  return { apiDoors, adminDoor: { host: '127.0.0.1', port: own, setting: 'ADMIN_PORT', isShared: false } }
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
