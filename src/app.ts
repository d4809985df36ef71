import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import Router from '@koa/router'
import Koa from 'koa'
import { answerErrors, type Draining, sendAnswers, setReply } from './answer.js'
import { authenticate, type Remember } from './auth/authenticate.js'
import { authriteHandshake } from './auth/authrite-handshake.js'
import type { AuthContext } from './auth/brc104.js'
import type { Caller } from './auth/caller.js'
import { handshake } from './auth/handshake.js'
import { parseRequestTarget } from './auth/request-target.js'
import type { SessionEpoch } from './auth/session-epoch.js'
import { clientAddressFinder } from './client-address.js'
import type { Config } from './config.js'
import type { Context } from './context.js'
import { Deadlines } from './deadlines.js'
import { type AuthenticatedRequest, type MountedEndpoint, mountEndpoints, type Reply } from './endpoint.js'
import { ApiError, badRequest, unavailable } from './errors.js'
import { parseJson } from './json.js'
import type { IdentityKey } from './keys/identity-key.js'
import type { Metrics } from './metrics.js'
import { type Admission, EVERYBODY } from './operator-lists.js'
import { type Rates, UNLIMITED } from './rates/rates.js'
import { MINIMUM_RATE, type MinimumRate, readBody } from './request-body.js'
import type { Middleware, RequestContext, RequestState } from './request-state.js'
import { answerPreflights, EVERY_ANSWER, FOR_BROWSERS, refuseBrowsers } from './response-headers.js'
import { whenLeft } from './when-left.js'

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
  /** Who is served; everybody if absent. */
  readonly admission?: Admission
  /** Where the node remembers what it has refused for the time being; absent where nobody is refused so. */
  readonly remember?: Remember
  /** After which a handler's request is answered 503, ms. */
  readonly handlerMilliseconds?: number
  /** The slowest body that is waited for. */
  readonly bodyRate?: MinimumRate
  /** The operator's own port, which no page in a browser may use. */
  readonly isForOperator?: boolean
}

/** Stock clients wait for ever, proxies a minute or half of one. */
const HANDLER_MILLISECONDS = 25_000

/** The Koa app: what happens to every request, in this order. */
export function createApp(options: AppOptions): Koa<RequestState> {
  const { context, epoch, draining, rates, isForOperator = false } = options
  const { config, logger, keys, curve, clock } = context
  const auth: AuthContext = { keys, curve, clock, epoch }
  const endpoints = [...mountEndpoints([handshake, authriteHandshake], auth), ...options.endpoints]

  const app = new Koa<RequestState>()
  app.on('error', error => logger.debug({ err: error }, 'connection failed'))
  app.use(measure(context.metrics, endpoints))
  app.use(sendAnswers(draining, isForOperator ? EVERY_ANSWER : { ...EVERY_ANSWER, ...FOR_BROWSERS }))
  app.use(isForOperator ? refuseBrowsers : answerPreflights)
  app.use(answerErrors(logger))
  app.use(locate(config.trustedProxies))
  const { literal, other } = routes(endpoints, auth, options)
  app.use(literal)
  app.use(other)
  app.use(refuseUnrouted(endpoints, rates))
  return app
}

/** What is counted where the client did not wait for an answer, as other servers log it. */
const CLIENT_GONE = 499

/** Counts the answer; paths that strangers make up are all one. */
function measure(metrics: Metrics, endpoints: readonly MountedEndpoint[]): Middleware {
  const paths = new Set(endpoints.map(({ path }) => path))
  return async (ctx, next) => {
    const begin = performance.now()
    await next()
    const { path = '', answer } = ctx.state
    const name = paths.has(path) ? path : 'other'
    metrics.request(name, answer?.status ?? CLIENT_GONE, (performance.now() - begin) / 1000)
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
    const { path } = target
    ctx.state.path = path.includes('//') ? path.replace(/\/{2,}/g, '/') : path
    return next()
  }
}

interface Routes {
  readonly literal: Middleware
  readonly other: ReturnType<Router<RequestState>['routes']>
}

/**
 * Finds the endpoint. All paths are literal, so what matches one to the letter is looked up; everything else (HEAD,
 * what is no call at all) is for the router, which goes through all of them.
 */
function routes(endpoints: readonly MountedEndpoint[], auth: AuthContext, options: AppOptions): Routes {
  const router = new Router<RequestState>({ sensitive: true, strict: true })
  const literal = new Map<string, Middleware>()
  const deadlines = new Deadlines(options.handlerMilliseconds ?? HANDLER_MILLISECONDS)
  for (const endpoint of endpoints) {
    const answer = answering(endpoint, auth, options, deadlines)
    router.register(endpoint.path, [endpoint.method], answer)
    literal.set(`${endpoint.method} ${endpoint.path}`, answer)
  }
  return {
    literal: (ctx, next) => {
      const path = ctx.state.path!
      const answer = literal.get(`${ctx.req.method} ${path}`)
      if (answer !== undefined) return answer(ctx, next)
      if (path !== ctx.path) ctx.path = path
      return next()
    },
    other: router.routes()
  }
}

/** Everything between a request and the answer of its endpoint. */
function answering(
  endpoint: MountedEndpoint,
  auth: AuthContext,
  options: AppOptions,
  deadlines: Deadlines
): Middleware {
  const { config, logger } = options.context
  const { admission = EVERYBODY, bodyRate = MINIMUM_RATE, remember = async () => 'fresh' } = options
  const bodyLimit = endpoint.bodyLimit?.(config.limits) ?? config.limits.requestBytes
  const rates = endpoint.unlimited === true ? UNLIMITED : options.rates
  const isForHosts = endpoint.authenticated && endpoint.forHosts === true
  const callers = endpoint.authenticated ? (isForHosts ? 'host' : 'user') : 'anybody'
  const admit = (caller: IdentityKey): void => admission[callers](caller)
  const read = readerOf(
    endpoint,
    authenticate({ auth, logger, bodyLimit, bodyRate, rates, isForHosts, admit, remember }),
    readPublicBody(bodyLimit, bodyRate, rates)
  )
  const handle = async (ctx: RequestContext): Promise<void> => {
    const request = new ReceivedRequest(ctx)
    const reply = endpoint.authenticated ? endpoint.handler(request) : endpoint.handler(request)
    setReply(ctx, await within(deadlines, reply))
  }
  return ctx => read(ctx, () => handle(ctx))
}

/** How the caller and the body of a request become known. */
function readerOf(endpoint: MountedEndpoint, authenticated: Middleware, open: Middleware): Middleware {
  if (endpoint.authenticated) return authenticated
  if (endpoint.signedInSession !== true) return open
  return (ctx, next) => {
    const { headers } = ctx.req
    const isInSession = 'x-bsv-auth-identity-key' in headers || 'x-authrite' in headers
    return (isInSession ? authenticated : open)(ctx, next)
  }
}

function readPublicBody(limit: number, rate: MinimumRate, rates: Rates): Middleware {
  return async (ctx, next) => {
    await rates.stranger(ctx.state.clientAddress)
    ctx.state.body = Buffer.concat(await readBody(ctx.req, limit, rate))
    await next()
  }
}

class ReceivedRequest implements AuthenticatedRequest {
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  readonly clientAddress: string
  readonly #response: ServerResponse
  readonly #query: string
  readonly #caller: Caller | undefined

  constructor({ req, res, state }: RequestContext) {
    this.#response = res
    this.headers = req.headers
    this.body = state.body
    this.clientAddress = state.clientAddress
    this.#query = state.target.query
    this.#caller = state.caller
  }

  whenLeft(listener: () => void): void {
    whenLeft(this.#response, listener)
  }

  get query(): URLSearchParams {
    return new URLSearchParams(this.#query)
  }

  get caller(): Caller {
    if (this.#caller === undefined) throw new TypeError('this endpoint proves no callers')
    return this.#caller
  }

  json(): unknown {
    return parseJson(this.body)
  }
}

/** Stops waiting, not working: what the handler does later still counts, and a repeated request is idempotent. */
function within(deadlines: Deadlines, reply: Promise<Reply>): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => {
      reject(unavailable('ERR_DEADLINE', 'This took too long here. The same request may be sent again.'))
      // A stream that nobody reads would be fed without end.
      reply.then(destroyStream, () => undefined)
    }
    deadlines.begin(giveUp)
    const settle =
      <T>(how: (result: T) => void) =>
      (result: T): void => {
        deadlines.end(giveUp)
        how(result)
      }
    reply.then(settle(resolve), settle(reject))
  })
}

function destroyStream({ body }: Reply): void {
  if (body instanceof Readable) body.destroy()
}

function refuseUnrouted(endpoints: readonly MountedEndpoint[], rates: Rates): Middleware {
  return async ctx => {
    await rates.stranger(ctx.state.clientAddress)
    const methods = endpoints.filter(({ path }) => path === ctx.state.path).map(({ method }) => method)
    if (methods.length === 0) throw new ApiError(404, 'ERR_ROUTE_NOT_FOUND', 'There is no such call here.')
    const allow = methods.join(', ')
    throw new ApiError(405, 'ERR_METHOD_NOT_ALLOWED', `This call takes ${allow}.`, {}, { allow })
  }
}
