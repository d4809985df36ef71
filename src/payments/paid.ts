import type { Curve } from '../curve/curve.js'
import { badRequest } from '../errors.js'
import { type IdentityKey, identityKeyBytes, identityKeyFromBytes } from '../keys/identity-key.js'
import { ANYONE_PUBLIC_KEY, type KeyDeriver } from '../keys/key-deriver.js'
import type { Dues } from '../permissions/dues.js'
import type { TransactionOutput } from '../transactions/transaction.js'
import type { Payment, StatedOutput } from './payment.js'
import { isPaymentToKey, paysNode, paysRecipient } from './payment-keys.js'

const ANYONE: IdentityKey = identityKeyFromBytes(ANYONE_PUBLIC_KEY)

/** An output that was found to pay whom it should. */
export interface PaidOutput extends StatedOutput {
  readonly satoshis: number
}

/** What a payment pays, whatever is due. */
export interface Paid {
  /** To this node. */
  readonly delivery: PaidOutput | undefined
  /** Only those who are paid something. */
  readonly recipients: ReadonlyMap<IdentityKey, readonly PaidOutput[]>
}

/** Keys derived beyond one for each output and recipient: enough for an order that is mixed up a little. */
const SPARE_DERIVATIONS = 200

/**
 * Finds out whom the outputs of a payment pay, by their scripts. Stock clients pay this node first, then the recipients who
 * want something in the order of the request, and say no more than that; so every output is compared with the next recipient
 * first. Outputs in another order are found as long as that is cheap. What pays nobody here is passed over.
 *
 * @param outputs of the transaction
 * @param recipients in the order of the request
 */
export function findPaid(
  { curve, keys }: { readonly curve: Curve; readonly keys: KeyDeriver },
  payment: Payment,
  outputs: readonly TransactionOutput[],
  payer: IdentityKey,
  recipients: readonly IdentityKey[]
): Paid {
  const paid = new Map<IdentityKey, PaidOutput[]>()
  let delivery: PaidOutput | undefined
  let derivationsLeft = payment.outputs.length + recipients.length + SPARE_DERIVATIONS
  let next = 0
  const findRecipient = (stated: StatedOutput, script: Uint8Array): IdentityKey | undefined => {
    for (let tried = 0; tried < recipients.length && derivationsLeft > 0; tried++) {
      const at = (next + tried) % recipients.length
      const recipient = recipients[at]!
      derivationsLeft--
      if (!paysRecipient(curve, script, identityKeyBytes(recipient), stated)) continue
      next = at + 1
      return recipient
    }
    return undefined
  }
  for (const stated of payment.outputs) {
    const output = outputs[stated.outputIndex]
    if (output === undefined || output.satoshis === 0 || !isPaymentToKey(output.lockingScript)) continue
    const found = { ...stated, satoshis: output.satoshis }
    if (stated.senderIdentityKey === payer && delivery === undefined && derivationsLeft > 0) {
      derivationsLeft--
      if (paysNode(keys, output.lockingScript, identityKeyBytes(payer), stated)) delivery = found
    } else if (stated.senderIdentityKey === ANYONE) {
      const recipient = findRecipient(stated, output.lockingScript)
      if (recipient === undefined) continue
      const before = paid.get(recipient)
      if (before === undefined) paid.set(recipient, [found])
      else before.push(found)
    }
  }
  return { delivery, recipients: paid }
}

export function sumOf(outputs: readonly PaidOutput[] = []): number {
  return outputs.reduce((sum, { satoshis }) => sum + satoshis, 0)
}

/**
 * Compares what is paid with what is due.
 *
 * @throws ApiError 400 ERR_MISSING_DELIVERY_OUTPUT, ERR_INSUFFICIENT_PAYMENT (this node's fee), ERR_MISSING_RECIPIENT_OUTPUTS,
 * ERR_INSUFFICIENT_RECIPIENT_PAYMENT (with the recipients)
 */
export function requireDues(paid: Paid, dues: Dues): void {
  const { deliveryFee } = dues
  if (deliveryFee > 0) {
    if (paid.delivery === undefined) {
      throw badRequest(
        'ERR_MISSING_DELIVERY_OUTPUT',
        `${deliveryFee} satoshis are due to this node, and no output pays it: the first of "outputs", with the payer's key as senderIdentityKey (BRC-29).`,
        { deliveryFee }
      )
    }
    if (paid.delivery.satoshis < deliveryFee) {
      throw badRequest(
        'ERR_INSUFFICIENT_PAYMENT',
        `${deliveryFee} satoshis are due to this node, and ${paid.delivery.satoshis} are paid.`,
        { deliveryFee }
      )
    }
  }
  const short = dues.recipients.filter(
    ({ recipient, fee }) => fee > 0 && sumOf(paid.recipients.get(recipient)) < fee
  )
  if (short.length === 0) return
  const recipients = short.map(({ recipient, fee }) => ({ recipient, recipientFee: fee }))
  if (short.every(({ recipient }) => !paid.recipients.has(recipient))) {
    throw badRequest(
      'ERR_MISSING_RECIPIENT_OUTPUTS',
      'No output pays these recipients what they want: P2PKH to the key derived for anyone (BRC-29), senderIdentityKey 1·G.',
      { recipients }
    )
  }
  throw badRequest('ERR_INSUFFICIENT_RECIPIENT_PAYMENT', 'These recipients are paid less than they want.', {
    recipients
  })
}
