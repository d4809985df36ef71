import { type Queryable, type Statement, statement } from '../../src/storage/database.js'
import type { DeliveryState } from './deliveries.js'

/** A delivery as the operator sees it. */
export interface ShownDelivery {
  readonly id: number
  readonly domain: string
  readonly host_key: Buffer
  readonly recipient: Buffer
  readonly sender: Buffer
  readonly message_box: string
  readonly message_id: string
  readonly name: Buffer
  readonly first_hand: boolean
  readonly state: DeliveryState
  readonly attempts: number
  readonly next_attempt_at: number
  readonly claimed_until: number | null
  readonly last_answer: string | null
  readonly created_at: number
  readonly finished_at: number | null
  readonly expires_at: number
  /** Until when the whole domain is left alone; null if it is not failing. */
  readonly backoff_until: number | null
  readonly held: boolean
}

export interface DeliveryFilter {
  /** Undefined: every state. */
  readonly state: DeliveryState | undefined
  readonly domain: string | undefined
  readonly recipient: Buffer | undefined
  readonly sender: Buffer | undefined
}

export interface DeliveryPage {
  readonly deliveries: readonly ShownDelivery[]
  /** Undefined: that was all. A page may have fewer than were asked for, none even, and there may be more. */
  readonly cursor: string | undefined
}

/** Rows of one index that a page looks at: with a filter that finds nothing it ends there, and goes on with its cursor. */
const WINDOW = 1_000

const COLUMNS = `d.id, d.domain, d.host_key, d.recipient, d.sender, d.message_box, d.message_id, d.name, d.first_hand,
  d.state, d.attempts, d.next_attempt_at, d.claimed_until, d.last_answer, d.created_at, d.finished_at, d.expires_at,
  (select b.backoff_until from destinations b where b.domain = d.domain) as backoff_until,
  exists (select from held_domains h where h.domain = d.domain) as held`

/** One index to walk along. Of its columns two at most order its rows; they are the cursor. */
interface Walk {
  readonly page: Statement
  /** The last row of the window. */
  readonly end: Statement
  /** What comes before everything. */
  readonly start: readonly [string | number, string | number]
  readonly keyOf: (row: ShownDelivery) => readonly [string | number, string | number]
}

function walk(name: string, range: string, order: string, start: Walk['start'], keyOf: Walk['keyOf']): Walk {
  // All parameters have a type, whether this walk uses them or not.
  const window = `select * from deliveries
    where ($1::text is null or true) and ($2::text is null or true) and ($3::bytea is null or true)
      and ($4::bytea is null or true) and ${range}
    order by ${order}`
  return {
    page: statement(
      `delivery-page-${name}`,
      `select ${COLUMNS} from (${window} limit ${WINDOW}) d
      where ($1::text is null or d.state = $1::text) and ($2::text is null or d.domain = $2::text)
        and ($3::bytea is null or d.recipient = $3::bytea) and ($4::bytea is null or d.sender = $4::bytea)
      order by ${order} limit $7::integer`
    ),
    end: statement(
      `delivery-page-${name}-end`,
      `select ${COLUMNS} from (${window} offset ${WINDOW - 1} limit 1) d`
    ),
    start,
    keyOf
  }
}

const OF_RECIPIENT = walk(
  'recipient',
  `recipient = $3::bytea and (deliveries.name, host_key) > (decode($5::text, 'hex'), decode($6::text, 'hex'))`,
  'recipient, name, host_key',
  ['', ''],
  row => [row.name.toString('hex'), row.host_key.toString('hex')]
)
const OF_SENDER = walk(
  'sender',
  'sender = $4::bytea and (message_id, id) > ($5::text, $6::bigint)',
  'sender, message_id, id',
  ['', 0],
  row => [row.message_id, row.id]
)
const PENDING = walk(
  'pending',
  `state = 'pending' and (domain, id) > ($5::text, $6::bigint)`,
  'domain, id',
  ['', 0],
  row => [row.domain, row.id]
)
const NEWEST_FIRST = walk(
  'newest',
  'id < $6::bigint and ($5::text is null or true)',
  'id desc',
  ['', Number.MAX_SAFE_INTEGER],
  row => ['', row.id]
)

/**
 * Deliveries that fit a filter, at most `limit`: those of a recipient or a sender in the order of their index, other
 * pending ones by domain, oldest first, all others newest first.
 *
 * @param cursor of the page before; undefined for the first
 * @returns undefined if the cursor is none of this filter
 */
export async function deliveryPage(
  database: Queryable,
  filter: DeliveryFilter,
  cursor: string | undefined,
  limit: number
): Promise<DeliveryPage | undefined> {
  const walk = walkFor(filter)
  const { page, end, keyOf } = walk
  const after = cursor === undefined ? startOf(walk, filter) : parseCursor(cursor, walk.start)
  if (after === undefined) return undefined
  const values = [filter.state, filter.domain, filter.recipient, filter.sender].map(value => value ?? null)
  const deliveries = await database.query<ShownDelivery>(page, [...values, ...after, limit])
  if (deliveries.length === limit) return { deliveries, cursor: formatCursor(keyOf(deliveries.at(-1)!)) }
  const [last] = await database.query<ShownDelivery>(end, [...values, ...after])
  const isOver = last === undefined || (walk === PENDING && (filter.domain ?? last.domain) !== last.domain)
  return { deliveries, cursor: isOver ? undefined : formatCursor(keyOf(last)) }
}

/** What waits for one host stands together in the index of all that waits. */
function startOf(walk: Walk, { domain }: DeliveryFilter): Walk['start'] {
  return walk === PENDING && domain !== undefined ? [domain, 0] : walk.start
}

function walkFor({ state, recipient, sender }: DeliveryFilter): Walk {
  if (recipient !== undefined) return OF_RECIPIENT
  if (sender !== undefined) return OF_SENDER
  return state === 'pending' ? PENDING : NEWEST_FIRST
}

function formatCursor(key: readonly [string | number, string | number]): string {
  return Buffer.from(JSON.stringify(key)).toString('base64url')
}

function parseCursor(text: string, start: Walk['start']): Walk['start'] | undefined {
  let key: unknown
  try {
    key = JSON.parse(Buffer.from(text, 'base64url').toString())
  } catch {
    return undefined
  }
  if (!Array.isArray(key) || key.length !== 2) return undefined
  const [first, second]: unknown[] = key
  if (typeof first !== 'string' || first.includes('\0')) return undefined
  if (typeof start[1] === 'number') return Number.isSafeInteger(second) ? [first, Number(second)] : undefined
  const isHex = typeof second === 'string' && HEX.test(first) && HEX.test(second)
  return isHex ? [first, second] : undefined
}

const HEX = /^(?:[0-9a-f]{2})*$/

const SHOW = statement('show-delivery', `select ${COLUMNS} from deliveries d where d.id = $1::bigint`)

/** One delivery; undefined if there is none (any more). */
export async function findDelivery(database: Queryable, id: number): Promise<ShownDelivery | undefined> {
  const [row] = await database.query<ShownDelivery>(SHOW, [id])
  return row
}
