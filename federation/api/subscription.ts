import { ECDH } from 'node:crypto'
import type { Network } from '../../src/config.js'
import { badRequest } from '../../src/errors.js'
import { isObject } from '../../src/message.js'
import { OutboundError } from '../channel/outbound-error.js'
import { parseOutboundUrl } from '../channel/outbound-url.js'
import type { PushAddress } from '../storage/devices.js'

const ENDPOINT_CHARACTERS = 1024
const POINT_BYTES = 65
const SECRET_BYTES = 16

/**
 * Reads a subscription as browsers make it: what `PushSubscription.toJSON()` gives (Push API, section 8.1). Its endpoint is
 * chosen by whoever registers it, so it is judged like every URL this node calls.
 *
 * @throws ApiError 400 ERR_INVALID_SUBSCRIPTION
 */
export function parseSubscription(network: Network, value: unknown): PushAddress {
  const keys = isObject(value) ? value.keys : undefined
  if (!isObject(value) || !isObject(keys) || typeof value.endpoint !== 'string') {
    throw invalid(
      '"subscription" must be what PushSubscription.toJSON() gives: {endpoint, keys: {p256dh, auth}}.'
    )
  }
  const { endpoint } = value
  if (endpoint.length > ENDPOINT_CHARACTERS) {
    throw invalid(`The endpoint of a subscription has at most ${ENDPOINT_CHARACTERS} characters.`)
  }
  const point = bytesOf(keys.p256dh, POINT_BYTES)
  const secret = bytesOf(keys.auth, SECRET_BYTES)
  if (point === undefined || secret === undefined || !isOnCurve(point)) {
    throw invalid(
      '"keys" must be base64url of 65 bytes, an uncompressed point on P-256 (p256dh), and of 16 bytes (auth).'
    )
  }
  return { service: 'web-push', host: hostOf(endpoint, network), address: endpoint, keys: { point, secret } }
}

function hostOf(endpoint: string, network: Network): string {
  try {
    return new URL(parseOutboundUrl(endpoint, network).origin).host
  } catch (error) {
    if (!(error instanceof OutboundError)) throw error
    throw invalid(
      `The endpoint of a subscription must be the https URL of a push service (${error.message}).`
    )
  }
}

function bytesOf(value: unknown, length: number): Buffer | undefined {
  if (typeof value !== 'string' || !/^[\w-]{1,100}={0,2}$/.test(value)) return undefined
  const bytes = Buffer.from(value, 'base64url')
  return bytes.length === length ? bytes : undefined
}

function isOnCurve(point: Buffer): boolean {
  try {
    ECDH.convertKey(point, 'prime256v1')
    return point[0] === 4
  } catch {
    return false
  }
}

function invalid(description: string): Error {
  return badRequest('ERR_INVALID_SUBSCRIPTION', description)
}
