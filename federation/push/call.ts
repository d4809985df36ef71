import type { Answer } from '../channel/exchange.js'
import type { OutboundDoor } from '../channel/guarded-fetch.js'
import { OutboundError } from '../channel/outbound-error.js'
import type { PushOutcome } from './push-service.js'

/** Answers are a few lines, and only FCM's matter. */
const ANSWER_BYTES = 16 * 1024
/** All in ms. Strangers choose the hosts of Web Push: a slow one must not keep others waiting for long. */
const TIMEOUTS = { connect: 3_000, headers: 5_000, total: 8_000 }
/** Longer than this, seconds, nobody waits because a push service said so. */
const LONGEST_RETRY_AFTER = 24 * 60 * 60

/** One POST to a push service: its answer, or the outcome where there is none. Where this node must not call, it never will. */
export async function callPushService(
  door: OutboundDoor,
  request: {
    readonly url: string
    readonly headers: Readonly<Record<string, string>>
    readonly body: Uint8Array
  }
): Promise<Answer | Exclude<PushOutcome, { result: 'pushed' }>> {
  try {
    return await door.request({
      ...request,
      method: 'POST',
      maximumAnswerBytes: ANSWER_BYTES,
      timeouts: TIMEOUTS
    })
  } catch (error) {
    if (!(error instanceof OutboundError)) throw error
    const answer = error.message
    return error.kind === 'refused-url' || error.kind === 'refused-address'
      ? { result: 'gone', answer }
      : { result: 'failed', answer, retryAfter: undefined }
  }
}

/** Seconds, where an answer states them (RFC 9110, section 10.2.3); its other form, a date, counts as nothing said. */
export function retryAfterOf({ headers }: Answer): number | undefined {
  const text = headers['retry-after']
  if (text === undefined || !/^\d{1,9}$/.test(text)) return undefined
  return Math.min(Number(text), LONGEST_RETRY_AFTER)
}
