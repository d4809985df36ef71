import { ApiError } from '../errors.js'
import { type PaidOutput, sumOf } from '../payments/paid.js'
import type { CheckedPayment } from '../payments/payment-check.js'
import { encodePayment } from '../payments/stored-payment.js'
import { storedTxid } from '../transactions/transaction.js'
import { plainArray } from './arrays.js'
import { type Queryable, statement } from './database.js'

/** A message that has just been stored, in the transaction that is still open. */
export interface PaidMessage {
  readonly recipient: Buffer
  readonly name: Buffer
  /** What its recipient wanted for it, satoshis. */
  readonly fee: number
  /** Of the origin `sealed`. */
  readonly isSealed: boolean
}

const LOCK = statement('lock-payment', 'select lock_payment($1::bytea)')

/** Must come before anything of the payment is judged, and before recipients are locked. */
export async function lockPayment(tx: Queryable, payment: Pick<CheckedPayment, 'txid'>): Promise<void> {
  await tx.query(LOCK, [storedTxid(payment.txid)])
}

const USED = statement(
  'used-outputs',
  `select o.output_index, (
    select r.identity_key from recipients r join messages m on m.recipient_id = r.id
    where r.identity_key = o.recipient and m.name = o.name and m.origin = 'sealed' and m.sender = $2::bytea
  ) as of_sealed
  from payment_outputs o where o.txid = $1::bytea`
)

/** Which outputs of a transaction were used before. */
class UsedOutputs {
  readonly #rows: ReadonlyMap<number, string | undefined>

  /** @param rows for each, to whom it was brought where that was done by a sealed message of the same sender */
  constructor(rows: readonly { output_index: number; of_sealed: Buffer | null }[]) {
    this.#rows = new Map(rows.map(row => [row.output_index, row.of_sealed?.toString('hex')]))
  }

  /** Those that a message to this recipient may use; one that is better proven may also use what a sealed one brought. */
  left(outputs: readonly PaidOutput[] = [], recipient?: string, isSealed = true): PaidOutput[] {
    return outputs.filter(({ outputIndex }) => {
      if (!this.#rows.has(outputIndex)) return true
      return !isSealed && this.#rows.get(outputIndex) === recipient
    })
  }

  has(outputs: readonly PaidOutput[]): boolean {
    return outputs.some(({ outputIndex }) => this.#rows.has(outputIndex))
  }
}

/** The payment must be locked. */
export async function usedOutputs(
  tx: Queryable,
  payment: Pick<CheckedPayment, 'txid'>,
  sender: Uint8Array
): Promise<UsedOutputs> {
  return new UsedOutputs(await tx.query(USED, [storedTxid(payment.txid), sender]))
}

const FREE_SEALED = statement(
  'free-sealed-payment',
  'select free_sealed_payment($1::bytea, $2::bytea, $3::bytea)'
)

const USE = statement(
  'use-outputs',
  `insert into payment_outputs (txid, output_index, recipient, name, used_at)
  select $1::bytea, i, $3::bytea, $4::bytea, $5::bigint from unnest($2::integer[]) i`
)

const ATTACH = statement(
  'attach-payment',
  'select attach_payment($1::bytea, $2::bytea, $3::bytea, $4::bigint) as is_full'
)

/**
 * Gives messages the outputs that pay their recipients and were not used before, in the transaction that stores them. The
 * payment must be locked.
 *
 * @param bytesPerRecipient what may wait for a recipient
 * @throws ApiError 409 ERR_PAYMENT_REPLAYED where what is due was paid with outputs that were used before; 507
 * ERR_INBOX_QUOTA_EXCEEDED; both must undo the transaction
 */
export async function attachPayment(
  tx: Queryable,
  payment: CheckedPayment,
  sender: Uint8Array,
  messages: readonly PaidMessage[],
  bytesPerRecipient: number,
  now: number
): Promise<void> {
  const txid = storedTxid(payment.txid)
  const used = await usedOutputs(tx, payment, sender)
  for (const { recipient, name, fee, isSealed } of messages) {
    const key = recipient.toString('hex')
    const outputs = used.left(payment.recipients.get(key), key, isSealed)
    if (sumOf(outputs) < fee) throw paymentReplayed()
    if (outputs.length === 0) continue
    if (used.has(outputs)) await tx.query(FREE_SEALED, [txid, sender, recipient])
    await use(tx, txid, outputs, { recipient, name }, now)
    const stored = encodePayment(outputs, payment.description, payment.beef)
    const [row] = await tx.query<{ is_full: boolean }>(ATTACH, [recipient, name, stored, bytesPerRecipient])
    if (row!.is_full) throw noRoom(recipient)
  }
}

const OWE_NODE = statement(
  'owe-node-payment',
  `insert into node_payments (
    txid, output_index, beef, derivation_prefix, derivation_suffix, payer, satoshis, purpose, created_at, next_attempt_at
  ) values (
    $1::bytea, $2::integer, $3::bytea, $4::text, $5::text, $6::bytea, $7::bigint, $8::text, $9::bigint, $9::bigint
  )`
)

/**
 * Notes that an output pays this node, for its wallet to take, in the transaction of what is paid for. The payment must be
 * locked.
 *
 * @param purpose what it was paid for: the path of the call
 * @throws ApiError 409 ERR_PAYMENT_REPLAYED
 */
export async function keepNodePayment(
  tx: Queryable,
  payment: Pick<CheckedPayment, 'txid' | 'beef'>,
  output: PaidOutput,
  purpose: string,
  now: number
): Promise<void> {
  const txid = storedTxid(payment.txid)
  const payer = Buffer.from(output.senderIdentityKey, 'hex')
  if ((await usedOutputs(tx, payment, payer)).has([output])) throw paymentReplayed()
  await use(tx, txid, [output], undefined, now)
  await tx.query(OWE_NODE, [
    txid,
    output.outputIndex,
    payment.beef,
    output.derivationPrefix,
    output.derivationSuffix,
    payer,
    output.satoshis,
    purpose,
    now
  ])
}

async function use(
  tx: Queryable,
  txid: Buffer,
  outputs: readonly PaidOutput[],
  message: { readonly recipient: Buffer; readonly name: Buffer } | undefined,
  now: number
): Promise<void> {
  await tx.query(USE, [
    txid,
    plainArray(outputs.map(({ outputIndex }) => outputIndex)),
    message?.recipient ?? null,
    message?.name ?? null,
    now
  ])
}

/** 409: outputs that were used before. */
export function paymentReplayed(): ApiError {
  return new ApiError(
    409,
    'ERR_PAYMENT_REPLAYED',
    'Outputs of this payment were used before: for another message, or for this one without a messageId. Make a new payment.'
  )
}

function noRoom(recipient: Buffer): ApiError {
  return new ApiError(
    507,
    'ERR_INBOX_QUOTA_EXCEEDED',
    'There is no room for the payment: too many bytes wait for the recipient. Try again later.',
    {
      recipients: [
        { recipient: recipient.toString('hex'), code: 'ERR_INBOX_QUOTA_EXCEEDED', limit: 'bytesPerRecipient' }
      ]
    }
  )
}
