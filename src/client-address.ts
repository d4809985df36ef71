import type { IncomingMessage } from 'node:http'
import ipaddr from 'ipaddr.js'

type Address = ipaddr.IPv4 | ipaddr.IPv6
type Range = [Address, number]

/** X-Forwarded-For of an honest chain of proxies has a handful of entries. */
const MOST_HOPS = 32

/**
 * Finds the address a request came from: the nearest one that is no trusted proxy. Every proxy appends to
 * X-Forwarded-For whom it heard, so the list counts from its end, and only as far as those who wrote it are trusted.
 *
 * @param trustedProxies addresses and CIDR ranges; a wrong one is a RangeError
 * @returns a function from requests to addresses in normal form, IPv4 without `::ffff:`
 */
export function clientAddressFinder(trustedProxies: readonly string[]): (request: IncomingMessage) => string {
  const ranges = trustedProxies.map(parseRange)
  const isTrusted = (address: Address): boolean => isWithin(ranges, address)

  return request => {
    const remote = request.socket.remoteAddress ?? ''
    const forwarded = request.headers['x-forwarded-for']
    if (ranges.length === 0 || typeof forwarded !== 'string') return normalForm(remote)
    let client = parseAddress(remote)
    for (const hop of forwarded.split(',').slice(-MOST_HOPS).reverse()) {
      if (client === undefined || !isTrusted(client)) break
      const before = parseAddress(hop.trim())
      if (before === undefined) break
      client = before
    }
    return client?.toString() ?? remote
  }
}

/**
 * @param trustedProxies as above
 * @returns whether an address is one of them
 */
export function trustedProxyTest(trustedProxies: readonly string[]): (address: string) => boolean {
  const ranges = trustedProxies.map(parseRange)
  return text => {
    const address = parseAddress(text)
    return address !== undefined && isWithin(ranges, address)
  }
}

function isWithin(ranges: readonly Range[], address: Address): boolean {
  return ranges.some(([range, bits]) => address.kind() === range.kind() && address.match(range, bits))
}

function normalForm(remote: string): string {
  return remote.startsWith('::ffff:') ? remote.slice('::ffff:'.length) : remote
}

function parseAddress(text: string): Address | undefined {
  return ipaddr.isValid(text) ? ipaddr.process(text) : undefined
}

function parseRange(text: string): Range {
  try {
    if (text.includes('/')) return ipaddr.parseCIDR(text)
    const address = ipaddr.process(text)
    return [address, address.kind() === 'ipv4' ? 32 : 128]
  } catch {
    throw new RangeError(`not an address or CIDR range: ${text}`)
  }
}
