import { hash } from 'node:crypto'
import pg from 'pg'
import { formatRoutingText, signRoutingText } from '../federation/phip/routing-authorization.js'
import { createTokenScript } from '../federation/phip/token.js'
import { identityKeyBytes } from '../src/keys/identity-key.js'
import { Client } from './client.js'

/** How many messages wait in which box of each user who will be measured. */
export const BOXES = { send: 10, list: 100, ack: 50 } as const
export type LoadedBox = keyof typeof BOXES
export const BODY_BYTES = 300
/** Messages in each box of the many others. */
const OTHERS_PER_BOX = 10
const OTHERS_BOX = 'inbox'
const SIGNED_BYTES = 700
/** Operators that share the tokens. */
const OPERATORS = 100
/** More than a message may ever be offered to. */
const PROVEN_HOSTS = 64
/** Boxes whose messages are inserted by one statement. */
const BOXES_AT_ONCE = 50_000
const MONTH = 30 * 86_400_000

const MESSAGE_TABLES = ['messages', 'envelopes']
/** Names of messages that were acknowledged: one for each that waits. */
const NAMES = 'message_names'

export interface GrowthRows {
  readonly messages: number
  readonly boxes: number
  readonly tokens: number
}

/** What `rows` messages come with. */
export function growthRows(rows: number): GrowthRows {
  const boxes = Math.round(rows / OTHERS_PER_BOX)
  return { messages: boxes * OTHERS_PER_BOX, boxes, tokens: boxes }
}

/**
 * Loads messages as if they had come over time: those of one box lie scattered among all others. The boxes of `users`
 * are filled as BOXES says; `rows` come on top, for people whom nobody knows.
 *
 * @param connectionString of a database with the schema and nothing else in it
 * @param rows undefined for an empty node
 */
export async function loadRows(
  connectionString: string,
  users: readonly Client[],
  rows: GrowthRows | undefined,
  say: (text: string) => void
): Promise<void> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  try {
    await client.query(`set maintenance_work_mem = '512MB'; set work_mem = '64MB'`)
    await makeBoxes(client, users, rows?.boxes ?? 0)
    const restore = await dropIndexes(client)
    for (let position = 1; position <= OTHERS_PER_BOX; position++) {
      await addMessages(client, OTHERS_BOX, rows?.boxes ?? 0, position, position)
      for (const [name, count] of Object.entries(BOXES)) {
        const part = count / OTHERS_PER_BOX
        await addMessages(client, name, users.length, (position - 1) * part + 1, position * part)
      }
      if (rows !== undefined) say(`loaded ${(rows.boxes * position).toLocaleString('en')} messages`)
    }
    await restore()
    if (rows !== undefined) await addTokens(client, rows.tokens)
    await client.query('vacuum analyze')
    await client.query('checkpoint')
  } finally {
    await client.end()
  }
}

/** Ids of the messages in the box `ack`, by which its owner acknowledges them. */
export async function loadedIds(connectionString: string): Promise<Map<string, string[]>> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  try {
    const { rows } = await client.query<{ recipient: Buffer; ids: string[] }>(
      `select b.recipient, array_agg(m.shown_id order by m.position) as ids
       from message_boxes b join messages m on m.box_id = b.id where b.name = 'ack' group by b.id`
    )
    return new Map(rows.map(({ recipient, ids }) => [recipient.toString('hex'), ids]))
  } finally {
    await client.end()
  }
}

/** What one message takes on disk with everything that belongs to it, indexes included, bytes. */
export async function bytesPerMessage(connectionString: string): Promise<number> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  try {
    const { rows } = await client.query<{ bytes: string }>(
      `select sum(pg_total_relation_size(name::regclass)) / (select count(*) from messages) as bytes
       from unnest($1::text[]) name`,
      [MESSAGE_TABLES]
    )
    return Number(rows[0]!.bytes)
  } finally {
    await client.end()
  }
}

/** The boxes of the users lie among those of the others. */
async function makeBoxes(client: pg.Client, users: readonly Client[], others: number): Promise<void> {
  const keys = users.map(({ identityKey }) => identityKeyBytes(identityKey))
  await client.query(
    `with boxes as (
       select '\\x02'::bytea || sha256(('other ' || i)::bytea) as recipient, $3::text as name, $4::integer as messages,
         i::float8 / $2::integer as at
       from generate_series(1, $2::integer) i
       union all
       select u.recipient, b.name, b.messages, u.i::float8 / cardinality($1::bytea[])
       from unnest($1::bytea[]) with ordinality u (recipient, i), unnest($6::text[], $7::integer[]) b (name, messages)
     ), box as (
       insert into message_boxes (recipient, name) select recipient, name from boxes order by at
     )
     insert into recipients (identity_key, message_count, byte_count, last_position, box_count)
     select recipient, sum(messages), sum(messages) * $5::integer, max(messages), count(*) from boxes group by recipient
     order by min(at)`,
    [keys, others, OTHERS_BOX, OTHERS_PER_BOX, BODY_BYTES, Object.keys(BOXES), Object.values(BOXES)]
  )
  await client.query('analyze message_boxes, recipients')
}

async function addMessages(
  client: pg.Client,
  boxName: string,
  boxes: number,
  first: number,
  last: number
): Promise<void> {
  for (let skip = 0; skip < boxes; skip += BOXES_AT_ONCE) {
    await client.query(
      `with source as materialized (
        select b.id as box_id, p as position, r.id as recipient_id, sha256(convert_to(b.id || '.' || p, 'UTF8')) as name,
          md5(b.id || '.' || p)::uuid as id_key, '\\x03'::bytea || sha256(convert_to('sender ' || b.id % 1000, 'UTF8')) as sender,
          'loaded-' || b.id || '-' || p as shown_id, $7::bigint - ($8::bigint - p) * 1000 as at
        from (select id, recipient from message_boxes where name = $1 order by id offset $4 limit $5) b,
          recipients r, generate_series($2::integer, $3::integer) p
        where r.identity_key = b.recipient
        order by p, b.id
      ), envelope as (
        insert into envelopes (id, sender, format, key_id, signed_bytes, signature, received_at, withheld, holds)
        select name, sender, 'brc104', repeat('k', 160), convert_to(repeat('s', $9), 'UTF8'), name || name, at, false, 1
        from source
      ), named as (
        insert into message_names (recipient_id, name, forget_at)
        select recipient_id, sha256(name), at + $6::bigint from source
      )
      insert into messages (
        box_id, position, recipient_id, name, shown_id, sender, body, wrapped, envelope_id, origin, forwardable, parked,
        id_key, sealed, bytes, first_seen, created_at, expires_at
      )
      select box_id, position, recipient_id, name, shown_id, sender, convert_to(repeat('b', $10), 'UTF8'), false, name,
        'local', false, false, id_key, false, $10, at, at, at + $6::bigint
      from source`,
      [
        boxName,
        first,
        last,
        skip,
        Math.min(BOXES_AT_ONCE, boxes - skip),
        MONTH,
        Date.now(),
        1_000,
        SIGNED_BYTES,
        BODY_BYTES
      ]
    )
  }
}

/** Building an index at the end is many times faster. @returns makes them again, as they were */
async function dropIndexes(client: pg.Client): Promise<() => Promise<void>> {
  const { rows } = await client.query<{ drop: string; make: string }>(
    `select format('alter table %s drop constraint %I', conrelid::regclass, conname) as drop,
       format('alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) as make
     from pg_constraint where conrelid = any ($1::regclass[]) and contype in ('p', 'u')
     union all
     select format('drop index %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
     from pg_index where indrelid = any ($1::regclass[])
       and not exists (select from pg_constraint where conindid = indexrelid)`,
    [[...MESSAGE_TABLES, NAMES]]
  )
  for (const { drop } of rows) await client.query(drop)
  return async () => {
    for (const { make } of rows) await client.query(make)
  }
}

/**
 * Gives one recipient hosts of as many operators, none of which is there. The newest, which alone are ever asked, have
 * tokens that prove what the index says; others would be set aside one after the other.
 */
export async function addHostsOf(connectionString: string, recipient: Client, count: number): Promise<void> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  try {
    await addTokens(client, count, identityKeyBytes(recipient.identityKey))
    await client.query('set session_replication_role = replica')
    for (let i = Math.max(1, count - PROVEN_HOSTS); i <= count; i++) await prove(client, recipient, i, count)
    await client.query('analyze')
  } finally {
    await client.end()
  }
}

async function prove(client: pg.Client, recipient: Client, number: number, count: number): Promise<void> {
  const operator = new Client(`operator ${number}`)
  const domain = `host-${number % count}.invalid`
  const text = formatRoutingText({ hostKey: operator.identityKey, domain, boxExpression: undefined })
  const recipientSignature = signRoutingText(recipient.keys, text)
  const content = { domain, recipient: recipient.identityKey, recipientSignature, boxExpression: undefined }
  const script = createTokenScript(operator.keys, content)
  const txid = hash('sha256', `token ${number}`, 'buffer')
  const key = identityKeyBytes(operator.identityKey)
  await client.query('update phip_tokens set operator_key = $2 where txid = $1', [txid, key])
  await client.query('update overlay_outputs set locking_script = $2 where txid = $1', [txid, script])
  await client.query('update phip_hosts set operator_key = $2 where domain = $1', [domain, key])
}

/** How many deliveries are planned or done. */
export async function countDeliveries(connectionString: string): Promise<number> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  try {
    const { rows } = await client.query<{ count: string }>('select count(*) from deliveries')
    return Number(rows[0]!.count)
  } finally {
    await client.end()
  }
}

/**
 * Hosts of people whom nobody knows; their transactions are of the usual size, and none.
 *
 * @param recipient whose hosts all are instead
 */
async function addTokens(client: pg.Client, count: number, recipient?: Uint8Array): Promise<void> {
  const operators = recipient === undefined ? OPERATORS : count
  const now = Date.now()
  // Triggers would have every one of them looked up again.
  await client.query('set session_replication_role = replica')
  const token = `select sha256(('token ' || i)::bytea) as txid,
      coalesce($3::bytea, '\\x02'::bytea || sha256(('recipient ' || i)::bytea)) as recipient,
      '\\x02'::bytea || sha256(('operator ' || i % ${operators})::bytea) as operator_key,
      'host-' || i % ${operators} || '.invalid' as domain, $2::bigint - $1::bigint + i as at
    from generate_series(1, $1::bigint) i`
  const statements = [
    `insert into overlay_transactions (txid, beef) select txid, convert_to(repeat('t', 700), 'UTF8') from (${token}) t`,
    `insert into overlay_outputs (txid, output_index, topic, locking_script, satoshis, score, outputs_consumed, consumed_by)
     select txid, 0, 'tm_phip', convert_to(repeat('l', 500), 'UTF8'), 1, at, '[]', '[]' from (${token}) t`,
    `insert into overlay_applied_transactions (txid, topic, outputs_admitted)
     select txid, 'tm_phip', array[0] from (${token}) t`,
    `insert into phip_tokens (txid, output_index, operator_key, domain, recipient, authorization_text_digest, admitted_at)
     select txid, 0, operator_key, domain, recipient, txid, at from (${token}) t`,
    `insert into phip_hosts (recipient, operator_key, first_seen, live, domain)
     select recipient, operator_key, at, true, domain from (${token}) t`
  ]
  for (const statement of statements) await client.query(statement, [count, now, recipient ?? null])
  await client.query(
    `insert into overlay_topics (topic, last_score) values ('tm_phip', $1) on conflict do nothing`,
    [now]
  )
  await client.query('set session_replication_role = origin')
}
