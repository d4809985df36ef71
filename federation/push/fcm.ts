import { isObject } from '../../src/message.js'
import type { Answer } from '../channel/exchange.js'
import type { OutboundDoor } from '../channel/guarded-fetch.js'
import { FCM_HOST } from '../storage/devices.js'
import type { AccessTokens } from './access-token.js'
import { callPushService, retryAfterOf } from './call.js'
import {
  COLLAPSE_KEY,
  KEPT_SECONDS,
  type PushNotice,
  type PushOutcome,
  type PushService
} from './push-service.js'

/** What devices show; nobody but the app knows more. */
const TITLE = 'New message'

/** Firebase Cloud Messaging, HTTP v1. */
export function createFcm(door: OutboundDoor, tokens: AccessTokens, projectId: string): PushService {
  const url = `https://${FCM_HOST}/v1/projects/${projectId}/messages:send`
  return {
    async push({ address }, notice) {
      const body = Buffer.from(JSON.stringify({ message: messageOf(address, notice) }))
      const first = await attempt(body)
      // The token was taken back before its time: the next one is new.
      return first.result === 'failed' && first.answer.startsWith('401') ? attempt(body) : first
    }
  }

  async function attempt(body: Buffer): Promise<PushOutcome> {
    const accessToken = await tokens.get()
    if (typeof accessToken !== 'string') return accessToken
    const headers = { authorization: `Bearer ${accessToken}`, 'content-type': 'application/json' }
    const answer = await callPushService(door, { url, headers, body })
    if ('result' in answer) return answer
    if (answer.status === 401) tokens.discard(accessToken)
    return outcomeOf(answer)
  }
}

/** `projects.messages` of HTTP v1. Values of `data` are texts. */
function messageOf(token: string, { host, messageBoxes }: PushNotice): object {
  return {
    token,
    notification: { title: TITLE },
    data: { host, messageBoxes: JSON.stringify(messageBoxes) },
    android: { priority: 'high', collapse_key: COLLAPSE_KEY, ttl: `${KEPT_SECONDS}s` },
    apns: {
      headers: { 'apns-push-type': 'alert', 'apns-priority': '10', 'apns-collapse-id': COLLAPSE_KEY },
      payload: { aps: { alert: { title: TITLE }, 'mutable-content': 1 } }
    }
  }
}

/** Codes after which a token never works again: the app is gone, or is another project's. */
const GONE = new Set(['UNREGISTERED', 'SENDER_ID_MISMATCH'])

function outcomeOf(answer: Answer): PushOutcome {
  if (answer.status < 300) return { result: 'pushed' }
  const code = errorCodeOf(answer.body)
  const told = `${answer.status} ${code ?? ''}`.trimEnd()
  return code !== undefined && GONE.has(code)
    ? { result: 'gone', answer: told }
    : { result: 'failed', answer: told, retryAfter: retryAfterOf(answer) }
}

/** `error.details[].errorCode` of FcmError. A status alone does not say whether device or project is unknown. */
function errorCodeOf(body: Buffer): string | undefined {
  try {
    const answer: unknown = JSON.parse(body.toString())
    const error = isObject(answer) ? answer.error : undefined
    const details = isObject(error) && Array.isArray(error.details) ? error.details : []
    const codes = details.map((detail: unknown) => (isObject(detail) ? detail.errorCode : undefined))
    return codes.find((code): code is string => typeof code === 'string' && /^[A-Z_]{1,64}$/.test(code))
  } catch {
    return undefined
  }
}
