import type { Config } from '../config.js'
import type { Curve } from '../curve/curve.js'
import { ApiError, badRequest, unavailable } from '../errors.js'
import type { IdentityKey } from '../keys/identity-key.js'
import type { KeyDeriver } from '../keys/key-deriver.js'
import type { Logger } from '../logger.js'
import { type BeefTransaction, extractAtomicBeef, parseBeef } from '../transactions/beef.js'
import { MalformedError } from '../transactions/byte-reader.js'
import { type ChainTracker, isMadeUp } from '../transactions/chain.js'
import { UnprovenTransactionError, verifyBeef } from '../transactions/verify.js'
import { findPaid, type Paid } from './paid.js'
import type { Payment } from './payment.js'

/** A transaction that was verified, and what it takes to show that to others. */
export interface VerifiedTransaction {
  readonly txid: string
  readonly outputs: BeefTransaction['outputs']
  /** Atomic BEEF of it and the ancestors that it needs. */
  readonly beef: Buffer
}

/** A payment that was verified. */
export interface CheckedPayment extends Paid {
  readonly txid: string
  /** Atomic BEEF. */
  readonly beef: Buffer
  readonly description: string | undefined
}

export interface PaymentCheckOptions {
  readonly config: Pick<Config, 'network'>
  readonly curve: Curve
  readonly keys: KeyDeriver
  readonly logger: Logger
  /** Undefined where nobody tells about the chain. */
  readonly chainTracker: ChainTracker | undefined
}

/** Looks at payments; nothing is remembered here. */
export class PaymentCheck {
  readonly #options: PaymentCheckOptions

  constructor(options: PaymentCheckOptions) {
    this.#options = options
  }

  /**
   * As `look`, where it is not known yet whether anything is due: what is wrong with the payment is answered, to be told if so.
   *
   * @throws ApiError 503 ERR_PAYMENT_VALIDATION_UNAVAILABLE where the chain can't be asked now
   */
  async find(
    payment: Payment | ApiError | undefined,
    payer: IdentityKey,
    recipients: readonly IdentityKey[]
  ): Promise<CheckedPayment | ApiError | undefined> {
    if (payment === undefined || payment instanceof ApiError) return payment
    try {
      return await this.look(payment, payer, recipients)
    } catch (error) {
      const isPassing = this.#options.chainTracker !== undefined
      if (error instanceof ApiError && (error.httpStatus === 400 || !isPassing)) return error
      throw error
    }
  }

  /**
   * Verifies a payment, and says what it pays to this node and to these recipients.
   *
   * @param payer who sent the request
   * @param recipients in the order of the request
   * @throws ApiError 400 ERR_INVALID_PAYMENT; 503 ERR_PAYMENT_VALIDATION_UNAVAILABLE where the chain can't be asked
   */
  async look(
    payment: Payment,
    payer: IdentityKey,
    recipients: readonly IdentityKey[]
  ): Promise<CheckedPayment> {
    const { txid, outputs, beef } = await this.verify(payment.transaction)
    const paid = findPaid(this.#options, payment, outputs, payer, recipients)
    return { ...paid, txid, beef, description: payment.description }
  }

  /**
   * Verifies a transaction: the scripts, and the Merkle paths where a chain is known. On `local` and `private` they are
   * believed where none is; elsewhere nothing can be taken then.
   *
   * @throws ApiError as `look`
   */
  async verify(bytes: Uint8Array): Promise<VerifiedTransaction> {
    const { config, chainTracker, logger } = this.#options
    if (chainTracker === undefined && !isMadeUp(config.network)) throw cannotCheck()
    try {
      const beef = parseBeef(bytes)
      await verifyBeef(beef, chainTracker)
      const { subject } = beef
      return { txid: subject.txid, outputs: subject.outputs, beef: extractAtomicBeef(beef, subject) }
    } catch (error) {
      if (error instanceof MalformedError || error instanceof UnprovenTransactionError) {
        throw badRequest(
          'ERR_INVALID_PAYMENT',
          `The transaction of the payment is not good: ${error.message}.`
        )
      }
      if (error instanceof ApiError) throw error
      logger.warn({ err: error }, 'cannot compare a payment with the chain')
      throw cannotCheck()
    }
  }
}

function cannotCheck(): ApiError {
  return unavailable(
    'ERR_PAYMENT_VALIDATION_UNAVAILABLE',
    'This node cannot compare transactions with the chain now, and takes no payment that it has not checked.',
    30
  )
}
