import { StaleSession } from '../../src/auth/stale-session.js'
import type { AuthenticatedEndpoint } from '../../src/endpoint.js'
import { badRequest } from '../../src/errors.js'
import { isObject } from '../../src/message.js'
import type { FederationContext } from '../context.js'
import { unregisterDevice as remove } from '../storage/devices.js'
import { parseFcmToken } from './register-device.js'

/**
 * POST /unregisterDevice: nothing is pushed to a device of the caller any more.
 *
 * Body: `{deviceId}`, the number that /registerDevice answered; or `{fcmToken}`; or `{endpoint}`, of a subscription. Answers
 * `{status, removed}`; `removed` is false where the caller has no such device (any more).
 *
 * Errors: 400 ERR_INVALID_DEVICE, ERR_INVALID_DEVICE_ID, ERR_INVALID_FCM_TOKEN.
 */
export const unregisterDevice: AuthenticatedEndpoint<FederationContext> = {
  method: 'POST',
  path: '/unregisterDevice',
  authenticated: true,
  async handler(request, { database }) {
    const { caller } = request
    const device = parseReference(request.json())
    const { verdict, removed } = await remove(database, caller.replay, caller.identityKeyBytes, device)
    if (verdict !== 'fresh') throw new StaleSession(verdict)
    return { body: { status: 'success', removed: removed > 0 } }
  }
}

function parseReference(body: unknown): { readonly id: number } | { readonly address: string } {
  const { deviceId = null, fcmToken = null, endpoint = null } = isObject(body) ? body : {}
  if ([deviceId, fcmToken, endpoint].filter(value => value !== null).length !== 1) {
    throw badRequest('ERR_INVALID_DEVICE', 'The body must be {"deviceId"}, {"fcmToken"} or {"endpoint"}.')
  }
  if (fcmToken !== null) return { address: parseFcmToken(fcmToken) }
  if (endpoint !== null) {
    if (typeof endpoint === 'string' && endpoint !== '') return { address: endpoint }
    throw badRequest('ERR_INVALID_DEVICE', '"endpoint" must be that of a subscription.')
  }
  if (typeof deviceId !== 'number' || !Number.isSafeInteger(deviceId) || deviceId < 1) {
    throw badRequest('ERR_INVALID_DEVICE_ID', '"deviceId" must be the number that /registerDevice answered.')
  }
  return { id: deviceId }
}
