import type { Reply } from './endpoint.js'
import { ApiError } from './errors.js'
import type { Logger } from './logger.js'
import { discardBody, RequestAborted } from './request-body.js'
import type { Middleware, RequestContext } from './request-state.js'

/** How long an answer is left to arrive before a connection with an unread request is closed, ms. */
const LINGER_MILLISECONDS = 500

/** Sets status, headers and the body's final bytes, so that what is signed is what is sent. */
export function setReply(ctx: RequestContext, reply: Reply): void {
  ctx.status = reply.status ?? 200
  if (Buffer.isBuffer(reply.body)) {
    ctx.body = reply.body
  } else {
    ctx.body = Buffer.from(JSON.stringify(reply.body))
    ctx.set('content-type', 'application/json')
  }
  if (reply.headers !== undefined) ctx.set(reply.headers)
}

/** The one place where an error becomes an answer. What is no ApiError is logged and told without detail. */
export function errorReply(error: unknown, ctx: RequestContext, logger: Logger): Reply {
  if (error instanceof ApiError) {
    return { status: error.httpStatus, body: error.toBody(), headers: error.headers }
  }
  logger.error({ err: error, method: ctx.method, path: ctx.path }, 'request failed')
  const description = 'Something went wrong here. The same request may be sent again.'
  return { status: 500, body: { status: 'error', code: 'ERR_INTERNAL', description } }
}

/** Middleware: answers what the rest throws, unsigned. */
export function answerErrors(logger: Logger): Middleware {
  return async (ctx, next) => {
    try {
      await next()
    } catch (error) {
      if (error instanceof RequestAborted) logger.debug({ path: ctx.path }, error.message)
      else setReply(ctx, errorReply(error, ctx, logger))
    }
  }
}

/**
 * Middleware: an answer may be ready before its request has arrived in full (a refusal, for instance). A short rest
 * is read and forgotten. Otherwise the connection is closed, but not at once: closing while the client still
 * sends makes its system throw away the answer together with the connection.
 */
export const answerUnreadRequests: Middleware = async (ctx, next) => {
  await next()
  if (await discardBody(ctx.req)) return
  if (ctx.req.destroyed || !Buffer.isBuffer(ctx.body)) return
  ctx.respond = false
  ctx.set('connection', 'close')
  const { req, res } = ctx
  res.write(ctx.body)
  const end = (): void => {
    clearTimeout(timer)
    if (!res.writableEnded) res.end()
  }
  const timer = setTimeout(end, LINGER_MILLISECONDS)
  req.once('end', end).once('close', end)
  req.resume()
}
