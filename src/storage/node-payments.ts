import { identityKeyFromBytes } from '../keys/identity-key.js'
import type { NodePayment } from '../payments/node-wallet.js'
import { shownTxid } from '../transactions/transaction.js'
import { type Queryable, statement } from './database.js'

export interface WaitingNodePayment extends NodePayment {
  readonly id: number
  /** This one included. */
  readonly attempts: number
}

const CLAIM = statement(
  'claim-node-payments',
  `update node_payments p set attempts = p.attempts + 1, next_attempt_at = $2::bigint
  from (
    select id from node_payments where next_attempt_at <= $1::bigint order by next_attempt_at limit $3::integer
    for update skip locked
  ) due
  where p.id = due.id
  returning p.id, p.txid, p.output_index, p.beef, p.derivation_prefix, p.derivation_suffix, p.payer, p.purpose, p.attempts`
)

interface Row {
  readonly id: number
  readonly txid: Buffer
  readonly output_index: number
  readonly beef: Buffer
  readonly derivation_prefix: string
  readonly derivation_suffix: string
  readonly payer: Buffer
  readonly purpose: string
  readonly attempts: number
}

/**
 * Claims what is due to be taken by the node's wallet.
 *
 * @param until when it is due again if nothing is heard of it, ms
 */
export async function claimNodePayments(
  db: Queryable,
  now: number,
  until: number,
  limit: number
): Promise<WaitingNodePayment[]> {
  const rows = await db.query<Row>(CLAIM, [now, until, limit])
  return rows.map(row => ({
    id: row.id,
    txid: shownTxid(row.txid),
    outputIndex: row.output_index,
    beef: row.beef,
    derivationPrefix: row.derivation_prefix,
    derivationSuffix: row.derivation_suffix,
    payer: identityKeyFromBytes(row.payer),
    purpose: row.purpose,
    attempts: row.attempts
  }))
}

const TAKEN = statement('node-payment-taken', 'delete from node_payments where id = $1::bigint')

/** The wallet has it. */
export async function nodePaymentTaken(db: Queryable, id: number): Promise<void> {
  await db.query(TAKEN, [id])
}

const DEFER = statement(
  'defer-node-payment',
  'update node_payments set next_attempt_at = $2::bigint, last_error = $3::text where id = $1::bigint'
)

/** The wallet does not take it now. */
export async function deferNodePayment(
  db: Queryable,
  id: number,
  nextAttemptAt: number,
  reason: string
): Promise<void> {
  await db.query(DEFER, [id, nextAttemptAt, reason])
}
