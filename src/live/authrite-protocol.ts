import { authriteHeader, sessionNotFound } from '../auth/auth-errors.js'
import { type AuthriteClaim, authriteSignature, proveAuthrite, readAuthriteClaim } from '../auth/authrite.js'
import { authriteInitialResponse, readGreeting } from '../auth/authrite-handshake.js'
import type { AuthContext } from '../auth/brc104.js'
import { AUTHRITE_SESSIONS, checkSessionNonce } from '../auth/session-nonce.js'
import { StaleSession } from '../auth/stale-session.js'
import { ApiError, badRequest } from '../errors.js'
import { parseJson } from '../json.js'
import type { IdentityKey } from '../keys/identity-key.js'
import { isObject } from '../message.js'
import type { Frame, LiveProtocol, ProvenEvent } from './live-protocol.js'

/** What the first headers are taken for: no client can emit an event of this name. */
export const AUTHRITE_GREETING = 'connect'

type Conversation = Pick<AuthriteClaim, 'version' | 'identityKey' | 'session' | 'sessionNonce' | 'nonce'>

/**
 * Authrite on a socket, as authrite-js speaks it: the handshake is in the headers of the connection, and its answer is the
 * event `validationResponse`. After that every event is `{data, headers}`, both ways: the headers of an HTTP request, and a
 * signature over `JSON.stringify(data)`. The name of the event is not signed.
 *
 * A client that connects again sends what waited meanwhile under the session it had before.
 */
export class AuthriteProtocol implements LiveProtocol {
  readonly #auth: AuthContext
  readonly #countStranger: () => Promise<void> | void
  /** This socket's own session, and later the event that the client sent last. */
  #conversation: Conversation | undefined
  #ownNonce: string | undefined

  /** @param countStranger throws where the address has begun too many handshakes */
  constructor(auth: AuthContext, countStranger: () => Promise<void> | void) {
    this.#auth = auth
    this.#countStranger = countStranger
  }

  get identityKey(): IdentityKey | undefined {
    return this.#conversation?.identityKey
  }

  async receive(eventName: string, content: unknown): Promise<Frame | ProvenEvent> {
    if (!isObject(content)) throw badRequest('ERR_INVALID_EVENT', 'An event is {"data": …, "headers": {…}}.')
    if (eventName === AUTHRITE_GREETING) return this.#greet(content)
    const { data, headers } = content
    if (!isObject(headers)) throw badRequest('ERR_INVALID_EVENT', 'An event is {"data": …, "headers": {…}}.')
    const claim = readAuthriteClaim(this.#auth, headers)
    if (claim.identityKey !== this.identityKey) {
      throw authriteHeader('x-authrite-identity-key', 'the one that began this connection')
    }
    const signedBytes = Buffer.from(textOf(data))
    const caller = await proveAuthrite(this.#auth, claim, signedBytes)
    this.#conversation = claim
    // Every host reads it out of the signed bytes.
    return {
      caller,
      eventName,
      data: parseJson(signedBytes),
      isOfThisSocket: claim.sessionNonce === this.#ownNonce
    }
  }

  frame(eventName: string, data: unknown): Frame | undefined {
    if (this.#conversation === undefined) return undefined
    const text = Buffer.from(JSON.stringify(data))
    const headers = authriteSignature(this.#auth, this.#conversation, text)
    return { eventName, content: { data, headers }, bytes: text.length }
  }

  /** Its servers passed on what was emitted: an object came as an object. */
  shownBody(body: string): unknown {
    if (!body.startsWith('{') && !body.startsWith('[')) return body
    try {
      return JSON.parse(body)
    } catch {
      return body
    }
  }

  refusal(error: unknown): Frame | undefined {
    const refused = error instanceof StaleSession ? sessionNotFound() : error
    if (!(refused instanceof ApiError)) return undefined
    const data = refused.toBody()
    // Who is not known yet is told unsigned.
    return this.frame('error', data) ?? { eventName: 'error', content: { data }, bytes: 0 }
  }

  async #greet(headers: Readonly<Record<string, unknown>>): Promise<Frame> {
    await this.#countStranger()
    const greeting = readGreeting(this.#auth, {
      authrite: headers['x-authrite'],
      messageType: headers['x-message-type'],
      identityKey: headers['x-authrite-identity-key'],
      nonce: headers['x-authrite-nonce']
    })
    const content = authriteInitialResponse(this.#auth, greeting)
    const { identityKey, nonce, version } = greeting
    const session = checkSessionNonce(
      this.#auth.keys,
      content.nonce,
      identityKey,
      this.#auth.clock.now(),
      AUTHRITE_SESSIONS
    )
    if (session === undefined) throw sessionNotFound()
    this.#ownNonce = content.nonce
    this.#conversation = { version, identityKey, session, sessionNonce: content.nonce, nonce }
    return { eventName: 'validationResponse', content, bytes: 1_000 }
  }
}

/** Whether the headers of a connection begin this protocol. */
export function isAuthriteConnection(headers: Readonly<Record<string, unknown>>): boolean {
  return headers['x-authrite'] !== undefined
}

/** What the client has signed: its own JSON.stringify, which repeats itself. */
function textOf(data: unknown): string {
  try {
    const text = JSON.stringify(data)
    if (text !== undefined) return text
  } catch (error) {
    // Nested deeper than the stack.
    if (!(error instanceof RangeError)) throw error
  }
  throw badRequest('ERR_INVALID_EVENT', '"data" must be JSON, nested 32 deep at most.')
}
