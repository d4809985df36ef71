import { type Queryable, statement } from '../../src/storage/database.js'
import type { Outpoint } from './overlay-outputs.js'
import type { FoundOutput } from './tokens.js'

/** A host advertisement as the index keeps it. */
export interface IndexedAdvertisement extends Outpoint {
  /** Who advertises, 33 bytes. */
  readonly recipient: Buffer
  /** URL, as it was signed. */
  readonly host: string
  readonly domain: string
}

const INSERT = statement(
  'insert_messagebox_advertisement',
  'select insert_messagebox_advertisement($1, $2, $3, $4, $5, $6, $7)'
)

/**
 * Adds a verified advertisement; one that is there already stays as it is. Its recipient must be locked.
 *
 * @param here whether its host is this node
 * @param now ms
 */
export async function insertAdvertisement(
  db: Queryable,
  advertisement: IndexedAdvertisement,
  here: boolean,
  now: number
): Promise<void> {
  const { txid, outputIndex, recipient, host, domain } = advertisement
  await db.query(INSERT, [bytes(txid), outputIndex, recipient, host, domain, here, now])
}

const SPEND = statement(
  'spend_messagebox_advertisement',
  'select spend_messagebox_advertisement($1, $2, $3, $4)'
)

/** @param spentBy id of the spending transaction; @param now ms */
export async function markAdvertisementSpent(
  db: Queryable,
  { txid, outputIndex }: Outpoint,
  spentBy: string,
  now: number
): Promise<void> {
  await db.query(SPEND, [bytes(txid), outputIndex, bytes(spentBy), now])
}

const FORGET = statement(
  'forget_messagebox_advertisement',
  'delete from messagebox_advertisements where txid = $1 and output_index = $2'
)

/** Takes an output out of the index as if it had never been there. */
export async function forgetAdvertisement(db: Queryable, { txid, outputIndex }: Outpoint): Promise<void> {
  await db.query(FORGET, [bytes(txid), outputIndex])
}

const COUNT_COPIES = statement(
  'count_messagebox_advertisement_copies',
  `select count(*) as count from messagebox_advertisements
  where recipient = $1 and md5(host) = md5($2) and host = $2 and spent_at is null`
)

/** How many unspent outputs say that this recipient reads at this host. */
export async function countCopies(
  db: Queryable,
  { recipient, host }: Pick<IndexedAdvertisement, 'recipient' | 'host'>
): Promise<number> {
  const [row] = await db.query<{ count: number }>(COUNT_COPIES, [recipient, host])
  return row!.count
}

const RECIPIENTS = statement(
  'messagebox_recipients_of_outpoints',
  `select distinct a.recipient from unnest($1::bytea[], $2::integer[]) as asked (txid, output_index)
  join messagebox_advertisements a on a.txid = asked.txid and a.output_index = asked.output_index`
)

/** The recipients of those outpoints that are advertisements. */
export async function findAdvertisers(db: Queryable, outpoints: readonly Outpoint[]): Promise<Buffer[]> {
  const rows = await db.query<{ recipient: Buffer }>(RECIPIENTS, [
    outpoints.map(({ txid }) => bytes(txid)),
    outpoints.map(({ outputIndex }) => outputIndex)
  ])
  return rows.map(({ recipient }) => recipient)
}

const FIND = statement(
  'find_messagebox_advertisements',
  `with hosts as (
    -- Of copies the oldest: its owner knows that one.
    select distinct on (host) txid, output_index, host, max(named_at) over (partition by host) as named_at
    from (
      select * from messagebox_advertisements
      where recipient = $1 and spent_at is null and ($2::text is null or host = $2)
      order by named_at desc limit $4
    ) newest
    order by host, admitted_at, txid, output_index
  )
  select encode(h.txid, 'hex') as txid, h.output_index, x.beef
  from hosts h join overlay_transactions x on x.txid = h.txid
  order by h.named_at desc, h.host limit $3`
)

/** Looked through for hosts: more than there can be of as many hosts as are answered. */
const LOOKED_THROUGH = 256

/** Where somebody reads: one unspent output of each host, those named last first. @param host only this one */
export async function findAdvertisements(
  db: Queryable,
  recipient: Buffer,
  host: string | undefined,
  limit: number
): Promise<FoundOutput[]> {
  const rows = await db.query<{ txid: string; output_index: number; beef: Buffer }>(FIND, [
    recipient,
    host,
    limit,
    LOOKED_THROUGH
  ])
  return rows.map(row => ({ txid: row.txid, outputIndex: row.output_index, beef: row.beef }))
}

const SETTLE_HERE = statement(
  'settle_messagebox_hosts_here',
  'update messagebox_advertisements set here = (domain = $1) where spent_at is null and here <> (domain = $1)'
)

/** Says which advertisements name this node: it may have moved to another domain since they came. */
export async function settleOwnHost(db: Queryable, domain: string): Promise<void> {
  await db.query(SETTLE_HERE, [domain])
}

function bytes(txid: string): Buffer {
  return Buffer.from(txid, 'hex')
}
