import { Readable } from 'node:stream'
import type { Reply } from './endpoint.js'
import { ApiError } from './errors.js'
import { LargeAnswers } from './large-answers.js'
import type { Logger } from './logger.js'
import { discardBody, isRead, RequestAborted } from './request-body.js'
import type { Answer, Middleware, RequestContext } from './request-state.js'
import { whenLeft } from './when-left.js'

/** How long an answer is left to arrive before a connection with an unread request is closed, ms. */
const LINGER_MILLISECONDS = 500

/** Set by whoever stops the node. */
export interface Draining {
  /** True while requests are still taken, but each is to be the last of its connection. */
  active: boolean
}

/** Sets status, headers and the body's final bytes, so that what is signed is what is sent. */
export function setReply(ctx: RequestContext, { status = 200, body, headers }: Reply): void {
  ctx.state.answer =
    Buffer.isBuffer(body) || body instanceof Readable
      ? { status, headers: { ...headers }, body }
      : {
          status,
          headers: { 'content-type': 'application/json', ...headers },
          body: Buffer.from(JSON.stringify(body))
        }
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
 * Middleware: sends the answer that the others have left, head and body in one piece unless it is long.
 *
 * It may be ready before its request has arrived in full (a refusal, for instance). A short rest is read and
 * forgotten. Otherwise the connection is closed, but not at once: closing while the client still sends makes its
 * system throw away the answer together with the connection.
 *
 * @param everyAnswer headers of all answers
 */
export function sendAnswers(draining: Draining, everyAnswer: Readonly<Record<string, string>>): Middleware {
  const largeAnswers = new LargeAnswers()
  return async (ctx, next) => {
    await next()
    ctx.respond = false
    const { answer } = ctx.state
    // Nobody is left to be answered.
    if (answer === undefined) return void ctx.res.destroy()
    const { body } = answer
    if (body instanceof Readable) return stream(ctx, everyAnswer, { ...answer, body })
    const mayFollow = isRead(ctx.req) || (await discardBody(ctx.req)) || ctx.req.destroyed
    // Looked at last: draining may have begun meanwhile.
    writeHead(ctx, everyAnswer, { ...answer, body }, draining.active || !mayFollow)
    if (mayFollow) largeAnswers.end(ctx.res, body)
    else endLater(ctx, body)
  }
}

/** What has no end in sight: until the client goes away, or the body ends. */
function stream(
  { res }: RequestContext,
  everyAnswer: Readonly<Record<string, string>>,
  { status, headers, body }: Answer & { readonly body: Readable }
): void {
  res.writeHead(status, { ...everyAnswer, ...headers })
  whenLeft(res, () => body.destroy())
  // A body that breaks off ends nothing by itself.
  body.once('close', () => {
    if (!body.readableEnded) res.destroy()
  })
  body.pipe(res)
}

function writeHead(
  { res }: RequestContext,
  everyAnswer: Readonly<Record<string, string>>,
  { status, headers, body }: Answer & { readonly body: Buffer },
  isLast: boolean
): void {
  const all: Record<string, string | number> = { ...everyAnswer, ...headers, 'content-length': body.length }
  if (isLast) all.connection = 'close'
  res.writeHead(status, all)
}

function endLater({ req, res }: RequestContext, body: Buffer): void {
  res.write(body)
  const end = (): void => {
    clearTimeout(timer)
    if (!res.writableEnded) res.end()
  }
  const timer = setTimeout(end, LINGER_MILLISECONDS)
  req.once('end', end).once('close', end)
  req.resume()
}
