import { randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import {
  requestPreimage,
  responsePreimageHead,
  type SignedHeader,
  signedResponseHeaders
} from '../../src/auth/preimage.js'
import type { Clock } from '../../src/context.js'
import { type JsonLimits, parseJson } from '../../src/json.js'
import type { IdentityKey } from '../../src/keys/identity-key.js'
import type { KeyDeriver } from '../../src/keys/key-deriver.js'
import type { Logger } from '../../src/logger.js'
import { domainToBaseUrl } from '../phip/domain.js'
import type { Answer } from './exchange.js'
import { type OutboundDoor, PEER_ANSWER_BYTES, type Timeouts } from './guarded-fetch.js'
import { AUTH_INVOICE, AUTH_VERSION, type PeerSession, shakeHands } from './handshake.js'
import { PeerError } from './peer-error.js'

/** A host as a PHIP token names it. */
export interface PeerHost {
  /** Parsed for this network. */
  readonly domain: string
  readonly operatorKey: IdentityKey
}

export interface CallOptions {
  /** Bytes; 64 KiB if absent. */
  readonly maximumAnswerBytes?: number
  readonly timeouts?: Partial<Timeouts>
}

/** What the peer said, signed by it for this request. Any status but 3xx, 402 and 5xx included. */
export interface PeerAnswer extends Answer {
  /**
   * The body as strict JSON (json.ts).
   * @throws PeerError `not-json`
   */
  json(limits?: JsonLimits): unknown
}

export interface PeerClientOptions {
  readonly keys: KeyDeriver
  readonly door: OutboundDoor
  readonly clock: Clock
  readonly logger: Logger
}

/** What is remembered of a domain. */
interface Acquaintance {
  /** The key that it proved last. */
  readonly key: IdentityKey
  /** When, ms since 1970. */
  provenAt: number
  session: PeerSession | undefined
}

/** The only header that is signed beside the session's own. */
const CONTENT_TYPE: SignedHeader = { name: 'content-type', value: 'application/json' }
/** How long a domain's key stands against tokens that name another for it (protocol section 5). */
const KEY_MILLISECONDS = 60 * 60_000
/** Domains remembered, about 1 KiB each. */
const ACQUAINTANCES = 10_000
/** Base64 of 32 bytes, with room for servers that make longer ones. */
const LONGEST_NONCE = 128
const SIGNATURE_HEX = /^(?:[0-9a-f]{2}){8,72}$/i
/** How servers say that they don't know a session (any more); in the first bytes of an unsigned 401. */
const STALE_SESSION = 'Session not found for nonce'
const STALE_SESSION_WITHIN = 1024

/** Calls to other hosts, authenticated both ways. */
export interface PeerClient {
  /** The key that the domain proved to have within the last hour, whether it was the expected one or not. */
  shownKey(domain: string): IdentityKey | undefined
  /**
   * Sends one request to a host after it proved to be `host.operatorKey`, once more if it has forgotten the session.
   *
   * @param path of the peer's API, without query
   * @param body JSON: an object, or its bytes, one at least, which are sent as they are
   * @throws PeerError
   * @throws OutboundError; `before-sent` means that nothing of the body has left
   */
  post(host: PeerHost, path: string, body: object, options?: CallOptions): Promise<PeerAnswer>
  /**
   * The same without a body.
   *
   * @param query without `?`
   */
  get(host: PeerHost, path: string, query: string, options?: CallOptions): Promise<PeerAnswer>
}

/** What is asked, beside whom. */
interface Call {
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** With `?`, or empty. */
  readonly query: string
  readonly body: Uint8Array | undefined
}

/**
 * The client's half of BRC-103 over BRC-104. Never pays, never goes without authentication. A session is between this
 * node and a domain's key; there is one for each domain at most, in memory only.
 */
export function createPeerClient(options: PeerClientOptions): PeerClient {
  return new SessionClient(options)
}

class SessionClient implements PeerClient {
  readonly #options: PeerClientOptions
  readonly #acquaintances = new LRUCache<string, Acquaintance>({ max: ACQUAINTANCES })
  /** By domain: whatever keys tokens name for it, it is asked for its own once at a time. */
  readonly #handshakes = new Map<string, Promise<PeerSession>>()

  constructor(options: PeerClientOptions) {
    this.#options = options
  }

  shownKey(domain: string): IdentityKey | undefined {
    const acquaintance = this.#acquaintances.peek(domain)
    if (acquaintance === undefined) return undefined
    return this.#options.clock.now() < acquaintance.provenAt + KEY_MILLISECONDS ? acquaintance.key : undefined
  }

  post(host: PeerHost, path: string, body: object, options: CallOptions = {}): Promise<PeerAnswer> {
    const payload = body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body))
    return this.#call(host, { method: 'POST', path, query: '', body: payload }, options)
  }

  get(host: PeerHost, path: string, query: string, options: CallOptions = {}): Promise<PeerAnswer> {
    return this.#call(host, { method: 'GET', path, query: `?${query}`, body: undefined }, options)
  }

  async #call(host: PeerHost, call: Call, options: CallOptions): Promise<PeerAnswer> {
    const session = await this.#sessionWith(host, options.timeouts)
    const first = await this.#exchange(host.domain, session, call, options)
    if (first.isAuthentic) return withJson(first.answer)
    if (!saysStaleSession(first.answer)) throw unauthenticated(first.answer)
    this.#forget(host.domain, session)
    const renewed = await this.#sessionWith(host, options.timeouts)
    const second = await this.#exchange(host.domain, renewed, call, options)
    if (second.isAuthentic) return withJson(second.answer)
    throw unauthenticated(second.answer)
  }

  async #sessionWith(host: PeerHost, timeouts: Partial<Timeouts> | undefined): Promise<PeerSession> {
    const { domain, operatorKey } = host
    const shownKey = this.shownKey(domain)
    if (shownKey !== undefined && shownKey !== operatorKey) {
      throw new PeerError('other-key-known', `${domain} proved another key within the last hour`, {
        shownKey
      })
    }
    const session = this.#acquaintances.get(domain)?.session
    if (session?.peerKey === operatorKey && this.#options.clock.now() < session.expiresAt) return session
    const fresh = await this.#handshakeWith(domain, timeouts)
    if (fresh.peerKey === operatorKey) return fresh
    this.#options.logger.warn({ domain, operatorKey, shownKey: fresh.peerKey }, 'a host proved another key')
    throw new PeerError('wrong-identity', `${domain} proved another key`, { shownKey: fresh.peerKey })
  }

  #handshakeWith(domain: string, timeouts: Partial<Timeouts> | undefined): Promise<PeerSession> {
    const current = this.#handshakes.get(domain)
    if (current !== undefined) return current
    const handshake = shakeHands(this.#options, this.#urlOf(domain, '/.well-known/auth'), timeouts)
      .then(session => {
        const provenAt = this.#options.clock.now()
        this.#acquaintances.set(domain, { key: session.peerKey, provenAt, session })
        return session
      })
      .finally(() => this.#handshakes.delete(domain))
    this.#handshakes.set(domain, handshake)
    return handshake
  }

  /** Unless it has been replaced meanwhile. What key the domain has is not forgotten. */
  #forget(domain: string, session: PeerSession): void {
    const acquaintance = this.#acquaintances.peek(domain)
    if (acquaintance?.session === session) acquaintance.session = undefined
  }

  async #exchange(
    domain: string,
    session: PeerSession,
    { method, path, query, body }: Call,
    options: CallOptions
  ): Promise<{ readonly answer: Answer; readonly isAuthentic: boolean }> {
    const { door, keys, clock } = this.#options
    const requestId = randomBytes(32)
    const nonce = randomBytes(32).toString('base64')
    const headers = body === undefined ? [] : [CONTENT_TYPE]
    const preimage = requestPreimage({ requestId, method, path, query, headers, body: body ? [body] : [] })
    const invoiceNumber = `${AUTH_INVOICE}${nonce} ${session.peerNonce}`
    const answer = await door.request({
      url: this.#urlOf(domain, path + query),
      method,
      headers: {
        ...Object.fromEntries(headers.map(({ name, value }) => [name, value])),
        'x-bsv-auth-version': AUTH_VERSION,
        'x-bsv-auth-identity-key': keys.identityKey,
        'x-bsv-auth-nonce': nonce,
        'x-bsv-auth-your-nonce': session.peerNonce,
        'x-bsv-auth-request-id': requestId.toString('base64'),
        'x-bsv-auth-signature': keys.sign(preimage, invoiceNumber, session.peerKeyBytes).toString('hex')
      },
      ...(body === undefined ? {} : { body }),
      maximumAnswerBytes: options.maximumAnswerBytes ?? PEER_ANSWER_BYTES,
      timeouts: options.timeouts ?? {}
    })
    const isAuthentic = isSignedFor(keys, session, requestId, answer)
    const acquaintance = isAuthentic ? this.#acquaintances.peek(domain) : undefined
    if (acquaintance?.key === session.peerKey) acquaintance.provenAt = clock.now()
    return { answer, isAuthentic }
  }

  #urlOf(domain: string, path: string): string {
    // Through URL, as on `local` a domain may name the default port, which a canonical URL leaves out.
    return new URL(path, domainToBaseUrl(domain, this.#options.door.network)).href
  }
}

/** True if the peer signed this answer, for this request, in this session (BRC-104). */
function isSignedFor(keys: KeyDeriver, session: PeerSession, requestId: Buffer, answer: Answer): boolean {
  const { status, headers, body } = answer
  const nonce = headers['x-bsv-auth-nonce']
  const signature = headers['x-bsv-auth-signature']
  if (headers['x-bsv-auth-version'] !== AUTH_VERSION) return false
  if (headers['x-bsv-auth-identity-key'] !== session.peerKey) return false
  if (headers['x-bsv-auth-your-nonce'] !== session.ownNonce) return false
  if (headers['x-bsv-auth-request-id'] !== requestId.toString('base64')) return false
  if (nonce === undefined || nonce.length > LONGEST_NONCE) return false
  if (signature === undefined || !SIGNATURE_HEX.test(signature)) return false
  const head = responsePreimageHead(requestId, status, signedResponseHeaders(headers), body.length)
  const invoiceNumber = `${AUTH_INVOICE}${nonce} ${session.ownNonce}`
  return keys.verify(
    Buffer.concat([head, body]),
    Buffer.from(signature, 'hex'),
    invoiceNumber,
    session.peerKeyBytes
  )
}

function saysStaleSession(answer: Answer): boolean {
  return answer.status === 401 && answer.body.subarray(0, STALE_SESSION_WITHIN).includes(STALE_SESSION)
}

function unauthenticated(answer: Answer): PeerError {
  return new PeerError('unauthenticated-answer', `status ${answer.status}, not signed by the peer`, {
    answer
  })
}

function withJson(answer: Answer): PeerAnswer {
  return {
    ...answer,
    json(limits) {
      try {
        return parseJson(answer.body, limits)
      } catch {
        throw new PeerError('not-json', 'the answer is not strict JSON', { answer })
      }
    }
  }
}
