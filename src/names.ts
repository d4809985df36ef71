import { hash } from 'node:crypto'
import { type IdentityKey, identityKeyBytes } from './keys/identity-key.js'
import { sha256, sha256InTurns } from './sha256.js'

/*
 * What a message is called, on this host and on every other (protocol section 2).
 */

/** How a sender's request was signed, and so how its signed bytes are read (protocol section 4). */
export type SignedMessageFormat = 'brc104' | 'brc103' | 'authrite'

/**
 * The id of an envelope: SHA-256 of `JSON.stringify([sender, format, keyID])` followed by the signed bytes.
 *
 * @returns 32 bytes
 */
export function envelopeId(
  sender: IdentityKey,
  format: SignedMessageFormat,
  keyID: string,
  signedBytes: Uint8Array
): Buffer {
  return sha256(envelopeHead(sender, format, keyID), signedBytes)
}

/** As `envelopeId`, for long bytes: others have their turn in between. */
export function envelopeIdInTurns(
  sender: IdentityKey,
  format: SignedMessageFormat,
  keyID: string,
  signedBytes: Uint8Array
): Promise<Buffer> {
  return sha256InTurns(envelopeHead(sender, format, keyID), signedBytes)
}

function envelopeHead(sender: IdentityKey, format: SignedMessageFormat, keyID: string): Buffer {
  return Buffer.from(JSON.stringify([sender, format, keyID]))
}

/**
 * The name of a message across hosts: of its ciphertext, whatever its proof, where the body is sealed; of the text that
 * its sender signed, where that signature holds; otherwise the id of its envelope.
 *
 * @param ciphertext base64
 * @returns 32 bytes
 */
export function messageName(
  sender: IdentityKey,
  messageBox: string,
  ciphertext: string | undefined,
  signedText: string | undefined,
  envelope: Buffer
): Buffer {
  if (ciphertext !== undefined) return nameOf([sender, 'sealed', messageBox, ciphertext])
  return signedText === undefined ? envelope : nameOf([sender, 'signature', signedText])
}

function nameOf(parts: readonly string[]): Buffer {
  return hash('sha256', JSON.stringify(parts), 'buffer')
}

/**
 * The integer shown where the client chose no id, the same on every host: the top 53 bits, big endian, of
 * SHA-256(name ‖ recipient).
 */
export function publicInteger(name: Uint8Array, recipient: Uint8Array): number {
  const digest = sha256(name, recipient)
  return digest.readUInt32BE(0) * 2 ** 21 + (digest.readUInt32BE(4) >>> 11)
}

/**
 * A key of 16 bytes for rows that only this database knows: the first half of a SHA-256, as 32 hex characters (which
 * is how Postgres reads a uuid).
 */
export function rowKey(...parts: (string | Uint8Array)[]): string {
  const bytes = parts.length === 1 ? parts[0]! : Buffer.concat(parts.map(bytesOf))
  return hash('sha256', bytes, 'hex').slice(0, 32)
}

/** As `rowKey`, for what may be long: others have their turn in between. */
export async function rowKeyInTurns(part: string | Uint8Array): Promise<string> {
  return (await sha256InTurns(part)).toString('hex', 0, 16)
}

function bytesOf(part: string | Uint8Array): Uint8Array {
  return typeof part === 'string' ? Buffer.from(part) : part
}

/** Key of a client's message id in `client_message_ids`. */
export function clientMessageIdKey(
  recipient: IdentityKey,
  sender: IdentityKey,
  messageBox: string,
  messageId: string
): string {
  return rowKey(
    identityKeyBytes(recipient),
    identityKeyBytes(sender),
    JSON.stringify([messageBox, messageId])
  )
}

/** Key of a sealed body that `sender` sent, in `sent_ciphertexts`. */
export function ciphertextKey(sender: IdentityKey, ciphertext: string): string {
  return rowKey(identityKeyBytes(sender), ciphertext)
}
