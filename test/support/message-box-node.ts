import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { acknowledgeMessage } from '../../src/api/acknowledge-message.js'
import { listMessages } from '../../src/api/list-messages.js'
import { deletePermission } from '../../src/api/permission-delete.js'
import { getPermission } from '../../src/api/permission-get.js'
import { listPermissionsOfCaller } from '../../src/api/permission-list.js'
import { quotePermission } from '../../src/api/permission-quote.js'
import { setPermission } from '../../src/api/permission-set.js'
import { sendMessage } from '../../src/api/send-message.js'
import { createApp } from '../../src/app.js'
import { type Limits, readConfiguration } from '../../src/config.js'
import type { LocalContext } from '../../src/context.js'
import { mountEndpoints } from '../../src/endpoint.js'
import { createHttpServer } from '../../src/http-server.js'
import { Arrivals } from '../../src/live/arrivals.js'
import { LiveConnections } from '../../src/live/live-connections.js'
import { createLogger } from '../../src/logger.js'
import { createMetrics } from '../../src/metrics.js'
import { OperatorLists } from '../../src/operator-lists.js'
import { PaymentCheck } from '../../src/payments/payment-check.js'
import { createRates } from '../../src/rates/rates.js'
import { StoredMessages } from '../../src/storage/messages.js'
import { postgresRateStore } from '../../src/storage/rate-limits.js'
import { createSessionEpoch } from '../../src/storage/replays.js'
import { SentMessages } from '../../src/storage/sent-messages.js'
import { curve, TestUser } from './client.js'
import { createTestDatabase, type TestDatabase } from './database.js'

/** Time that a test moves by hand; it begins with the real one. */
export class ManualClock {
  time = Date.now()
  now(): number {
    return this.time
  }
  forward(milliseconds: number): void {
    this.time += milliseconds
  }
}

export interface MessageBoxNode {
  readonly url: string
  readonly context: LocalContext
  readonly clock: ManualClock
  readonly databases: TestDatabase
  stop(): Promise<void>
}

/** The local half of a node by itself, on a database of its own: no federation, no queue. */
export async function startMessageBoxNode(
  limits: Partial<Limits> = {},
  parts: Partial<Pick<LocalContext, 'deliveryFees'>> = {}
): Promise<MessageBoxNode> {
  const databases = await createTestDatabase()
  const clock = new ManualClock()
  const { config } = readConfiguration({ PORT: '0' })
  const { database } = databases
  const allLimits = { ...config.limits, ...limits }
  const { keys } = new TestUser('node')
  const logger = createLogger('silent')
  const metrics = createMetrics()
  const rateStore = postgresRateStore(database)
  const rates = createRates({
    limits: allLimits.rates,
    clock,
    logger,
    onRefused: metrics.rateLimited,
    store: rateStore,
    isHost: async () => false
  })
  const operatorLists = new OperatorLists({
    own: { identityKey: keys.identityKey, domain: config.publicDomain },
    onRefused: metrics.blocked
  })
  const context: LocalContext = {
    config: { ...config, limits: allLimits },
    processNumber: 0,
    logger,
    clock,
    curve,
    keys,
    database,
    arrivals: new Arrivals(() => ({ publish: async () => {}, close: async () => {} }), logger),
    sentMessages: new SentMessages(database, keys.publicKey, allLimits),
    storedMessages: new StoredMessages(database, { self: keys.publicKey, ...allLimits }),
    metrics,
    rates,
    operatorLists,
    deliveryFees: new Map(),
    feesElsewhere: { of: async () => new Map() },
    payments: new PaymentCheck({ config, curve, keys, logger, chainTracker: undefined }),
    connections: new LiveConnections(operatorLists),
    forwarding: { matches: () => false, nudge: () => undefined, nudgeStatements: () => undefined },
    ...parts
  }
  const epoch = await createSessionEpoch(context.database, clock, context.logger)
  const endpoints = mountEndpoints(
    [
      sendMessage,
      listMessages,
      acknowledgeMessage,
      setPermission,
      deletePermission,
      getPermission,
      listPermissionsOfCaller,
      quotePermission
    ],
    context
  )
  const server = createHttpServer(
    createApp({ context, endpoints, epoch, draining: { active: false }, rates })
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    context,
    clock,
    databases,
    async stop() {
      await context.arrivals.close()
      server.close()
      server.closeAllConnections()
      await rateStore.close()
      await databases.drop()
    }
  }
}
