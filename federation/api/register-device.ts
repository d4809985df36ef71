import { StaleSession } from '../../src/auth/stale-session.js'
import type { Network } from '../../src/config.js'
import type { AuthenticatedEndpoint } from '../../src/endpoint.js'
import { badRequest } from '../../src/errors.js'
import { isObject } from '../../src/message.js'
import type { FederationContext } from '../context.js'
import {
  FCM_HOST,
  type NewDevice,
  PLATFORMS,
  type Platform,
  registerDevice as save
} from '../storage/devices.js'
import { parseSubscription } from './subscription.js'

const TOKEN_CHARACTERS = 4096
const DEVICE_ID_CHARACTERS = 256

/**
 * POST /registerDevice: the caller wants a device told when something arrives in his boxes that push (docs/push.md).
 *
 * Body: `{fcmToken | subscription, deviceId?, platform?}`: a registration token of FCM, or what a browser's
 * `PushSubscription.toJSON()` gives; `platform` is `ios`, `android` or `web`. Answers `{status, message, deviceId, pushes}`:
 * the number under which the device is listed and unregistered, and whether this node pushes to devices of its kind. The same token or
 * endpoint again changes the device, and revives it. Beyond the limit (`devicesPerRecipient`) the one registered longest ago goes.
 *
 * Errors: 400 ERR_INVALID_DEVICE, ERR_INVALID_FCM_TOKEN, ERR_INVALID_SUBSCRIPTION, ERR_INVALID_PLATFORM, ERR_INVALID_DEVICE_ID.
 */
export const registerDevice: AuthenticatedEndpoint<FederationContext> = {
  method: 'POST',
  path: '/registerDevice',
  authenticated: true,
  async handler(request, { config, clock, database, push }) {
    const { caller } = request
    const device = parseDevice(config.network, request.json())
    const { verdict, device_id } = await save(
      database,
      caller.replay,
      caller.identityKeyBytes,
      device,
      clock.now(),
      config.limits.devicesPerRecipient
    )
    if (verdict !== 'fresh') throw new StaleSession(verdict)
    return {
      body: {
        status: 'success',
        message: 'The device is registered.',
        deviceId: device_id,
        pushes: push.services.has(device.service)
      }
    }
  }
}

function parseDevice(network: Network, body: unknown): NewDevice {
  if (!isObject(body)) throw badRequest('ERR_INVALID_DEVICE', 'The body must be an object.')
  const { subscription = null, fcmToken = null } = body
  if (subscription !== null && fcmToken !== null) {
    throw badRequest('ERR_INVALID_DEVICE', 'A device has "fcmToken" or "subscription", not both.')
  }
  const address =
    subscription === null
      ? { service: 'fcm' as const, host: FCM_HOST, address: parseFcmToken(fcmToken) }
      : parseSubscription(network, subscription)
  return { ...address, deviceId: parseDeviceId(body.deviceId), platform: parsePlatform(body.platform) }
}

/** @throws ApiError 400 ERR_INVALID_FCM_TOKEN */
export function parseFcmToken(value: unknown): string {
  const token = typeof value === 'string' ? value.trim() : ''
  if (!/^[\x21-\x7e]+$/.test(token) || token.length > TOKEN_CHARACTERS) {
    throw badRequest(
      'ERR_INVALID_FCM_TOKEN',
      `"fcmToken" must be a registration token of FCM: 1 to ${TOKEN_CHARACTERS} ASCII characters without blanks.`
    )
  }
  return token
}

function parseDeviceId(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined
  const deviceId = typeof value === 'string' ? value.trim() : undefined
  if (deviceId === undefined || deviceId.length > DEVICE_ID_CHARACTERS || /\p{Cc}/u.test(deviceId)) {
    throw badRequest(
      'ERR_INVALID_DEVICE_ID',
      `"deviceId" must be a text of at most ${DEVICE_ID_CHARACTERS} characters, without control characters.`
    )
  }
  return deviceId === '' ? undefined : deviceId
}

function parsePlatform(value: unknown): Platform | undefined {
  if (value === undefined || value === null) return undefined
  const platform = PLATFORMS.find(name => name === value)
  if (platform === undefined) {
    throw badRequest('ERR_INVALID_PLATFORM', `"platform" must be one of: ${PLATFORMS.join(', ')}.`)
  }
  return platform
}
