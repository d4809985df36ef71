import type { ReplayTicket } from '../auth/caller.js'
import { plainArray } from './arrays.js'
import { Batches } from './batches.js'
import { type Database, type Queryable, statement } from './database.js'

/** What the sender signed himself, as recipients check it. */
export interface MessageProof {
  readonly signature: string
  readonly createdAt: number
  /** As signed: the client's string, or null. */
  readonly messageId: string | null
}

/** Names outlive what they name by a day, ms. */
export const FORGET_AFTER = 24 * 60 * 60 * 1000

type Verdict = 'fresh' | 'replayed' | 'unknown'

/** What readers are shown of a message. */
export interface ShownMessage {
  /** Hexadecimal. */
  readonly name: string
  readonly shown_id: string
  /** Hexadecimal. */
  readonly sender: string
  readonly body: string
  readonly wrapped: boolean
  /** As payments/stored-payment.ts has it. */
  readonly payment: Buffer | null
  readonly origin: string
  readonly proof: MessageProof | null
  readonly created_at: number
  /** Hexadecimal key of the host that says that its recipient has acknowledged it; only in lists of such messages. */
  readonly hidden_by?: string
}

export interface ListedMessage extends ShownMessage {
  readonly verdict: Verdict
  /** Null, with all that follows and all that is shown, where there is no message. */
  readonly box_id: number | null
  readonly position: number
  /** Messages found before the bytes were counted, `maximum` at most. */
  readonly candidates: number
}

const LIST_MESSAGES = statement(
  'list-messages',
  `with asked as materialized (
    select a.*, substr($1::bytea, a.request::integer * 33 - 32, 33) as recipient, coalesce(a.issued_at >= (
      select born_at from seen_requests_birth where only_row and system_identifier = own_system_identifier()
    ), false) as is_known
    from unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::integer[])
      with ordinality a (digest, issued_at, ends_at, box, cursor_box, cursor_position, now, maximum, request)
  ), admitted as (
    insert into seen_requests (digest, slot) select digest, seen_slot(issued_at, ends_at) from asked where is_known
    on conflict do nothing
    returning digest
  )
  select r.request, r.verdict, m.box_id, m.position, encode(m.name, 'hex') as name, m.shown_id,
    encode(m.sender, 'hex') as sender, convert_from(m.body, 'UTF8') as body, m.wrapped, m.payment, m.origin, m.proof,
    m.created_at, m.candidates
  from (
    select a.*, (select b.id from message_boxes b where b.recipient = a.recipient and b.name = a.box) as box_id,
      case when not a.is_known then 'unknown' when a.digest in (select digest from admitted) then 'fresh' else 'replayed' end
        as verdict
    from asked a
  ) r left join lateral (
    select p.*, count(*) over () as candidates,
      sum(p.bytes) over (order by p.position rows unbounded preceding) - p.bytes as bytes_before
    from (
      select * from messages
      where box_id = r.box_id and position > (case when r.cursor_box = r.box_id then r.cursor_position else 0 end)
        and expires_at > r.now and r.verdict = 'fresh'
      order by position limit r.maximum
    ) p
  ) m on m.bytes_before < $10::bigint
  order by r.request, m.position`
)

/** Where a list goes on: after this position of the box with this id. */
export interface Cursor {
  readonly boxId: number
  readonly position: number
}

const CURSOR_BEHIND = statement(
  'cursor-behind',
  `select b.id as box_id, (
    select m.position from messages m where m.box_id = b.id and m.expires_at > $4::bigint
    order by m.position offset $3::integer - 1 limit 1
  ) as position
  from message_boxes b where b.recipient = $1::bytea and b.name = $2::text`
)

/** Behind the last position there can be. */
const END = Number.MAX_SAFE_INTEGER

/**
 * Where a list begins that leaves out the oldest messages of a box.
 *
 * @param count how many, at least 1; so many rows of an index are walked
 * @returns undefined where there is no box
 */
export async function cursorBehind(
  database: Queryable,
  recipient: Buffer,
  messageBox: string,
  count: number,
  now: number
): Promise<Cursor | undefined> {
  const [row] = await database.query<{ box_id: number; position: number | null }>(CURSOR_BEHIND, [
    recipient,
    messageBox,
    count,
    now
  ])
  return row && { boxId: row.box_id, position: row.position ?? END }
}

export interface ListRequest {
  readonly replay: ReplayTicket
  /** 33 bytes. */
  readonly recipient: Buffer
  readonly messageBox: string
  readonly cursor: Cursor | undefined
  /** Messages at most. */
  readonly maximum: number
  readonly now: number
}

/** How long a client's message id is remembered after its message was acknowledged, for sends that were under way. */
export const IDS_FORGET_AFTER = 10 * 60 * 1000

const ACKNOWLEDGE_MESSAGES = statement(
  'acknowledge-messages',
  `select * from acknowledge_messages(
    $1::uuid[], $2::bigint[], $3::bigint[], $4::bytea[], $5::text[], $6::integer[], $7::bigint, $8::bigint, $9::bytea,
    $10::bigint, $11::bigint)`
)

export interface Acknowledgement {
  readonly replay: ReplayTicket
  /** 33 bytes. */
  readonly recipient: Buffer
  /** As shown. */
  readonly messageIds: readonly string[]
  readonly now: number
}

export interface Acknowledged {
  readonly verdict: Verdict
  readonly acknowledged: number
  /** Where other hosts of the recipient are told; null as a rule. */
  readonly domains: readonly string[] | null
}

/** What a node is, to those who keep messages. */
export interface MessageKeeper {
  /** Its identity key, 33 bytes. */
  readonly self: Uint8Array
  /** In one list no message follows once those before it have this many bytes; the first always comes. */
  readonly listBytes: number
  /** Seconds. */
  readonly timeToLive: number
}

/** With more ids than this a request would hold up the others of its statement. */
const BATCHED_IDS = 50

/** The messages in the boxes, for those whose they are. */
export class StoredMessages {
  readonly #database: Database
  readonly #keeper: MessageKeeper
  readonly #lists = new Batches<ListRequest, readonly ListedMessage[]>({
    size: 8,
    order: ({ recipient }) => recipient,
    keys: digestKey,
    together: requests => this.#listTogether(requests),
    alone: async request => (await this.#listTogether([request]))[0]!
  })
  readonly #acknowledgements = new Batches<Acknowledgement, Acknowledged>({
    size: 32,
    order: ({ recipient }) => recipient,
    keys: digestKey,
    together: requests => this.#acknowledgeTogether(requests),
    alone: request => this.#acknowledgeOne(request)
  })

  constructor(database: Database, keeper: MessageKeeper) {
    this.#database = database
    this.#keeper = keeper
  }

  /** Messages of one box, oldest first, in one statement. One row without a message where there is none. */
  list(request: ListRequest): Promise<readonly ListedMessage[]> {
    return this.#lists.add(request)
  }

  /**
   * Deletes the recipient's messages with these shown ids, and plans what his other hosts are told, in one statement.
   * Resolves after the commit.
   */
  acknowledge(request: Acknowledgement): Promise<Acknowledged> {
    return request.messageIds.length <= BATCHED_IDS
      ? this.#acknowledgements.add(request)
      : this.#acknowledgeOne(request)
  }

  async #listTogether(requests: readonly ListRequest[]): Promise<ListedMessage[][]> {
    const rows = await this.#database.query<ListedMessage & { request: number }>(LIST_MESSAGES, [
      Buffer.concat(requests.map(({ recipient }) => recipient)),
      ...ticketValues(requests),
      requests.map(({ messageBox }) => messageBox),
      plainArray(requests.map(({ cursor }) => cursor?.boxId ?? 0)),
      plainArray(requests.map(({ cursor }) => cursor?.position ?? 0)),
      plainArray(requests.map(({ now }) => now)),
      plainArray(requests.map(({ maximum }) => maximum)),
      this.#keeper.listBytes
    ])
    if (requests.length === 1) return [rows]
    const pages: ListedMessage[][] = requests.map(() => [])
    for (const row of rows) pages[row.request - 1]!.push(row)
    return pages
  }

  async #acknowledgeTogether(requests: readonly Acknowledgement[]): Promise<Acknowledged[]> {
    const { now } = requests[0]!
    const { self, timeToLive } = this.#keeper
    return this.#database.query<Acknowledged>(ACKNOWLEDGE_MESSAGES, [
      ...ticketValues(requests),
      requests.map(({ recipient }) => recipient),
      requests.flatMap(({ messageIds }) => messageIds),
      plainArray(requests.flatMap(({ messageIds }, i) => messageIds.map(() => i + 1))),
      FORGET_AFTER,
      now + IDS_FORGET_AFTER,
      self,
      now,
      now + timeToLive * 1000 + FORGET_AFTER
    ])
  }

  async #acknowledgeOne(request: Acknowledgement): Promise<Acknowledged> {
    return (await this.#acknowledgeTogether([request]))[0]!
  }
}

/** The same request twice: one of them is a replay, which the other one must have told. */
function digestKey({ replay }: { readonly replay: ReplayTicket }): string[] {
  return [replay.digest.toString('latin1')]
}

function ticketValues(requests: readonly { readonly replay: ReplayTicket }[]): string[] {
  return [
    plainArray(requests.map(({ replay }) => replay.digest.toString('hex'))),
    plainArray(requests.map(({ replay }) => replay.issuedAt)),
    plainArray(requests.map(({ replay }) => replay.expiresAt))
  ]
}

const PRUNE = statement(
  'prune-message-boxes',
  'select prune_message_boxes($1::bigint, $2::integer, $3::bigint) as count'
)

/** Deletes at most `limit` rows of each kind that nobody needs any more; answers how many there were. */
export async function pruneMessageBoxes(database: Queryable, now: number, limit: number): Promise<number> {
  const [row] = await database.query<{ count: number }>(PRUNE, [now, limit, FORGET_AFTER])
  return row!.count
}
