import { setTimeout as delay } from 'node:timers/promises'
import type { Context } from '../context.js'
import type { AuthenticatedEndpoint, AuthenticatedRequest, MountedEndpoint, Reply } from '../endpoint.js'
import { ApiError, badRequest } from '../errors.js'
import { rowKey } from '../names.js'
import { sha256InTurns } from '../sha256.js'
import {
  claimPaidRequest,
  findPaidRequest,
  type PaidAnswer,
  settlePaidRequest
} from '../storage/paid-requests.js'
import { keepNodePayment, lockPayment } from '../storage/payments.js'
import { isDerivation } from './payment.js'
import type { VerifiedTransaction } from './payment-check.js'
import { paysNode } from './payment-keys.js'
import { makePrefix, type Price, readPrefix } from './price-prefix.js'

/** BRC-105; stock clients pay no other. */
const PAYMENT_VERSION = '1.0'
/** Longer answers are not remembered: the same request is carried out once more. */
const LONGEST_ANSWER = 65_536
/** Nobody takes longer to answer, ms. */
const CLAIM_MILLISECONDS = 30_000
/** How long the same request waits for the answer to the first one, ms. */
const WAIT_MILLISECONDS = 10_000
const LOOK_MILLISECONDS = 250
/** A paid request is remembered this long, ms. */
const REMEMBER_MILLISECONDS = 24 * 60 * 60 * 1000
/** After these the same request may succeed. */
const PASSING = new Set([408, 425, 429])

type ChargingContext = Pick<Context, 'keys' | 'clock' | 'database' | 'payments'>
type AuthenticatedMounted = AuthenticatedEndpoint<void>

/** The `x-bsv-payment` of a request (BRC-105). */
interface StatedPayment {
  readonly derivationPrefix: string
  readonly derivationSuffix: string
  readonly transaction: Buffer
}

/**
 * Puts a price on calls (BRC-105). Who does not pay is told the price with 402; whoever does is never answered 402, which would
 * make stock clients pay again and again. The same request with the same payment is answered the same.
 *
 * @param prices satoshis by path
 * @throws RangeError for a path that is no call of an authenticated caller
 */
export function chargeFor(
  endpoints: readonly MountedEndpoint[],
  prices: ReadonlyMap<string, number>,
  context: ChargingContext
): MountedEndpoint[] {
  const left = new Set(prices.keys())
  const charged = endpoints.map(endpoint => {
    const satoshis = prices.get(endpoint.path) ?? 0
    if (!endpoint.authenticated || satoshis === 0) {
      if (endpoint.authenticated) left.delete(endpoint.path)
      return endpoint
    }
    left.delete(endpoint.path)
    const charge = new Charge(endpoint, satoshis, context)
    return { ...endpoint, handler: (request: AuthenticatedRequest) => charge.handle(request) }
  })
  const [unknown] = left
  if (unknown !== undefined) throw new RangeError(unknown)
  return charged
}

class Charge {
  readonly #endpoint: AuthenticatedMounted
  readonly #satoshis: number
  readonly #context: ChargingContext

  constructor(endpoint: AuthenticatedMounted, satoshis: number, context: ChargingContext) {
    this.#endpoint = endpoint
    this.#satoshis = satoshis
    this.#context = context
  }

  /**
   * @throws ApiError 402 ERR_PAYMENT_REQUIRED without a payment; with one 400 ERR_MALFORMED_PAYMENT,
   * ERR_INVALID_DERIVATION_PREFIX, ERR_PAYMENT_FAILED, 409 ERR_PAYMENT_IN_PROGRESS, and as the call itself
   */
  async handle(request: AuthenticatedRequest): Promise<Reply> {
    const header = request.headers['x-bsv-payment']
    if (header === undefined) throw this.#paymentRequired(request)
    const payment = parsePaymentHeader(header)
    const { keys, payments } = this.#context
    const payer = request.caller.identityKeyBytes
    const price = readPrefix(keys, payment.derivationPrefix, payer, this.#endpoint.path)
    if (price === undefined)
      throw notOurPrefix('It is not one that this node gave to this caller for this call')
    const transaction = await payments.verify(payment.transaction).catch(toPaymentFailed)
    const satoshis = this.#requirePaid(payment, transaction, payer, price)
    const key = rowKey(`${transaction.txid} ${payment.derivationPrefix} ${payment.derivationSuffix}`)
    const known = await this.#claim(request, payment, transaction, satoshis, price, key)
    return known ?? this.#carryOut(request, key, satoshis)
  }

  #paymentRequired({ caller }: AuthenticatedRequest): ApiError {
    const { keys, clock } = this.#context
    const satoshis = this.#satoshis
    return new ApiError(
      402,
      'ERR_PAYMENT_REQUIRED',
      `This call costs ${satoshis} satoshis (BRC-105). Send the same request again with the header x-bsv-payment.`,
      { satoshisRequired: satoshis },
      {
        'x-bsv-payment-version': PAYMENT_VERSION,
        'x-bsv-payment-satoshis-required': String(satoshis),
        'x-bsv-payment-derivation-prefix': makePrefix(
          keys,
          caller.identityKeyBytes,
          this.#endpoint.path,
          satoshis,
          clock.now()
        )
      }
    )
  }

  /** The first output, as stock clients make it. @returns its satoshis */
  #requirePaid(
    payment: StatedPayment,
    { outputs }: VerifiedTransaction,
    payer: Uint8Array,
    { satoshis }: Price
  ): number {
    const [output] = outputs
    if (output === undefined || !paysNode(this.#context.keys, output.lockingScript, payer, payment)) {
      throw paymentFailed('Its first output does not pay the key derived for this node (BRC-29)')
    }
    if (output.satoshis < satoshis) {
      throw paymentFailed(`Its first output has ${output.satoshis} satoshis, and ${satoshis} were asked for`)
    }
    return output.satoshis
  }

  /** @returns the answer, where this request was carried out before; undefined: it is to be done now, and only here */
  async #claim(
    request: AuthenticatedRequest,
    payment: StatedPayment,
    transaction: VerifiedTransaction,
    satoshis: number,
    price: Price,
    key: string
  ): Promise<Reply | undefined> {
    const { database, clock } = this.#context
    const digest = await this.#digest(request)
    const end = performance.now() + WAIT_MILLISECONDS
    for (;;) {
      const known = await database
        .transaction(async tx => {
          await lockPayment(tx, transaction)
          const found = await findPaidRequest(tx, key)
          const now = clock.now()
          if (found === undefined) {
            if (price.endsAt <= now) throw notOurPrefix('It is too old')
            const { derivationPrefix, derivationSuffix } = payment
            const senderIdentityKey = request.caller.identityKey
            const output = { outputIndex: 0, derivationPrefix, derivationSuffix, senderIdentityKey, satoshis }
            await keepNodePayment(tx, transaction, output, this.#endpoint.path, now)
          } else {
            if (found.request_digest !== digest) throw paymentFailed('It was used for another request')
            if (found.answer !== null || found.claimed_at > now - CLAIM_MILLISECONDS) return found
          }
          await claimPaidRequest(tx, key, digest, now, now + REMEMBER_MILLISECONDS)
          return undefined
        })
        .catch(toPaymentFailed)
      if (known === undefined) return undefined
      if (known.answer !== null) return replyOf(known.answer)
      if (performance.now() > end) throw inProgress()
      await delay(LOOK_MILLISECONDS)
    }
  }

  async #carryOut(request: AuthenticatedRequest, key: string, satoshis: number): Promise<Reply> {
    const { database } = this.#context
    const paid = { 'x-bsv-payment-satoshis-paid': String(satoshis) }
    try {
      const reply = await this.#endpoint.handler(request)
      const answer = { ...reply, headers: { ...reply.headers, ...paid } }
      await settlePaidRequest(database, key, answerOf(answer))
      return answer
    } catch (error) {
      const isFinal = error instanceof ApiError && error.httpStatus < 500 && !PASSING.has(error.httpStatus)
      const answer = isFinal
        ? answerOf({ status: error.httpStatus, body: error.toBody(), headers: { ...error.headers, ...paid } })
        : undefined
      await settlePaidRequest(database, key, answer)
      throw error
    }
  }

  async #digest({ caller, query, body }: AuthenticatedRequest): Promise<string> {
    const { method, path } = this.#endpoint
    const head = JSON.stringify([caller.identityKey, method, path, query.toString()])
    return (await sha256InTurns(head, body)).toString('hex', 0, 16)
  }
}

function answerOf({ status = 200, headers = {}, body }: Reply): PaidAnswer | undefined {
  const text = Buffer.isBuffer(body) ? body.toString() : JSON.stringify(body)
  return text.length > LONGEST_ANSWER ? undefined : { status, headers, text }
}

function replyOf({ status, headers, text }: PaidAnswer): Reply {
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: Buffer.from(text) }
}

function parsePaymentHeader(header: string | string[]): StatedPayment {
  let value: unknown
  try {
    value = JSON.parse(String(header))
  } catch {
    throw malformedPayment()
  }
  if (typeof value !== 'object' || value === null) throw malformedPayment()
  const { derivationPrefix, derivationSuffix, transaction } = value as Record<string, unknown>
  if (!isDerivation(derivationPrefix) || !isDerivation(derivationSuffix)) throw malformedPayment()
  if (typeof transaction !== 'string' || transaction === '') throw malformedPayment()
  const bytes = Buffer.from(transaction, 'base64')
  if (bytes.toString('base64') !== transaction) throw malformedPayment()
  return { derivationPrefix, derivationSuffix, transaction: bytes }
}

function malformedPayment(): ApiError {
  return badRequest(
    'ERR_MALFORMED_PAYMENT',
    'The header x-bsv-payment must be JSON: {"derivationPrefix", "derivationSuffix", "transaction": AtomicBEEF in base64}.'
  )
}

function notOurPrefix(reason: string): ApiError {
  return badRequest(
    'ERR_INVALID_DERIVATION_PREFIX',
    `The derivation prefix of the payment can't be used: ${reason}. Ask again without a payment.`
  )
}

function paymentFailed(reason: string): ApiError {
  return badRequest('ERR_PAYMENT_FAILED', `The payment can't be taken: ${reason}.`)
}

function inProgress(): ApiError {
  return new ApiError(
    409,
    'ERR_PAYMENT_IN_PROGRESS',
    'The same request with this payment is being carried out. Send it once more in a moment.'
  )
}

/** Whoever pays is told so in the words of BRC-105. */
function toPaymentFailed(error: unknown): never {
  if (error instanceof ApiError && error.code === 'ERR_INVALID_PAYMENT') {
    throw badRequest('ERR_PAYMENT_FAILED', error.message)
  }
  if (error instanceof ApiError && error.code === 'ERR_PAYMENT_REPLAYED') {
    throw paymentFailed('Its first output was used before')
  }
  throw error
}
