import { setReply } from './answer.js'
import type { Middleware } from './request-state.js'

/** Nothing here is a page, and no answer is for anybody but its caller. */
export const EVERY_ANSWER = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff'
}

/**
 * Browsers may call from anywhere: every call is authenticated by its own signature and no cookie exists, so an
 * origin means nothing here. AuthFetch in a browser sees a signed answer only if its headers are exposed, and apps
 * may sign `x-bsv-*` headers of their own, so that none can be listed; without credentials `*` covers all of them, but
 * for `Authorization`, which has to be named.
 */
export const FOR_BROWSERS = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers': '*'
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

/**
 * Middleware for the operator's own port: no page in a browser of this machine may read it or steer through it, be it
 * that it asks openly (`Origin`, `Sec-Fetch-Site`) or that its name was made to point here (`Host`).
 */
export const refuseBrowsers: Middleware = (ctx, next) => {
  const { origin, host = '', 'sec-fetch-site': site = 'none' } = ctx.req.headers
  const isBrowser = origin !== undefined || site !== 'none' || !LOOPBACK.test(host)
  return isBrowser ? setReply(ctx, NOT_FOR_BROWSERS) : next()
}

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i

const NOT_FOR_BROWSERS = {
  status: 403,
  body: {
    status: 'error',
    code: 'ERR_BROWSER_REFUSED',
    description:
      'This port is for programs of this machine that call it as localhost, not for pages in browsers.'
  }
}
