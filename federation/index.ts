import type { Context, Forwarding } from '../src/context.js'
import { type MountedEndpoint, mountEndpoints } from '../src/endpoint.js'
import type { FeesElsewhere } from '../src/permissions/fees-elsewhere.js'
import { authorizeRouting } from './api/authorize-routing.js'
import { authorizeSending } from './api/authorize-sending.js'
import { deliveryStatus } from './api/delivery-status.js'
import { devices } from './api/devices.js'
import { nodeDocument } from './api/node-document.js'
import { operatorEndpoints } from './api/operator.js'
import { overlayEndpoints } from './api/overlay.js'
import { propagateAcknowledgement } from './api/propagate-acknowledgement.js'
import { propagateMessage } from './api/propagate-message.js'
import { propagatePermission } from './api/propagate-permission.js'
import { reconcile as reconcileEndpoint } from './api/reconcile.js'
import { registerDevice } from './api/register-device.js'
import { revokeRouting } from './api/revoke-routing.js'
import { unregisterDevice } from './api/unregister-device.js'
import { createOutboundDoor, type OutboundDoorOptions } from './channel/guarded-fetch.js'
import { createPeerClient } from './channel/peer-client.js'
import type { FederationContext } from './context.js'
import { catchUp, lookUp } from './delivery/catch-up.js'
import { Drains } from './delivery/drains.js'
import { dropDeliveries, flush, flushBlocked, retryDeliveries } from './delivery/steer.js'
import { startSweep } from './delivery/sweep.js'
import { TokenCheck } from './delivery/token-check.js'
import { WaitingHosts } from './delivery/waiting-hosts.js'
import { createOverlay } from './overlay/overlay.js'
import { compileBoxExpression } from './phip/box-expression.js'
import { createPush } from './push/push.js'
import { readServiceAccount } from './push/service-account.js'
import { createQueue, type JobQueue } from './queue.js'
import { FeesOfPeers } from './quotes/fees-of-peers.js'
import { readBacklog } from './storage/backlog.js'
import { ReceivedMessages } from './storage/propagated.js'
import { ReconciliationAnswers } from './sync/answering.js'
import { reconcile } from './sync/comparing.js'
import type { SyncContext } from './sync/context.js'
import { createPeerExtensions } from './sync/extensions.js'
import { passOnStatements, tellNew } from './sync/pass-on.js'
import { SharedSets } from './sync/shared-set.js'
import { startSyncSweep } from './sync/sweep.js'

export interface FederationOptions {
  readonly redisUrl: string | undefined
  /** From 0 to 1; the jitter of waits. */
  readonly random: () => number
  /** How long a worker keeps a delivery to itself when it shows no sign of life, ms. */
  readonly claimMilliseconds: number
  /** What stands behind the door outward. */
  readonly outbound: Omit<OutboundDoorOptions, 'network' | 'logger'>
}

/** The other half of a node: finds other servers and talks to them. */
export interface Federation {
  /** For message boxes. */
  readonly forwarding: Forwarding
  /** For quotes. */
  readonly feesElsewhere: FeesElsewhere
  readonly endpoints: readonly MountedEndpoint[]
  /** For the operator alone. */
  readonly operatorEndpoints: readonly MountedEndpoint[]
  /** Rejects while the queue cannot be reached. */
  checkQueue(): Promise<void>
  /** Begins to deliver, to catch up and to keep the index complete; `stop` finishes what runs. */
  startWorker(): Promise<{ stop(): Promise<void> }>
  close(): Promise<void>
}

/** Between two counts of what waits, ms: those who read metrics must not keep Postgres busy. */
const BACKLOG_MILLISECONDS = 10_000
/** Jobs that one process works on at once; those of hosts that are slow to fail must leave room for others. */
const CONCURRENCY = 200

/** Opens the queue and the door outward, and wires the parts to each other. */
export async function createFederation(context: Context, options: FederationOptions): Promise<Federation> {
  const { config, logger, keys, clock, database, operatorLists } = context
  const { serviceAccountFile } = config.push
  const serviceAccount = serviceAccountFile === undefined ? undefined : readServiceAccount(serviceAccountFile)
  const queue = await createQueue({
    databaseUrl: database.connectionString,
    redisUrl: options.redisUrl,
    identityKey: keys.identityKey,
    logger
  })
  const door = createOutboundDoor({
    ...options.outbound,
    network: config.network,
    logger,
    servesDomain: domain => operatorLists.servesDomain(domain)
  })
  const peers = createPeerClient({ keys, door, clock, logger })
  const forwarding = createForwarding(queue, () => drains)
  const overlay = await createOverlay({
    context,
    door,
    peerClient: peers,
    operatorLists,
    onHostsChanged: recipient => queue.add('catch-up', recipient)
  }).catch(async error => {
    // Nobody else knows of them yet, and their connections would keep the process alive.
    await queue.close()
    door.close()
    throw error
  })
  const push = createPush({ ...options, context, door, queue, serviceAccount })
  const engine: SyncContext = {
    ...context,
    forwarding,
    peers,
    queue,
    tokens: new TokenCheck({ ...context, network: config.network }),
    random: options.random,
    claimMilliseconds: options.claimMilliseconds,
    overlay,
    extensions: createPeerExtensions(door, clock)
  }
  const drains = new Drains(engine)
  context.metrics.watchBacklog(atMostEvery(BACKLOG_MILLISECONDS, () => readBacklog(database, clock.now())))
  const waitingHosts = new WaitingHosts(engine)
  const sets = new SharedSets(engine)
  const wide: FederationContext = {
    ...engine,
    overlay,
    push: push.offer,
    receivedMessages: new ReceivedMessages(database, config.limits),
    reconciliation: new ReconciliationAnswers(engine, sets),
    waitingHosts,
    steering: {
      retry: ids => retryDeliveries(engine, ids),
      drop: ids => dropDeliveries(engine, ids),
      flush: domain => flush(engine, domain),
      flushBlocked: domains => flushBlocked(engine, domains)
    }
  }
  return {
    forwarding,
    feesElsewhere: new FeesOfPeers(engine),
    endpoints: mountEndpoints<FederationContext>(
      [
        authorizeRouting,
        revokeRouting,
        authorizeSending,
        propagateMessage,
        propagateAcknowledgement,
        propagatePermission,
        reconcileEndpoint,
        deliveryStatus,
        registerDevice,
        devices,
        unregisterDevice,
        nodeDocument,
        ...overlayEndpoints
      ],
      wide
    ),
    operatorEndpoints: mountEndpoints<FederationContext>(operatorEndpoints, wide),
    checkQueue: () => queue.check(),
    async startWorker() {
      const handlers = {
        drain: (domain: string) => drains.start(domain),
        statements: (domain: string) => passOnStatements(wide, domain),
        reconcile: (hostKey: string) => reconcile(wide, sets, hostKey),
        'catch-up': async (recipient: string) => {
          // First, as the other ends the request for both.
          await tellNew(wide, recipient)
          await catchUp(wide, recipient)
        },
        lookup: (recipient: string) => lookUp(wide, recipient),
        push: (host: string) => push.run(host)
      }
      drains.open()
      await queue.work(handlers, CONCURRENCY)
      const sweep = startSweep(wide, drains)
      const syncSweep = startSyncSweep(wide)
      const pushWorker = push.startWorker()
      overlay.start()
      return {
        async stop() {
          await Promise.all([sweep.stop(), syncSweep.stop(), pushWorker.stop(), drains.close()])
        }
      }
    },
    async close() {
      await push.close()
      await waitingHosts.close()
      await overlay.stop()
      await queue.close()
      door.close()
    }
  }
}

/** @param drains of this process; there are none before the rest has been wired */
function createForwarding(queue: JobQueue, drains: () => Drains): Forwarding {
  return {
    matches(boxExpression, messageBox) {
      const compiled = compileBoxExpression(boxExpression)
      return compiled.ok && compiled.value.matches(messageBox)
    },
    nudge(domains) {
      for (const domain of new Set(domains)) {
        // The shortest way; what gets lost on it is found by the sweep.
        if (drains().isOpen) void drains().start(domain)
        else queue.add('drain', domain)
      }
    },
    nudgeStatements(domains) {
      for (const domain of new Set(domains)) queue.add('statements', domain)
    }
  }
}

/** Answers what it answered last for so many ms; a failure is not remembered. */
function atMostEvery<T>(milliseconds: number, read: () => Promise<T>): () => Promise<T> {
  let last: { readonly value: T; readonly at: number } | undefined
  return async () => {
    const now = performance.now()
    if (last === undefined || now - last.at >= milliseconds) last = { value: await read(), at: now }
    return last.value
  }
}
