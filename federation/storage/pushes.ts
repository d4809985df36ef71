import { type Queryable, statement } from '../../src/storage/database.js'
import { DEVICE_LIFE, type PushAddress, type PushServiceName } from './devices.js'

/** What is pushed, and how often to one device at most. */
export interface PushRules {
  /** Names of the boxes whose messages are told. */
  readonly boxes: readonly string[]
  readonly services: readonly PushServiceName[]
  /** Between two pushes to one device, ms. */
  readonly interval: number
}

const MARK = statement(
  'mark-devices',
  'select * from mark_devices($1::bytea[], $2::text[], $3::bigint, $4::bigint) as host'
)

/**
 * Something has come for these recipients: gives their devices a reason to look.
 *
 * @returns hosts of push services at which some may look now
 */
export async function markDevices(
  database: Queryable,
  recipients: readonly Buffer[],
  { services, interval }: PushRules,
  now: number
): Promise<string[]> {
  const rows = await database.query<{ host: string }>(MARK, [recipients, services, now, interval])
  return rows.map(({ host }) => host)
}

const MARK_MISSED = statement(
  'mark-missed-devices',
  'select mark_missed_devices($1::bigint, $2::integer, $3::text[], $4::text[], $5::bigint, $6::bigint) as last'
)

/**
 * Looks at some devices, in the order of their numbers, for what a process that died could not mark them for.
 *
 * @param after number of the last one looked at
 * @returns the last one now; undefined if there is none behind
 */
export async function markMissedDevices(
  database: Queryable,
  after: number,
  limit: number,
  { boxes, services, interval }: PushRules,
  now: number
): Promise<number | undefined> {
  const [row] = await database.query<{ last: number | null }>(MARK_MISSED, [
    after,
    limit,
    services,
    boxes,
    now,
    interval
  ])
  return row!.last ?? undefined
}

const DUE_HOSTS = statement(
  'due-push-hosts',
  'select * from due_push_hosts($1::text, $2::bigint, $3::integer)'
)

/**
 * Some hosts of push services, in the order of their names, at which something is or will be due.
 *
 * @param after the last one looked at
 */
export async function duePushHosts(
  database: Queryable,
  after: string,
  now: number,
  limit: number
): Promise<readonly { readonly host: string; readonly is_due: boolean }[]> {
  return database.query(DUE_HOSTS, [after, now, limit])
}

/** A device that this worker and no other looks at. */
export interface DuePush {
  readonly id: number
  readonly claim: number
  readonly recipient: Buffer
  readonly to: Pick<PushAddress, 'service' | 'address' | 'keys'>
  /** In a row. */
  readonly failures: number
  /** Where the recipient's boxes ended. */
  readonly seen: { readonly recipientId: number; readonly position: number }
  /** Those with something new; none if it was acknowledged meanwhile. */
  readonly boxes: readonly string[]
}

interface DueRow {
  readonly id: number
  readonly claim: number
  readonly recipient: Buffer
  readonly service: PushServiceName
  readonly address: string
  readonly point: Buffer | null
  readonly secret: Buffer | null
  readonly failures: number
  readonly recipient_id: number
  readonly last_position: number
  readonly boxes: string[]
}

const CLAIM = statement(
  'claim-pushes',
  'select * from claim_pushes($1::text, $2::bigint, $3::bigint, $4::text[], $5::integer)'
)

/** Claims devices of one push service until a time, ms. */
export async function claimPushes(
  database: Queryable,
  host: string,
  now: number,
  claimedUntil: number,
  { boxes }: PushRules,
  limit: number
): Promise<DuePush[]> {
  const rows = await database.query<DueRow>(CLAIM, [host, now, claimedUntil, boxes, limit])
  return rows.map(({ service, address, point, secret, recipient_id, last_position, ...row }) => ({
    ...row,
    to: { service, address, ...(point === null || secret === null ? {} : { keys: { point, secret } }) },
    seen: { recipientId: recipient_id, position: last_position }
  }))
}

const SETTLE = statement(
  'settle-push',
  `select settle_push($1::bigint, $2::bigint, $3::boolean, $4::bigint, $5::bigint, $6::text[], $7::bigint, $8::bigint,
    $9::bigint)`
)

/** @param pushed false: there was nothing to tell */
export async function settlePush(
  database: Queryable,
  { id, claim, seen }: DuePush,
  pushed: boolean,
  { boxes, interval }: PushRules,
  now: number
): Promise<void> {
  await database.query(SETTLE, [
    id,
    claim,
    pushed,
    seen.recipientId,
    seen.position,
    boxes,
    now,
    interval,
    now + DEVICE_LIFE
  ])
}

const DEFER = statement(
  'defer-push',
  `update devices set claim = null, claimed_until = null, failures = failures + 1, due_at = $3::bigint
    where id = $1::bigint and claim = $2::bigint`
)

/** Its service failed: again at this time, ms. */
export async function deferPush(
  database: Queryable,
  { id, claim }: DuePush,
  nextAttemptAt: number
): Promise<void> {
  await database.query(DEFER, [id, claim, nextAttemptAt])
}

const DEACTIVATE = statement(
  'deactivate-device',
  `update devices set claim = null, claimed_until = null, due_at = null, active = false
    where id = $1::bigint and claim = $2::bigint`
)

/** Nothing is pushed to it until it is registered again. */
export async function deactivateDevice(database: Queryable, { id, claim }: DuePush): Promise<void> {
  await database.query(DEACTIVATE, [id, claim])
}

const PRUNE = statement(
  'prune-devices',
  `delete from devices where id in (
    select id from devices where forget_at <= $1::bigint order by forget_at limit $2::integer
  )`
)

/** Deletes devices that nobody has spoken of for long. */
export async function pruneDevices(database: Queryable, now: number, limit: number): Promise<void> {
  await database.query(PRUNE, [now, limit])
}
