import { hash, randomBytes } from 'node:crypto'
import type { Curve } from '../curve/curve.js'
import { derToCompact } from '../curve/der.js'
import { type IdentityKey, identityKeyBytes, identityKeyFromBytes } from './identity-key.js'
import { ANYONE_PUBLIC_KEY, anyoneLinkage, type KeyDeriver } from './key-deriver.js'

/*
 * A portable signature is one that everybody can check who knows the signer's identity key. Its bytes are laid out
 * as BRC-77 with verifier *anyone*:
 *
 *   offset  bytes  content
 *        0      4  42 42 33 01
 *        4     33  signer's identity key
 *       37      1  00, the verifier is anyone
 *       38     32  key id, random
 *       70   8–72  DER signature over SHA-256 of the UTF-8 text
 *
 * but the protocol is its own, so that nothing signed for another application counts here. As text: base64.
 */
const PROTOCOL = '2-peerserv proof'
const VERSION = Buffer.from('42423301', 'hex')
const ANYONE = Buffer.of(0)
const SIGNER_AT = 4
const VERIFIER_AT = 37
const KEY_ID_AT = 38
const SIGNATURE_AT = 70
/** Characters of base64 for the shortest and the longest signature. */
const SHORTEST_TEXT = 104
const LONGEST_TEXT = 192

/**
 * Signs a text so that everybody can check it; every call gives another signature.
 *
 * @param text well-formed Unicode, as from JSON.stringify
 * @returns base64, 104 to 192 characters
 */
export function signPortably(keys: KeyDeriver, text: string): string {
  const keyId = randomBytes(32)
  const invoiceNumber = `${PROTOCOL}-${keyId.toString('base64')}`
  const der = keys.sign(Buffer.from(text, 'utf8'), invoiceNumber, ANYONE_PUBLIC_KEY)
  return Buffer.concat([VERSION, keys.publicKey, ANYONE, keyId, der]).toString('base64')
}

/**
 * True if `signature` is a portable signature of exactly this signer over exactly this text. Whatever else it is,
 * including a string that decodes to the right bytes without being their canonical base64, a high s or a value that
 * is no string, the answer is false; nothing is thrown.
 */
export function verifyPortableSignature(
  curve: Curve,
  signer: IdentityKey,
  text: string,
  signature: unknown
): boolean {
  const parts = parse(signature)
  if (parts === undefined) return false
  const signerBytes = identityKeyBytes(signer)
  // The key in the bytes is what the sender says; who must have signed is known from elsewhere.
  if (!signerBytes.equals(parts.signer)) return false
  const linkage = anyoneLinkage(signerBytes, `${PROTOCOL}-${parts.keyId}`)
  return curve.verifyDerived(hash('sha256', text, 'buffer'), parts.signature, signerBytes, linkage)
}

/** The key of whoever is said to have made a portable signature, which proves nothing yet; undefined if it is none. */
export function statedSigner(signature: unknown): IdentityKey | undefined {
  const parts = parse(signature)
  return parts === undefined ? undefined : identityKeyFromBytes(parts.signer)
}

interface PortableSignature {
  readonly signer: Uint8Array
  /** Base64. */
  readonly keyId: string
  /** Compact. */
  readonly signature: Uint8Array
}

function parse(text: unknown): PortableSignature | undefined {
  if (typeof text !== 'string' || text.length < SHORTEST_TEXT || text.length > LONGEST_TEXT) return undefined
  const bytes = Buffer.from(text, 'base64')
  // Node's decoder skips what it does not know; only the canonical text survives the way back.
  if (bytes.toString('base64') !== text) return undefined
  if (!bytes.subarray(0, SIGNER_AT).equals(VERSION) || bytes[VERIFIER_AT] !== 0) return undefined
  const signature = derToCompact(bytes.subarray(SIGNATURE_AT))
  if (signature === undefined) return undefined
  return {
    signer: bytes.subarray(SIGNER_AT, VERIFIER_AT),
    keyId: bytes.toString('base64', KEY_ID_AT, SIGNATURE_AT),
    signature
  }
}
