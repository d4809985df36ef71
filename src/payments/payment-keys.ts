import { hash } from 'node:crypto'
import type { Curve } from '../curve/curve.js'
import { anyonePublicKey, type KeyDeriver } from '../keys/key-deriver.js'

/*
 * To which keys payments go (BRC-29): P2PKH to the child key of the payee under invoice number
 * `2-3241645161d8-<prefix> <suffix>`.
 */

const PREFIX = Buffer.from('76a914', 'hex')
const SUFFIX = Buffer.from('88ac', 'hex')
const SCRIPT_BYTES = 25

/** Derivation prefix and suffix as they stand in a remittance. */
export interface Derivation {
  readonly derivationPrefix: string
  readonly derivationSuffix: string
}

export function paymentInvoiceNumber({ derivationPrefix, derivationSuffix }: Derivation): string {
  return `2-3241645161d8-${derivationPrefix} ${derivationSuffix}`
}

/** True if the script pays this node's key towards `payer` (33 bytes). */
export function paysNode(
  keys: KeyDeriver,
  script: Uint8Array,
  payer: Uint8Array,
  derivation: Derivation
): boolean {
  return isPaymentToKey(script) && paysKey(script, keys.ownPublicKey(payer, paymentInvoiceNumber(derivation)))
}

/** True if the script pays the recipient's (33 bytes) key towards *anyone*, as stock clients pay recipients. */
export function paysRecipient(
  curve: Curve,
  script: Uint8Array,
  recipient: Uint8Array,
  derivation: Derivation
): boolean {
  return (
    isPaymentToKey(script) &&
    paysKey(script, anyonePublicKey(curve, recipient, paymentInvoiceNumber(derivation)))
  )
}

/** P2PKH. */
export function isPaymentToKey(script: Uint8Array): boolean {
  const bytes = Buffer.from(script.buffer, script.byteOffset, script.byteLength)
  return (
    bytes.length === SCRIPT_BYTES &&
    PREFIX.equals(bytes.subarray(0, PREFIX.length)) &&
    SUFFIX.equals(bytes.subarray(SCRIPT_BYTES - SUFFIX.length))
  )
}

function paysKey(script: Uint8Array, publicKey: Uint8Array): boolean {
  const keyHash = hash('ripemd160', hash('sha256', publicKey, 'buffer'), 'buffer')
  return keyHash.equals(script.subarray(PREFIX.length, SCRIPT_BYTES - SUFFIX.length))
}
