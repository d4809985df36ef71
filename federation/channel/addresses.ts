import { isIPv4, isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'
import type { Network } from '../../src/config.js'

/** Unicast that the IANA registries don't list, but that answers from inside a cloud (Azure's metadata host). */
const CLOUD_METADATA = '168.63.129.16'

/** All of IPv6 that is handed out for use on the internet (RFC 4291, section 2.4); the rest is refused unseen. */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3')

/** What addresses are used for on the `local` network, beside public ones. */
const LOCAL_RANGES: ReadonlySet<string> = new Set(['loopback', 'private', 'uniqueLocal'])

/**
 * Why an address must not be dialled.
 *
 * Public are IPv4 addresses outside every block of the IANA special-purpose registry, and IPv6 addresses in 2000::/3
 * outside every block of its registry; tunnels to IPv4 (6to4, Teredo, ISATAP, NAT64, mapped and compatible addresses)
 * are refused, since they lead to an IPv4 address that nobody has judged. On the `local` network loopback and
 * private addresses are taken too; link-local ones (cloud metadata) never are.
 *
 * @param address one spelling only: four decimal numbers, or IPv6 without a zone
 * @returns the name of the range that forbids it (`malformed` if it is no address), or undefined if it may be dialled
 */
export function forbiddenRange(address: string, network: Network): string | undefined {
  const range = rangeOf(address)
  if (range === undefined || (network === 'local' && LOCAL_RANGES.has(range))) return undefined
  return range
}

function rangeOf(address: string): string | undefined {
  if (isIPv4(address)) return rangeOfIPv4(address)
  if (isIPv6(address) && !address.includes('%')) return rangeOfIPv6(address)
  return 'malformed'
}

function rangeOfIPv4(address: string): string | undefined {
  if (address === CLOUD_METADATA) return 'cloudMetadata'
  const range = ipaddr.IPv4.parse(address).range()
  return range === 'unicast' ? undefined : range
}

function rangeOfIPv6(address: string): string | undefined {
  const parsed = ipaddr.IPv6.parse(address)
  const range = parsed.range()
  if (range !== 'unicast') return range
  if (!parsed.match(GLOBAL_UNICAST)) return 'notGlobalUnicast'
  return isIsatap(parsed.parts) ? 'isatap' : undefined
}

/** Interface identifiers 0000:5efe and 0200:5efe carry an IPv4 address (RFC 5214, section 6.1). */
function isIsatap(parts: readonly number[]): boolean {
  return parts[5] === 0x5efe && (parts[4] === 0 || parts[4] === 0x0200)
}
