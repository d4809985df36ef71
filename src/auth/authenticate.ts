import type { IncomingMessage } from 'node:http'
import { errorReply, setReply } from '../answer.js'
import { ApiError, unavailable } from '../errors.js'
import type { IdentityKey } from '../keys/identity-key.js'
import type { Logger } from '../logger.js'
import type { Rates } from '../rates/rates.js'
import type { Visit } from '../rates/visit.js'
import { type MinimumRate, readBody } from '../request-body.js'
import type { Middleware, RequestContext } from '../request-state.js'
import { authRequired, sessionNotFound } from './auth-errors.js'
import { AuthriteRequest } from './authrite.js'
import { type AuthContext, Brc104Request } from './brc104.js'
import type { Caller, OpenedRequest, ReplayTicket } from './caller.js'
import { StaleSession } from './stale-session.js'

const BRC104_PREFIX = 'x-bsv-auth-'

export interface AuthenticateOptions {
  readonly auth: AuthContext
  readonly logger: Logger
  /** Bytes. */
  readonly bodyLimit: number
  /** The slowest body that is waited for. */
  readonly bodyRate: MinimumRate
  readonly rates: Rates
  /** Callers that are hosts have the rate of a peer here. */
  readonly isForHosts: boolean
  /** Throws for callers whom the operator does not serve; counted in their rate all the same. */
  readonly admit: (caller: IdentityKey) => void
  /** Remembers a request that was not carried out. */
  readonly remember: Remember
}

/** @returns `fresh` if the request was not known before */
export type Remember = (replay: ReplayTicket) => Promise<'fresh' | 'replayed' | 'unknown'>

/**
 * Middleware: proves who is asking and leaves `ctx.state.caller` and `ctx.state.body`, or refuses.
 *
 * Before the session nonce is known to be ours, nothing of the body is read. Refusals up to the proof are unsigned
 * (401; 413, 415 and 408 about the body: a signature under them would answer a request that nobody has signed), and
 * counted for the address (429 in their place, see rates/visit.ts); everything after it is signed for the session of this
 * request, a 429 for the identity too, with the one exception of a StaleSession under BRC-104, which has to be unsigned to
 * make the client shake hands again. Clients of Authrite never do, and take no unsigned answer.
 */
export function authenticate(options: AuthenticateOptions): Middleware {
  const { auth, logger, rates, isForHosts, admit, remember } = options
  return async (ctx, next) => {
    const visit = rates.visit(ctx.state.clientAddress)
    const { request, caller, body } = await prove(ctx, visit, options)
    ctx.state.caller = caller
    ctx.state.body = body
    try {
      await rates.caller(caller.identityKey, isForHosts)
      admit(caller.identityKey)
      await next()
    } catch (thrown) {
      const error = await lastingRefusal(thrown, caller, remember)
      if (error instanceof StaleSession) {
        rates.undoCaller(caller.identityKey, isForHosts)
        await visit.refused()
        // The next handshake must be dated after the new beginning, or it would be refused as well.
        if (error.reason === 'unknown') await auth.epoch.renew()
        if (request.scheme === 'brc104') throw sessionNotFound()
      }
      setReply(ctx, errorReply(error instanceof StaleSession ? forAuthrite(error) : error, ctx, logger))
    }
    sign(ctx, request, logger)
  }
}

/** Whoever is blocked may be served within the hour: what was refused until then must not find itself done after all. */
async function lastingRefusal(error: unknown, { replay }: Caller, remember: Remember): Promise<unknown> {
  if (!(error instanceof ApiError) || error.code !== 'ERR_BLOCKED') return error
  try {
    const verdict = await remember(replay)
    return verdict === 'fresh' ? error : new StaleSession(verdict)
  } catch (failure) {
    return failure
  }
}

async function prove(ctx: RequestContext, visit: Visit, { auth, bodyLimit, bodyRate }: AuthenticateOptions) {
  try {
    const request = openRequest(auth, ctx.req)
    await visit.show(request.sessionNonce)
    const pieces = await readBody(ctx.req, bodyLimit, bodyRate)
    const { caller, body } = await request.verify(ctx.state.target, pieces)
    visit.proven()
    return { request, caller, body }
  } catch (error) {
    await visit.refused()
    throw error
  }
}

/** Their sessions are not older than the memory, which can only be missing for a moment after Postgres has crashed. */
function forAuthrite({ reason }: StaleSession): ApiError {
  if (reason === 'replayed') return sessionNotFound()
  return unavailable('ERR_DATABASE_UNAVAILABLE', 'The database has just come back. Sign and send it again.')
}

/** Chooses the scheme by the headers that are there. */
function openRequest(auth: AuthContext, request: IncomingMessage): OpenedRequest {
  if ('x-authrite' in request.headers) return new AuthriteRequest(auth, request)
  for (const name in request.headers) {
    if (name.startsWith(BRC104_PREFIX)) return new Brc104Request(auth, request)
  }
  throw authRequired()
}

function sign(ctx: RequestContext, request: OpenedRequest, logger: Logger): void {
  try {
    const { answer } = ctx.state
    if (!Buffer.isBuffer(answer?.body)) throw new TypeError('there is no answer to sign')
    Object.assign(answer.headers, request.sign(answer.status, answer.headers, answer.body))
  } catch (error) {
    logger.error({ err: error, path: ctx.path }, 'cannot sign an answer')
    throw new ApiError(
      500,
      'ERR_RESPONSE_SIGNING_FAILED',
      'The request was carried out, but its answer cannot be signed.'
    )
  }
}
