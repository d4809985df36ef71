import type { Caller } from '../auth/caller.js'
import { type ApiError, badRequest, unavailable } from '../errors.js'
import type { IdentityKey } from '../keys/identity-key.js'
import type { Message } from '../message.js'

/** What has to be paid for one send before it is taken; satoshis. */
export interface Dues {
  /** To this node, once for all recipients. */
  readonly deliveryFee: number
  /**
   * Every recipient of the request, in its order. 0 where nothing is due here: he is free, has the message already, or
   * is at home elsewhere, where his own host will ask.
   */
  readonly recipients: readonly { readonly recipient: IdentityKey; readonly fee: number }[]
}

/**
 * Resolves if the payment that came with a message pays what is due.
 *
 * @throws ApiError with the code that says what is wrong with it
 */
export type PaymentCheck = (caller: Caller, message: Message, dues: Dues) => Promise<void>

/** Of a node that cannot look at payments: takes none for good. */
export async function refusePayment(_caller: Caller, message: Message, dues: Dues): Promise<never> {
  if (message.paymentTransaction === undefined) throw paymentMissing(dues)
  throw unavailable(
    'ERR_PAYMENT_VALIDATION_UNAVAILABLE',
    'This node cannot check payments, and takes none that it has not checked.'
  )
}

/** Nothing was paid, and something is due. */
export function paymentMissing({ deliveryFee, recipients }: Dues): ApiError {
  const charging = recipients.filter(({ fee }) => fee > 0)
  const total = charging.reduce((sum, { fee }) => sum + fee, deliveryFee)
  return badRequest(
    'ERR_MISSING_PAYMENT_TX',
    `${total} satoshis are due, and the request has no "payment.tx". GET /permissions/quote tells to whom.`,
    { deliveryFee, recipients: charging.map(({ recipient, fee }) => ({ recipient, recipientFee: fee })) }
  )
}
