import type { Network } from '../../src/config.js'
import { accepted, type Parsed, refused } from './parsed.js'

/** Where a host is reached: a lower-case host name, on network `local` possibly with a port. Made by `parseDomain`. */
export type Domain = string

const MAX_NAME = 253
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
/** A last label that makes a URL parser read the whole name as an IPv4 address, in some spelling or in none. */
const NUMBER = /^(?:[0-9]+|0x[0-9a-f]*)$/
const LOOPBACK = /^127(?:\.(?:0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])){3}$/
const PORT = /^[1-9][0-9]{0,4}$/

/**
 * Parses the domain of a PHIP token (protocol section 5, BRC-34 field 3).
 *
 * A lower-case ASCII host name of at most 253 characters, labels of 1 to 63 letters, digits and inner hyphens, at
 * least one dot, no IP address in any spelling; no scheme, port, path, user or trailing dot. On network `local` also
 * names without a dot, loopback addresses in the usual spelling (`127.0.0.1`), and a port from 1 to 65535.
 *
 * @param text anything a stranger wrote
 * @returns the text itself, since it has one spelling only
 */
export function parseDomain(text: string, network: Network): Parsed<Domain> {
  if (network !== 'local') return parseHostName(text, false)
  const colon = text.indexOf(':')
  if (colon === -1) return parseHostName(text, true)
  const port = text.slice(colon + 1)
  if (!PORT.test(port) || Number(port) > 65535) return refused('a port is a number from 1 to 65535')
  const name = parseHostName(text.slice(0, colon), true)
  return name.ok ? accepted(text) : name
}

/**
 * Base URL of the host, without trailing slash: HTTPS on 443, on network `local` plain HTTP.
 *
 * @param domain parsed for the same network
 */
export function domainToBaseUrl(domain: Domain, network: Network): string {
  return `${network === 'local' ? 'http' : 'https'}://${domain}`
}

function parseHostName(name: string, isLocal: boolean): Parsed<Domain> {
  if (name.length === 0) return refused('a domain must not be empty')
  if (name.length > MAX_NAME) return refused(`a domain has at most ${MAX_NAME} characters`)
  const labels = name.split('.')
  const last = labels[labels.length - 1]!
  if (NUMBER.test(last)) {
    return isLocal && LOOPBACK.test(name)
      ? accepted(name)
      : refused('a domain must be a name, not an address')
  }
  if (!labels.every(label => LABEL.test(label))) {
    return refused('a domain is a lower-case host name without scheme, port, path or trailing dot')
  }
  if (labels.length === 1 && !isLocal) return refused('a domain has at least one dot')
  // Not everything behind xn-- is a name; what no URL can hold must not come as a surprise to whoever connects.
  if (name.includes('xn--') && !URL.canParse(`https://${name}`))
    return refused('a domain with an invalid xn-- label')
  return accepted(name)
}
