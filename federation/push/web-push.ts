import type { Clock } from '../../src/context.js'
import type { OutboundDoor } from '../channel/guarded-fetch.js'
import type { ApplicationKey } from './application-key.js'
import { callPushService, retryAfterOf } from './call.js'
import { COLLAPSE_KEY, KEPT_SECONDS, type PushOutcome, type PushService } from './push-service.js'
import { sealPush } from './sealed-push.js'
import { signWebToken } from './web-token.js'

export interface WebPushOptions {
  readonly door: OutboundDoor
  readonly clock: Clock
  readonly applicationKey: ApplicationKey
  /** `mailto:` or `https:`, where a push service reaches the operator. */
  readonly contact: string
}

/** How long a token of this node is good, ms; a day at most (RFC 8292, section 2). */
const TOKEN_LIFE = 12 * 60 * 60 * 1000

/** Web Push: RFC 8030, encrypted for the browser (RFC 8291), in the name of this node (RFC 8292). */
export function createWebPush({ door, clock, applicationKey, contact }: WebPushOptions): PushService {
  const authorization = (endpoint: string): string => {
    const expires = Math.floor((clock.now() + TOKEN_LIFE) / 1000)
    const claims = { aud: new URL(endpoint).origin, exp: expires, sub: contact }
    return `vapid t=${signWebToken('ES256', applicationKey.privateKey, claims)}, k=${applicationKey.publicKey}`
  }
  return {
    async push({ address, keys }, notice) {
      if (keys === undefined) return { result: 'gone', answer: 'no keys' }
      const answer = await callPushService(door, {
        url: address,
        headers: {
          authorization: authorization(address),
          'content-encoding': 'aes128gcm',
          'content-type': 'application/octet-stream',
          ttl: String(KEPT_SECONDS),
          topic: COLLAPSE_KEY,
          urgency: 'normal'
        },
        body: sealPush(keys, Buffer.from(JSON.stringify(notice)))
      })
      return 'result' in answer ? answer : outcomeOf(answer.status, retryAfterOf(answer))
    }
  }
}

/** RFC 8030, sections 5 and 7.3: 404 and 410 say that the subscription is over. */
function outcomeOf(status: number, retryAfter: number | undefined): PushOutcome {
  if (status < 300) return { result: 'pushed' }
  const answer = String(status)
  return status === 404 || status === 410
    ? { result: 'gone', answer }
    : { result: 'failed', answer, retryAfter }
}
