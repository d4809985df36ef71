import { setReply } from './answer.js'
import type { Middleware } from './request-state.js'

/**
 * Browsers may call from anywhere: every call is authenticated by its own signature and no cookie exists, so an
 * origin means nothing here. AuthFetch in a browser sees a signed answer only if its headers are exposed; without
 * credentials `*` covers all of them, but for `Authorization`, which has to be named.
 */
export const EVERY_ANSWER = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers': '*',
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff'
}

const PREFLIGHT = {
  'access-control-allow-headers': '*, Authorization',
  'access-control-allow-methods': 'GET, POST',
  'access-control-allow-private-network': 'true',
  'access-control-max-age': '86400'
}

/** Middleware: the answer to CORS preflights. */
export const answerPreflights: Middleware = (ctx, next) =>
  ctx.req.method === 'OPTIONS' ? setReply(ctx, { body: {}, headers: PREFLIGHT }) : next()
