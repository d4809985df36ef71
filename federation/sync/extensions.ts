import { LRUCache } from 'lru-cache'
import type { Clock } from '../../src/context.js'
import { parseJson } from '../../src/json.js'
import { isObject } from '../../src/message.js'
import type { OutboundDoor } from '../channel/guarded-fetch.js'
import { OutboundError, type OutboundErrorKind } from '../channel/outbound-error.js'
import { domainToBaseUrl } from '../phip/domain.js'

/** What hosts say that they can do beside BRC-34 (protocol section 7). */
export interface PeerExtensions {
  /**
   * Whether the host at this domain names an extension in its document; undefined where nothing can be told now. One
   * without a document is a plain BRC-34 host.
   *
   * @throws OutboundError where it cannot be reached
   */
  has(domain: string, extension: string): Promise<boolean | undefined>
}

interface Told {
  readonly extensions: ReadonlySet<string>
  readonly askAgainAt: number
}

const DOMAINS = 10_000
/** A host may be updated; ms. */
const FRESH_MILLISECONDS = 10 * 60_000
const DOCUMENT_BYTES = 64 * 1024
const EXTENSIONS_AT_MOST = 64
const NO_DOCUMENT: ReadonlySet<OutboundErrorKind> = new Set(['redirect', 'too-large', 'protocol'])

/** Remembers what documents said, for ten minutes. */
export function createPeerExtensions(door: OutboundDoor, clock: Clock): PeerExtensions {
  const told = new LRUCache<string, Told>({ max: DOMAINS })
  return {
    async has(domain, extension) {
      const now = clock.now()
      let known = told.get(domain)
      if (known === undefined || known.askAgainAt <= now) {
        const extensions = await askFor(door, domain)
        // A host that is in trouble has not forgotten what it can do.
        if (extensions === undefined) return known?.extensions.has(extension)
        known = { extensions, askAgainAt: now + FRESH_MILLISECONDS }
        told.set(domain, known)
      }
      return known.extensions.has(extension)
    }
  }
}

async function askFor(door: OutboundDoor, domain: string): Promise<ReadonlySet<string> | undefined> {
  const url = new URL('/.well-known/peerserv', domainToBaseUrl(domain, door.network)).href
  try {
    const answer = await door.request({ url, method: 'GET', maximumAnswerBytes: DOCUMENT_BYTES })
    return answer.status >= 500 || answer.status === 429 ? undefined : extensionsIn(answer)
  } catch (error) {
    // It is there, and has something else at this path: no reason to leave it alone with messages, too.
    if (error instanceof OutboundError && NO_DOCUMENT.has(error.kind)) return new Set()
    throw error
  }
}

function extensionsIn(answer: { readonly status: number; readonly body: Buffer }): ReadonlySet<string> {
  if (answer.status !== 200) return new Set()
  try {
    const document = parseJson(answer.body)
    if (!isObject(document) || !Array.isArray(document.extensions)) return new Set()
    const named = document.extensions.slice(0, EXTENSIONS_AT_MOST) as unknown[]
    return new Set(named.filter(name => typeof name === 'string'))
  } catch {
    return new Set()
  }
}
