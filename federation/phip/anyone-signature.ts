import { hash } from 'node:crypto'
import type { Curve } from '../../src/curve/curve.js'
import { derToCompact } from '../../src/curve/der.js'
import { type IdentityKey, identityKeyBytes } from '../../src/keys/identity-key.js'
import { anyonePublicKey } from '../../src/keys/key-deriver.js'

/** Bytes of the shortest and the longest DER signature. */
const SHORTEST = 8
const LONGEST = 72

const HEX = /^[0-9a-fA-F]+$/

/**
 * True if the signer made this signature for *anyone* (BRC-3, BRC-42, BRC-43): ECDSA over SHA-256 of the data under
 * the child key that everybody can compute.
 *
 * @param signer whatever is not a public key signs nothing
 * @param der any bytes; only strict DER with a low s can be valid
 */
export function verifyForAnyone(
  curve: Curve,
  signer: IdentityKey,
  invoiceNumber: string,
  data: Uint8Array,
  der: Uint8Array
): boolean {
  const signature = derToCompact(der)
  const signerBytes = identityKeyBytes(signer)
  if (signature === undefined || !curve.isPublicKey(signerBytes)) return false
  const publicKey = anyonePublicKey(curve, signerBytes, invoiceNumber)
  return curve.verify(hash('sha256', data, 'buffer'), signature, publicKey)
}

/**
 * Reads the `signature` member of /authorizeRouting and /revokeRouting, for which BRC-34 names no encoding: hex,
 * base64 with padding, or an array of byte values. No text is both hex and base64 of a DER signature: those begin
 * with `30` and with `M`.
 *
 * @param value from JSON
 * @returns 8 to 72 bytes that begin like DER; undefined for anything else
 */
export function parseSignatureMember(value: unknown): Uint8Array | undefined {
  const bytes = typeof value === 'string' ? signatureFromText(value) : signatureFromNumbers(value)
  if (bytes === undefined || bytes.length < SHORTEST || bytes.length > LONGEST) return undefined
  return bytes[0] === 0x30 ? bytes : undefined
}

function signatureFromText(text: string): Uint8Array | undefined {
  if (text.length > 2 * LONGEST) return undefined
  if (text.length % 2 === 0 && HEX.test(text)) return Buffer.from(text, 'hex')
  const bytes = Buffer.from(text, 'base64')
  // Node's decoder skips what it does not know; only the canonical text survives the way back.
  return bytes.toString('base64') === text ? bytes : undefined
}

function signatureFromNumbers(value: unknown): Uint8Array | undefined {
  if (!Array.isArray(value) || value.length > LONGEST) return undefined
  const bytes = new Uint8Array(value.length)
  for (let index = 0; index < value.length; index++) {
    const byte: unknown = value[index]
    if (typeof byte !== 'number' || !Number.isInteger(byte) || byte < 0 || byte > 255) return undefined
    bytes[index] = byte
  }
  return bytes
}
