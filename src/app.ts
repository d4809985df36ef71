import Router from '@koa/router'
import Koa from 'koa'
import { answerErrors, answerUnreadRequests, setReply } from './answer.js'
import { authenticate } from './auth/authenticate.js'
import type { AuthContext } from './auth/brc104.js'
import { handshake } from './auth/handshake.js'
import { parseRequestTarget } from './auth/request-target.js'
import type { SessionEpoch } from './auth/session-epoch.js'
import { clientAddressFinder } from './client-address.js'
import type { Config } from './config.js'
import type { Context } from './context.js'
import { type EndpointRequest, type MountedEndpoint, mountEndpoints, type Reply } from './endpoint.js'
import { ApiError, badRequest, unavailable } from './errors.js'
import { parseJson } from './json.js'
import type { Metrics } from './metrics.js'
import { type Rates, UNLIMITED } from './rates/rates.js'
import { readBody } from './request-body.js'
import type { Middleware, RequestContext, RequestState } from './request-state.js'
import { type Draining, responseHeaders } from './response-headers.js'

/** What of the node the app itself needs; endpoints bring their own. */
export interface AppContext extends Pick<Context, 'logger' | 'clock' | 'curve' | 'keys' | 'metrics'> {
  readonly config: Pick<Config, 'limits' | 'trustedProxies'>
}

export interface AppOptions {
  readonly context: AppContext
  readonly endpoints: readonly MountedEndpoint[]
  readonly epoch: SessionEpoch
  readonly draining: Draining
  /** How often anybody may ask. */
  readonly rates: Rates
  /** After which a handler's request is answered 503, ms. Stock clients wait for ever, proxies a minute or half. */
  readonly handlerMilliseconds?: number
}

/** The Koa app: what happens to every request, in this order. */
export function createApp(options: AppOptions): Koa<RequestState> {
  const { context, epoch, draining, rates } = options
  const { config, logger, keys, curve, clock } = context
  const auth: AuthContext = { keys, curve, clock, epoch }
  const endpoints = [...mountEndpoints([handshake], auth), ...options.endpoints]

  const app = new Koa<RequestState>()
  app.on('error', error => logger.debug({ err: error }, 'connection failed'))
  app.use(measure(context.metrics, endpoints))
  app.use(answerUnreadRequests)
  app.use(responseHeaders(draining))
  app.use(answerErrors(logger))
  app.use(locate(config.trustedProxies))
  app.use(routes(endpoints, auth, options))
  app.use(refuseUnrouted(endpoints, rates))
  return app
}

/** Counts the answer; paths that strangers make up are all one. */
function measure(metrics: Metrics, endpoints: readonly MountedEndpoint[]): Middleware {
  const paths = new Set(endpoints.map(({ path }) => path))
  return async (ctx, next) => {
    const begin = performance.now()
    await next()
    const path = paths.has(ctx.path) ? ctx.path : 'other'
    metrics.request(path, ctx.status, (performance.now() - begin) / 1000)
  }
}

/** Who connected, and what the request is about. */
function locate(trustedProxies: readonly string[]): Middleware {
  const clientAddress = clientAddressFinder(trustedProxies)
  return (ctx, next) => {
    const target = parseRequestTarget(ctx.originalUrl)
    if (target === undefined)
      throw badRequest('ERR_INVALID_TARGET', 'The request target must be a plain ASCII path.')
    ctx.state.target = target
    ctx.state.clientAddress = clientAddress(ctx.req)
    // Stock clients given a host with a trailing slash ask for `//sendMessage`, and sign that.
    if (ctx.path.includes('//')) ctx.path = ctx.path.replace(/\/{2,}/g, '/')
    return next()
  }
}

function routes(endpoints: readonly MountedEndpoint[], auth: AuthContext, options: AppOptions) {
  const { config, logger } = options.context
  const router = new Router<RequestState>({ sensitive: true, strict: true })
  for (const endpoint of endpoints) {
    const bodyLimit = endpoint.bodyLimit?.(config.limits) ?? config.limits.requestBytes
    const rates = endpoint.unlimited === true ? UNLIMITED : options.rates
    const isForHosts = endpoint.authenticated && endpoint.forHosts === true
    const read = readerOf(
      endpoint,
      authenticate({ auth, logger, bodyLimit, rates, isForHosts }),
      readPublicBody(bodyLimit, rates)
    )
    router.register(endpoint.path, [endpoint.method], [read, handle(endpoint, options)])
  }
  return router.routes()
}

/** How the caller and the body of a request become known. */
function readerOf(endpoint: MountedEndpoint, authenticated: Middleware, open: Middleware): Middleware {
  if (endpoint.authenticated) return authenticated
  if (endpoint.signedInSession !== true) return open
  return (ctx, next) => ('x-bsv-auth-identity-key' in ctx.req.headers ? authenticated : open)(ctx, next)
}

function readPublicBody(limit: number, rates: Rates): Middleware {
  return async (ctx, next) => {
    await rates.stranger(ctx.state.clientAddress)
    ctx.state.body = Buffer.concat(await readBody(ctx.req, limit))
    await next()
  }
}

function handle(endpoint: MountedEndpoint, options: AppOptions): Middleware {
  const milliseconds = options.handlerMilliseconds ?? 25_000
  return async ctx => {
    const reply = endpoint.authenticated
      ? endpoint.handler({ ...requestOf(ctx), caller: ctx.state.caller! })
      : endpoint.handler(requestOf(ctx))
    setReply(ctx, await within(milliseconds, reply))
  }
}

function requestOf(ctx: RequestContext): EndpointRequest {
  const { target, body, clientAddress } = ctx.state
  return {
    headers: ctx.req.headers,
    query: new URLSearchParams(target.query),
    body,
    clientAddress,
    json: () => parseJson(body)
  }
}

/** Stops waiting, not working: what the handler does later still counts, and a repeated request is idempotent. */
async function within(milliseconds: number, reply: Promise<Reply>): Promise<Reply> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    const giveUp = () =>
      reject(unavailable('ERR_DEADLINE', 'This took too long here. The same request may be sent again.'))
    timer = setTimeout(giveUp, milliseconds)
  })
  try {
    return await Promise.race([reply, late])
  } finally {
    clearTimeout(timer)
  }
}

function refuseUnrouted(endpoints: readonly MountedEndpoint[], rates: Rates): Middleware {
  return async ctx => {
    await rates.stranger(ctx.state.clientAddress)
    const methods = endpoints.filter(({ path }) => path === ctx.path).map(({ method }) => method)
    if (methods.length === 0) throw new ApiError(404, 'ERR_ROUTE_NOT_FOUND', 'There is no such call here.')
    const allow = methods.join(', ')
    throw new ApiError(405, 'ERR_METHOD_NOT_ALLOWED', `This call takes ${allow}.`, {}, { allow })
  }
}
