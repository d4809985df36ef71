/** What stands between method and HTTP version, exactly as sent. */
export interface RequestTarget {
  readonly path: string
  /** With its leading `?`; empty for none. */
  readonly query: string
}

/** Printable ASCII; no `?`, no `#`. */
const PATH = /^\/[!"$->@-~]*$/
/** Printable ASCII and at least one character after the `?`; no `#`. */
const QUERY = /^\?[!"$-~]+$/
/** A target in absolute form (RFC 9112 section 3.2.2), as some proxies send it. */
const ORIGIN = /^https?:\/\/[^/?#]+/i

export function isPath(text: string): boolean {
  return PATH.test(text)
}

export function isQuery(text: string): boolean {
  return QUERY.test(text)
}

/**
 * Splits a raw request target. The signature covers both parts as they are, and routing uses the same two, so that
 * nothing is routed elsewhere than where it was signed for.
 *
 * @returns undefined for what is neither `/path?query` nor `http(s)://host/path?query`
 */
export function parseRequestTarget(raw: string): RequestTarget | undefined {
  const target = raw.startsWith('/') ? raw : raw.replace(ORIGIN, '')
  const mark = target.indexOf('?')
  const path = mark < 0 ? target : target.slice(0, mark)
  // URL parsers, and so the clients that sign, do not tell a lone `?` from none.
  const query = mark < 0 || mark === target.length - 1 ? '' : target.slice(mark)
  if (!isPath(path) || (query !== '' && !isQuery(query))) return undefined
  return { path, query }
}
