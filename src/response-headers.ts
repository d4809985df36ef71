import { setReply } from './answer.js'
import type { Middleware } from './request-state.js'

/**
 * Browsers may call from anywhere: every call is authenticated by its own signature and no cookie exists, so an
 * origin means nothing here. AuthFetch in a browser sees a signed answer only if its headers are exposed; without
 * credentials `*` covers all of them, but for `Authorization`, which has to be named.
 */
const EVERY_ANSWER = {
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

/** Set by whoever stops the node. */
export interface Draining {
  /** True while requests are still taken, but each is to be the last of its connection. */
  active: boolean
}

/** Middleware: headers of every answer, and the answer to CORS preflights. */
export function responseHeaders(draining: Draining): Middleware {
  return async (ctx, next) => {
    ctx.set(EVERY_ANSWER)
    if (ctx.method === 'OPTIONS') {
      ctx.set(PREFLIGHT)
      setReply(ctx, { body: {} })
    } else {
      await next()
    }
    // Last: draining may have begun meanwhile.
    if (draining.active) ctx.set('connection', 'close')
  }
}
