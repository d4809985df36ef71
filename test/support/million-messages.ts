import pg from 'pg'

/** How many rows there are; enough that a plan which reads a table stands out. */
export const COUNTS = {
  recipients: 10_000,
  /** 100 for each recipient but the first, who has ten thousand more. */
  messages: 1_000_000,
  envelopes: 100_000,
  clientIds: 100_000,
  seenRequests: 100_000,
  /** Of those that are done. */
  deliveries: 50_000,
  /** That wait: for one host from many senders, for one host from a single sender, for five hundred others. */
  busy: 20_000,
  singleLane: 10_000,
  others: 10_000
} as const

/** Far away: nothing of this expires in the test. */
export const EXPIRES_AT = 4_000_000_000_000
/** What has been expired for long, for pruning: the last hundred recipients' messages. */
export const EXPIRED_AT = 1_000_000_000
export const BUSY_DOMAIN = 'busy.example.org'
export const SINGLE_LANE_DOMAIN = 'single-lane.example.org'

/** 33 bytes that could be an identity key. */
export function recipientKey(n: number): Buffer {
  return Buffer.from(`02${n.toString(16).padStart(64, '0')}`, 'hex')
}

const key = (n: string) => `decode('02' || lpad(to_hex(${n}), 64, '0'), 'hex')`
const digest = (n: string) => `decode(lpad(to_hex(${n}), 64, '0'), 'hex')`
const uuid = (n: string) => `lpad(to_hex(${n}), 32, '0')::uuid`
/** The number of a message, from its box and its position in it. */
const NUMBER = 'b.id * 1000000 + p'
const PER_BOX = (COUNTS.messages - 10_000) / COUNTS.recipients

/**
 * Fills the tables behind the back of all functions, with every index in place, and gathers statistics.
 *
 * @param first identity key of the recipient of the largest box, the one with the id 1
 */
export async function loadMillionMessages(connectionString: string, first: string): Promise<void> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  const { recipients, envelopes, clientIds, seenRequests, deliveries, busy, singleLane, others } = COUNTS
  const insertDeliveries = (count: number, state: string, domain: string, lane: string) => `
    insert into deliveries (domain, host_key, recipient, sender, message_box, message_id, name, envelope_id, lane, first_hand,
      first_seen, state, next_attempt_at, created_at, expires_at)
    select ${domain}, ${key('7')}, ${key('1')}, ${key('2')}, 'inbox', n::text,
      sha256(convert_to(${domain} || n, 'UTF8')), ${digest(`1 + n % ${envelopes}`)},
      ${lane}, true, 1, '${state}', 1, 1, ${EXPIRES_AT}
    from generate_series(1, ${count}) n`
  const steps = [
    // What is written to a table that the transaction has emptied need not be logged.
    'begin',
    'truncate recipients, message_boxes, messages, message_names, envelopes, client_message_ids, seen_requests, deliveries restart identity',
    `insert into recipients (identity_key, message_count, byte_count, last_position, box_count)
     select case when n = 1 then decode('${first}', 'hex') else ${key('n')} end, k, k * 4, k, 1
     from generate_series(1, ${recipients}) n, lateral (select case when n = 1 then ${PER_BOX} + 10000 else ${PER_BOX} end as k) c
     order by n`,
    `insert into message_boxes (recipient, name) select identity_key, 'inbox' from recipients order by id`,
    `insert into messages (box_id, position, recipient_id, name, shown_id, sender, body, wrapped, envelope_id, origin, forwardable,
       parked, id_key, sealed, bytes, first_seen, created_at, expires_at)
     select b.id, p, b.id, ${digest(NUMBER)}, lpad((${NUMBER})::text, 15, '0'), ${key('20000 + p % 100')}, 'body', false,
       ${digest(`1 + (${NUMBER}) % ${envelopes}`)}, 'local', true, false, ${uuid(NUMBER)}, false, 4, 1, 1,
       case when b.id > ${recipients - 100} then ${EXPIRED_AT} else ${EXPIRES_AT} + b.id end
     from recipients b, lateral generate_series(1, b.last_position) p order by b.id, p`,
    `insert into message_names (recipient_id, name, forget_at)
     select r.id, ${digest(`${PER_BOX} * 1000 + r.id * 1000000 + p`)}, case when r.id > ${recipients - 100} then ${EXPIRED_AT} else ${EXPIRES_AT} end
     from recipients r, generate_series(1, 10) p order by r.id, p`,
    `insert into envelopes (id, sender, format, key_id, signed_bytes, signature, received_at, withheld, holds)
     select ${digest('n')}, ${key('20000 + n % 100')}, 'brc104', 'k', 'signed', 'signature', 1, false, 100
     from generate_series(1, ${envelopes}) n`,
    `insert into client_message_ids (id_key, body_digest, sealed, shown_id, delivery, forget_at)
     select ${uuid('n')}, ${uuid('n')}, false, 'x', 'local', ${EXPIRES_AT} from generate_series(1, ${clientIds}) n`,
    `insert into seen_requests (digest, slot)
     select ${uuid('n')}, n % 4 from generate_series(1, ${seenRequests}) n`,
    insertDeliveries(deliveries, 'delivered', `'host' || n % 500 || '.example.org'`, 'n % 10000'),
    insertDeliveries(busy, 'pending', `'${BUSY_DOMAIN}'`, 'n % 10000'),
    insertDeliveries(singleLane, 'pending', `'${SINGLE_LANE_DOMAIN}'`, '1'),
    insertDeliveries(others, 'pending', `'other' || n % 500 || '.example.org'`, 'n % 10000'),
    'commit',
    'analyze'
  ]
  try {
    for (const step of steps) await client.query(step)
  } finally {
    await client.end()
  }
}
