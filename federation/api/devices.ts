import { StaleSession } from '../../src/auth/stale-session.js'
import type { AuthenticatedEndpoint } from '../../src/endpoint.js'
import type { FederationContext } from '../context.js'
import { listDevices, type RegisteredDevice } from '../storage/devices.js'

/** Characters of an address that are shown: enough to tell devices apart, and not enough to push to one. */
const SHOWN = 10

/**
 * GET /devices: the caller's devices, oldest first.
 *
 * Answers `{status, devices: [{id, deviceId, platform, service, fcmToken, active, createdAt, updatedAt, lastUsed}]}`; `service` is
 * `fcm` or `web-push`, `fcmToken` the last ten characters of the token or endpoint behind `...`, `active` false for a device that
 * is gone. Times are ISO 8601; `lastUsed` is that of the last push, before the first one that of the registration.
 */
export const devices: AuthenticatedEndpoint<FederationContext> = {
  method: 'GET',
  path: '/devices',
  authenticated: true,
  async handler({ caller }, { database }) {
    const listed = await listDevices(database, caller.replay, caller.identityKeyBytes)
    if (listed.verdict !== 'fresh') throw new StaleSession(listed.verdict)
    return { body: { status: 'success', devices: listed.devices.map(deviceJson) } }
  }
}

function deviceJson(device: RegisteredDevice): object {
  return {
    id: device.id,
    deviceId: device.device_id,
    platform: device.platform,
    service: device.service,
    fcmToken: `...${device.address.slice(-SHOWN)}`,
    active: device.active,
    createdAt: new Date(device.created_at).toISOString(),
    updatedAt: new Date(device.updated_at).toISOString(),
    lastUsed: new Date(device.last_used ?? device.updated_at).toISOString()
  }
}
