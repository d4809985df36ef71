import type { ReplayTicket } from '../../src/auth/caller.js'
import { rowKey } from '../../src/names.js'
import { type Queryable, statement } from '../../src/storage/database.js'

/** The service through which a device is reached. */
export type PushServiceName = 'fcm' | 'web-push'
/** Where FCM takes pushes. */
export const FCM_HOST = 'fcm.googleapis.com'
export const PLATFORMS = ['ios', 'android', 'web'] as const
export type Platform = (typeof PLATFORMS)[number]

/** Where pushes for a device go. */
export interface PushAddress {
  readonly service: PushServiceName
  /** Of the service, as in a URL. */
  readonly host: string
  /** A registration token (FCM), or the endpoint of a subscription (Web Push). */
  readonly address: string
  /** Of a subscription (RFC 8291): 65 bytes, an uncompressed point on P-256, and 16 bytes. */
  readonly keys?: { readonly point: Buffer; readonly secret: Buffer }
}

export interface NewDevice extends PushAddress {
  /** In the words of the app. */
  readonly deviceId: string | undefined
  readonly platform: Platform | undefined
}

export type Verdict = 'fresh' | 'replayed' | 'unknown'

/** Without a word of its owner or a push for so long a device is forgotten, ms. */
export const DEVICE_LIFE = 90 * 24 * 60 * 60 * 1000

const REGISTER = statement(
  'register-device',
  `select * from register_device($1::uuid, $2::bigint, $3::bigint, $4::bytea, $5::text, $6::text, $7::text, $8::uuid,
    $9::bytea, $10::bytea, $11::text, $12::text, $13::bigint, $14::bigint, $15::integer)`
)

/**
 * Registers a device, in one statement with the replay check; one of the same address is changed.
 *
 * @param most devices of one recipient; the one registered longest ago gives way
 */
export async function registerDevice(
  database: Queryable,
  replay: ReplayTicket,
  recipient: Buffer,
  device: NewDevice,
  now: number,
  most: number
): Promise<{ readonly verdict: Verdict; readonly device_id: number }> {
  const { service, host, address, keys, deviceId, platform } = device
  const [row] = await database.query<{ verdict: Verdict; device_id: number }>(REGISTER, [
    replay.digest.toString('hex'),
    replay.issuedAt,
    replay.expiresAt,
    recipient,
    service,
    host,
    address,
    rowKey(address),
    keys?.point ?? null,
    keys?.secret ?? null,
    deviceId ?? null,
    platform ?? null,
    now,
    now + DEVICE_LIFE,
    most
  ])
  return row!
}

/** A device as its owner sees it; times in ms. */
export interface RegisteredDevice {
  readonly id: number
  readonly service: PushServiceName
  readonly address: string
  readonly device_id: string | null
  readonly platform: Platform | null
  readonly active: boolean
  readonly created_at: number
  readonly updated_at: number
  /** Null: nothing was pushed yet. */
  readonly last_used: number | null
}

const LIST = statement(
  'list-devices',
  `with request as materialized (select admit_request($1::uuid, $2::bigint, $3::bigint) as verdict)
  select r.verdict, d.* from request r left join (
    select id, service, address, device_id, platform, active, created_at, updated_at, last_used
    from devices where recipient = $4::bytea
  ) d on r.verdict = 'fresh'
  order by d.id`
)

/** All devices of a recipient, oldest first. */
export async function listDevices(
  database: Queryable,
  replay: ReplayTicket,
  recipient: Buffer
): Promise<{ readonly verdict: Verdict; readonly devices: readonly RegisteredDevice[] }> {
  const rows = await database.query<{ verdict: Verdict; id: number | null } & Omit<RegisteredDevice, 'id'>>(
    LIST,
    [replay.digest.toString('hex'), replay.issuedAt, replay.expiresAt, recipient]
  )
  return {
    verdict: rows[0]!.verdict,
    devices: rows.flatMap(({ verdict: _, id, ...device }) => (id === null ? [] : { id, ...device }))
  }
}

const UNREGISTER = statement(
  'unregister-device',
  `with request as materialized (select admit_request($1::uuid, $2::bigint, $3::bigint) as verdict),
  removed as (
    delete from devices d using request r
    where r.verdict = 'fresh' and d.recipient = $4::bytea and (d.id = $5::bigint or d.address_digest = $6::uuid)
    returning d.id
  )
  select verdict, (select count(*) from removed) as removed from request`
)

/** Forgets a device of a recipient, named by its number or its address. */
export async function unregisterDevice(
  database: Queryable,
  replay: ReplayTicket,
  recipient: Buffer,
  device: { readonly id: number } | { readonly address: string }
): Promise<{ readonly verdict: Verdict; readonly removed: number }> {
  const [row] = await database.query<{ verdict: Verdict; removed: number }>(UNREGISTER, [
    replay.digest.toString('hex'),
    replay.issuedAt,
    replay.expiresAt,
    recipient,
    'id' in device ? device.id : null,
    'address' in device ? rowKey(device.address) : null
  ])
  return row!
}
