import type { Clock } from '../../src/context.js'
import { isObject } from '../../src/message.js'
import type { OutboundDoor } from '../channel/guarded-fetch.js'
import { callPushService, retryAfterOf } from './call.js'
import type { PushOutcome } from './push-service.js'
import type { ServiceAccount } from './service-account.js'
import { signWebToken } from './web-token.js'

const SCOPE = 'https://www.googleapis.com/auth/firebase.messaging'
const GRANT_TYPE = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
/** Of the assertion, seconds; an hour at most. */
const ASSERTION_LIFE = 60 * 60
/** A token is renewed so long before its end, ms. */
const MARGIN = 60_000

type Failure = Extract<PushOutcome, { result: 'failed' }>

/** Access tokens for a service account (RFC 7523, section 2.1, with RS256): one for all calls until it ends. */
export class AccessTokens {
  readonly #door: OutboundDoor
  readonly #clock: Clock
  readonly #account: ServiceAccount
  #current: { readonly token: string; readonly until: number } | undefined
  #asking: Promise<string | Failure> | undefined

  constructor(door: OutboundDoor, clock: Clock, account: ServiceAccount) {
    this.#door = door
    this.#clock = clock
    this.#account = account
  }

  /** The token, or why there is none. */
  get(): Promise<string | Failure> {
    if (this.#current !== undefined && this.#clock.now() < this.#current.until) {
      return Promise.resolve(this.#current.token)
    }
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined
    })
    return this.#asking
  }

  /** It was refused: the next call asks for another. */
  discard(token: string): void {
    if (this.#current?.token === token) this.#current = undefined
  }

  async #ask(): Promise<string | Failure> {
    const { clientEmail, privateKey, tokenUrl } = this.#account
    const now = this.#clock.now()
    const issued = Math.floor(now / 1000)
    const assertion = signWebToken('RS256', privateKey, {
      iss: clientEmail,
      scope: SCOPE,
      aud: tokenUrl,
      iat: issued,
      exp: issued + ASSERTION_LIFE
    })
    const answer = await callPushService(this.#door, {
      url: tokenUrl,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: Buffer.from(new URLSearchParams({ grant_type: GRANT_TYPE, assertion }).toString())
    })
    // What is wrong here is no device's fault: none is gone because of it.
    if ('result' in answer) return { result: 'failed', answer: answer.answer, retryAfter: undefined }
    const granted = answer.status === 200 ? parseGrant(answer.body) : undefined
    if (granted === undefined) {
      return {
        result: 'failed',
        answer: `no access token: ${answer.status}`,
        retryAfter: retryAfterOf(answer)
      }
    }
    this.#current = { token: granted.token, until: now + granted.seconds * 1000 - MARGIN }
    return granted.token
  }
}

function parseGrant(body: Buffer): { readonly token: string; readonly seconds: number } | undefined {
  try {
    const grant: unknown = JSON.parse(body.toString())
    if (!isObject(grant)) return undefined
    const { access_token: token, expires_in: seconds } = grant
    if (typeof token !== 'string' || !/^[\x21-\x7e]{1,4096}$/.test(token)) return undefined
    return typeof seconds === 'number' ? { token, seconds } : undefined
  } catch {
    return undefined
  }
}
