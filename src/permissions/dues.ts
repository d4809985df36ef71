import { type ApiError, badRequest } from '../errors.js'
import type { IdentityKey } from '../keys/identity-key.js'

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

/** Nothing was paid, and something is due. */
export function paymentMissing({ deliveryFee, recipients }: Dues): ApiError {
  const charging = recipients.filter(({ fee }) => fee > 0)
  const total = charging.reduce((sum, { fee }) => sum + fee, deliveryFee)
  return badRequest(
    'ERR_MISSING_PAYMENT_TX',
    `${total} satoshis are due, and the request has no payment. GET /permissions/quote tells to whom.`,
    { deliveryFee, recipients: charging.map(({ recipient, fee }) => ({ recipient, recipientFee: fee })) }
  )
}
