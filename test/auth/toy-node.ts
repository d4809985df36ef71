import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type AppOptions, createApp } from '../../src/app.js'
import type { Curve } from '../../src/curve/curve.js'
import { type Endpoint, mountEndpoints } from '../../src/endpoint.js'
import { badRequest } from '../../src/errors.js'
import { createHttpServer, type ServerLimits } from '../../src/http-server.js'
import { KeyDeriver } from '../../src/keys/key-deriver.js'
import { createLogger } from '../../src/logger.js'
import { createMetrics } from '../../src/metrics.js'
import { createRates, type RateLimits } from '../../src/rates/rates.js'
import type { MinimumRate } from '../../src/request-body.js'
import { TestUser, curve as testCurve } from '../support/client.js'
import { MemoryRateStore } from '../support/rate-store.js'

export const MEGABYTE = 1_048_576

type ToyConfig = AppOptions['context']['config']

const CONFIG: ToyConfig = {
  trustedProxies: [],
  limits: {
    requestBytes: MEGABYTE,
    messageBodyBytes: MEGABYTE,
    listMessages: 1_000,
    listBytes: MEGABYTE,
    recipientsPerSend: 100,
    messagesPerRecipient: 1_000,
    bytesPerRecipient: MEGABYTE,
    messagesPerSender: 1_000,
    boxesPerRecipient: 10,
    devicesPerRecipient: 10,
    sealedMessagesPerRecipient: 10,
    sealedMessagesPerHost: 10,
    timeToLive: 86_400,
    tokensPerDay: 1_000,
    withdrawalsPerDay: 1_000,
    rates: { address: 1_000_000, identity: 1_000_000, peer: 1_000_000, pair: 1_000_000 },
    connections: { total: 1_000, perAddress: 1_000 }
  }
}

/** A running app with a few endpoints and nothing behind it: no database exists here at all. */
export interface ToyNode {
  readonly url: string
  readonly identityKey: string
  readonly server: Server
  readonly clock: { time: number; now(): number }
  readonly epoch: { bornAt: number; readonly renewals: number }
  readonly draining: { active: boolean }
  /** What the logger wrote, one object per line. */
  readonly log: Record<string, unknown>[]
  stop(): Promise<void>
}

export interface ToyOptions {
  /** The same seed is the same node key. */
  readonly seed?: string
  readonly curve?: Curve
  readonly port?: number
  readonly config?: Partial<ToyConfig>
  readonly rates?: RateLimits
  readonly endpoints?: readonly Endpoint<void>[]
  readonly handlerMilliseconds?: number
  readonly bodyRate?: MinimumRate
  readonly serverLimits?: Partial<ServerLimits>
  readonly isForOperator?: boolean
}

/** Tells the caller what of his request arrived. */
const echo: Endpoint<void> = {
  method: 'POST',
  path: '/echo',
  authenticated: true,
  handler: async ({ caller, body, query, clientAddress }) => ({
    body: {
      caller: caller.identityKey,
      text: body.toString(),
      query: [...query],
      clientAddress,
      envelopeId: caller.envelope.id.toString('hex'),
      carriesAuthorization: caller.envelope.carriesAuthorization
    }
  })
}

const read: Endpoint<void> = {
  method: 'GET',
  path: '/read',
  authenticated: true,
  handler: async ({ caller, query, body }) => ({
    body: { caller: caller.identityKey, query: [...query], received: body.toString() },
    headers: { 'x-bsv-answer': 'read' }
  })
}

const json: Endpoint<void> = {
  method: 'POST',
  path: '/json',
  authenticated: true,
  handler: async request => ({ body: { received: request.json() } })
}

const refuse: Endpoint<void> = {
  method: 'POST',
  path: '/refuse',
  authenticated: true,
  handler: async () => {
    throw badRequest('ERR_TOY', 'The toy refuses.', { toy: true })
  }
}

const fail: Endpoint<void> = {
  method: 'POST',
  path: '/fail',
  authenticated: true,
  handler: async () => {
    throw new Error('the secret detail')
  }
}

const open: Endpoint<void> = {
  method: 'POST',
  path: '/open',
  authenticated: false,
  handler: async ({ body, clientAddress }) => ({ body: { length: body.length, clientAddress } })
}

export async function startToyNode(options: ToyOptions = {}): Promise<ToyNode> {
  const { privateKey, identityKey } = new TestUser(options.seed ?? 'toy node')
  const curve = options.curve ?? testCurve
  const keys = new KeyDeriver(curve, privateKey)
  const clock = { time: Date.now(), now: () => clock.time }
  const epoch = {
    bornAt: 0,
    renewals: 0,
    renew: async () => {
      epoch.renewals++
    }
  }
  const draining = { active: false }
  const log: Record<string, unknown>[] = []
  const logger = createLogger('silent')
  logger.error = (entry: unknown) => void log.push(entry as Record<string, unknown>)
  const config = { ...CONFIG, ...options.config }
  const endpoints = [echo, read, json, refuse, fail, open, ...(options.endpoints ?? [])]
  const metrics = createMetrics()
  const rates = createRates({
    limits: options.rates ?? config.limits.rates,
    clock,
    logger,
    onRefused: metrics.rateLimited,
    store: new MemoryRateStore(),
    isHost: async () => false
  })
  const app: AppOptions = {
    context: { config, logger, keys, curve, clock, metrics },
    rates,
    endpoints: mountEndpoints(endpoints, undefined),
    epoch,
    draining,
    ...(options.handlerMilliseconds && { handlerMilliseconds: options.handlerMilliseconds }),
    ...(options.bodyRate && { bodyRate: options.bodyRate }),
    isForOperator: options.isForOperator ?? false
  }
  const server = createHttpServer(createApp(app), options.serverLimits)
  server.listen(options.port ?? 0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const stop = async (): Promise<void> => {
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  }
  return { url: `http://127.0.0.1:${port}`, identityKey, server, clock, epoch, draining, log, stop }
}
