import { type Queryable, statement } from '../../src/storage/database.js'

const DUE = statement(
  'due-catch-ups',
  'select recipient from catch_ups order by requested_at limit $1::integer'
)

/** Recipients whose hosts have changed since their mail here was last planned. */
export async function dueCatchUps(database: Queryable, limit: number): Promise<Buffer[]> {
  const rows = await database.query<{ recipient: Buffer }>(DUE, [limit])
  return rows.map(row => row.recipient)
}

const FIND = statement('find-catch-up', 'select requested_at from catch_ups where recipient = $1::bytea')

/** When a catch-up of this recipient was requested, ms; undefined if none is. */
export async function findCatchUp(database: Queryable, recipient: Buffer): Promise<number | undefined> {
  const [row] = await database.query<{ requested_at: number }>(FIND, [recipient])
  return row?.requested_at
}

const END = statement(
  'end-catch-up',
  'delete from catch_ups where recipient = $1::bytea and requested_at = $2::bigint'
)

/** Ends the catch-up, unless it was requested again meanwhile. */
export async function endCatchUp(database: Queryable, recipient: Buffer, requestedAt: number): Promise<void> {
  await database.query(END, [recipient, requestedAt])
}

export interface BoxToPlan {
  readonly id: number
  readonly name: string
}

const BOXES = statement(
  'boxes-to-plan',
  `select id, name from message_boxes b where recipient = $1::bytea
    and exists (select from messages m where m.box_id = b.id) order by id`
)

/** The boxes of a recipient that hold messages. */
export function boxesToPlan(database: Queryable, recipient: Buffer): Promise<BoxToPlan[]> {
  return database.query(BOXES, [recipient])
}

const PLAN_BOX = statement(
  'plan-box',
  `select * from plan_box($1::bigint, $2::bigint, $3::integer, $4::bigint, $5::bytea, $6::text[], $7::boolean[])`
)

/** Plans one page of a box for the hosts that are new to it; see `plan_box` in the migrations. */
export async function planBox(
  database: Queryable,
  box: BoxToPlan,
  after: number,
  limit: number,
  now: number,
  self: Uint8Array,
  matches: ReadonlyMap<string, boolean>
): Promise<{ lastPosition: number | undefined; domains: readonly string[] }> {
  const [row] = await database.query<{ last_position: number | null; domains: string[] | null }>(PLAN_BOX, [
    box.id,
    after,
    limit,
    now,
    self,
    [...matches.keys()],
    [...matches.values()]
  ])
  return { lastPosition: row!.last_position ?? undefined, domains: row!.domains ?? [] }
}

export interface UnprovableMessage {
  readonly sender: Buffer
  readonly name: Buffer
  readonly message_id: string
}

const UNPROVABLE = statement(
  'unprovable-parked',
  'select * from unprovable_parked($1::bigint, $2::bigint, $3::bigint)'
)

/** Parked messages at positions after `after` until `until` that cannot be handed to any host. */
export function unprovableParked(
  database: Queryable,
  box: BoxToPlan,
  after: number,
  until: number
): Promise<UnprovableMessage[]> {
  return database.query(UNPROVABLE, [box.id, after, until])
}
