import { isIP } from 'node:net'
import type { Network } from '../../src/config.js'
import { OutboundError } from './outbound-error.js'

/** Where one request goes; judged, except for what its name resolves to. */
export interface Destination {
  readonly protocol: 'https:' | 'http:'
  /** Without brackets. */
  readonly hostname: string
  /** True for a literal address, which only `local` knows; there is nothing to resolve then. */
  readonly isAddress: boolean
  readonly port: number
  readonly origin: string
  /** Path and query as they are sent. */
  readonly path: string
}

const LONGEST_URL = 2048
/** RFC 1123, section 2.1; lower case, as domains of this project are. */
const HOST_NAME =
  /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/

/**
 * Judges the URL of an outbound request.
 *
 * Everywhere: no user, no password, no fragment, and the text must be exactly what the URL parser makes of it. Hosts
 * have many spellings (`0x7f000001`, `127.1`, full-width digits, upper case, `\` for `/`, tabs), and a text that changes
 * in parsing is one that two readers may take differently. Only the slash of a bare origin may be left out.
 * On every network but `local`: `https:`, port 443 left out, and a DNS name of two labels or more.
 * On `local`: `http:` as well, any port, one label (`localhost`), literal addresses.
 *
 * @throws OutboundError `refused-url`
 */
export function parseOutboundUrl(text: string, network: Network): Destination {
  if (text.length > LONGEST_URL || !URL.canParse(text)) throw refused('not a URL')
  const url = new URL(text)
  if (url.href !== text && url.href !== `${text}/`) throw refused('not in its canonical form')
  if (url.username !== '' || url.password !== '') throw refused('a user is not allowed')
  if (text.includes('#')) throw refused('a fragment is not allowed')
  const { protocol } = url
  if (protocol !== 'https:' && !(protocol === 'http:' && network === 'local')) throw refused('only https')
  if (url.port !== '' && network !== 'local') throw refused('only port 443')
  const hostname = judgeHost(url.hostname, network)
  return {
    protocol,
    hostname,
    isAddress: isIP(hostname) !== 0,
    port: url.port === '' ? (protocol === 'https:' ? 443 : 80) : Number(url.port),
    origin: url.origin,
    path: url.pathname + url.search
  }
}

function judgeHost(host: string, network: Network): string {
  const bare = host.startsWith('[') ? host.slice(1, -1) : host
  if (isIP(bare) !== 0) {
    if (network === 'local') return bare
    throw refused('a literal address is not allowed')
  }
  if (!HOST_NAME.test(host)) throw refused('not a host name')
  if (network !== 'local' && !host.includes('.')) throw refused('a name of one label is not allowed')
  return host
}

function refused(reason: string): OutboundError {
  return new OutboundError('refused-url', 'before-sent', `refused URL: ${reason}`)
}
