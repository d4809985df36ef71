import { type ApiError, badRequest } from '../errors.js'
import type { IdentityKey } from '../keys/identity-key.js'

/** An output that is said to pay somebody, as wallets remit it (BRC-29, BRC-100 `internalizeAction`). */
export interface StatedOutput {
  readonly outputIndex: number
  readonly derivationPrefix: string
  readonly derivationSuffix: string
  /** Whose key the payee's was derived with. */
  readonly senderIdentityKey: IdentityKey
}

/** The `payment` beside a message, in a form that can be looked into; nothing of it is known to be true. */
export interface Payment {
  /** BEEF. */
  readonly transaction: Buffer
  readonly outputs: readonly StatedOutput[]
  readonly description: string | undefined
}

/** BEEF of one payment, bytes. */
export const MOST_TRANSACTION_BYTES = 16 * 2 ** 20
const MOST_OUTPUTS = 1_000
const MOST_DERIVATION_BYTES = 128
const MOST_DESCRIPTION_BYTES = 2_000
const IDENTITY_KEY = /^0[23][0-9a-f]{64}$/i

/**
 * Reads the member `payment` of a request: `{tx, outputs: [{outputIndex, protocol: "wallet payment", paymentRemittance:
 * {derivationPrefix, derivationSuffix, senderIdentityKey}}], description?}`. `tx` is BEEF as an array of numbers, as an object
 * of them (what JSON makes of a Uint8Array) or as bytes (json-in-turns.ts).
 *
 * @returns undefined for none, and for one without outputs, which stock clients send where nothing is due; an error for what
 * can't be read, to be told only if something is due
 */
export function parsePayment(value: unknown): Payment | ApiError | undefined {
  if (value === undefined || value === null) return undefined
  if (!isRecord(value)) return unreadable('"payment" must be an object {tx, outputs, description?}')
  const { tx, outputs, description } = value
  if (Array.isArray(outputs) && outputs.length === 0) return undefined
  if (tx === undefined || tx === null) {
    return badRequest('ERR_MISSING_PAYMENT_TX', '"payment.tx" is missing: the transaction as AtomicBEEF.')
  }
  const transaction = parseTransactionBytes(tx)
  if (transaction === undefined) {
    return unreadable('"payment.tx" must be AtomicBEEF as an array of byte values, 16 MiB at most')
  }
  if (!Array.isArray(outputs) || outputs.length > MOST_OUTPUTS) {
    return unreadable(`"payment.outputs" must be an array of at most ${MOST_OUTPUTS} outputs`)
  }
  const stated: StatedOutput[] = []
  const indices = new Set<number>()
  for (const item of outputs) {
    const output = parseOutput(item)
    if (typeof output === 'string') return unreadable(output)
    if (indices.has(output.outputIndex)) return unreadable('"payment.outputs" names an output twice')
    indices.add(output.outputIndex)
    stated.push(output)
  }
  const isText = typeof description === 'string' && Buffer.byteLength(description) <= MOST_DESCRIPTION_BYTES
  return { transaction, outputs: stated, description: isText ? description : undefined }
}

/** A prefix or suffix of BRC-29: canonical base64 of 1 to 128 bytes. */
export function isDerivation(value: unknown): value is string {
  if (typeof value !== 'string' || value === '') return false
  if (value.length > Math.ceil(MOST_DERIVATION_BYTES / 3) * 4) return false
  const bytes = Buffer.from(value, 'base64')
  return bytes.length <= MOST_DERIVATION_BYTES && bytes.toString('base64') === value
}

/** What is wrong, or the output. */
function parseOutput(value: unknown): StatedOutput | string {
  const remittance =
    isRecord(value) && isRecord(value.paymentRemittance) ? value.paymentRemittance : undefined
  if (!isRecord(value) || value.protocol !== 'wallet payment' || remittance === undefined) {
    return 'an output must be {outputIndex, protocol: "wallet payment", paymentRemittance}'
  }
  const { outputIndex } = value
  if (typeof outputIndex !== 'number' || !Number.isSafeInteger(outputIndex) || outputIndex < 0) {
    return '"outputIndex" must be the index of an output of the transaction'
  }
  const { derivationPrefix, derivationSuffix, senderIdentityKey } = remittance
  if (!isDerivation(derivationPrefix) || !isDerivation(derivationSuffix)) {
    return `"derivationPrefix" and "derivationSuffix" must be canonical base64 of 1 to ${MOST_DERIVATION_BYTES} bytes`
  }
  if (typeof senderIdentityKey !== 'string' || !IDENTITY_KEY.test(senderIdentityKey)) {
    return '"senderIdentityKey" must be an identity key of 66 hex characters'
  }
  return {
    outputIndex,
    derivationPrefix,
    derivationSuffix,
    senderIdentityKey: senderIdentityKey.toLowerCase()
  }
}

function parseTransactionBytes(value: unknown): Buffer | undefined {
  const bytes = Buffer.isBuffer(value)
    ? value
    : bytesOf(Array.isArray(value) ? value : isRecord(value) ? numbered(value) : undefined)
  return bytes !== undefined && bytes.length > 0 && bytes.length <= MOST_TRANSACTION_BYTES ? bytes : undefined
}

function bytesOf(values: readonly unknown[] | undefined): Buffer | undefined {
  if (values === undefined || values.length > MOST_TRANSACTION_BYTES) return undefined
  const bytes = Buffer.allocUnsafe(values.length)
  for (const [index, value] of values.entries()) {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > 255) return undefined
    bytes[index] = value
  }
  return bytes
}

/** `{"0":1,"1":2}` as an array. */
function numbered(value: Record<string, unknown>): unknown[] | undefined {
  const names = Object.keys(value)
  return names.every((name, index) => name === String(index)) ? Object.values(value) : undefined
}

function unreadable(what: string): ApiError {
  return badRequest('ERR_INVALID_PAYMENT', `The payment can't be read: ${what}.`)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
