import { createHash } from 'node:crypto'
import type { KeyDeriver } from '../../src/keys/key-deriver.js'
import { keysOf } from './phip-token-builder.js'

/*
 * Who takes part in the cases of test/vectors/origin-proofs.json. Nothing in the files origin-*.ts is random, and nothing
 * but the curve and the derivation of keys is shared with the code under test.
 */

/** The clock of the host that judges, ms: 2026-01-01. */
export const NOW = 1_767_225_600_000
export const MINUTE = 60_000
export const DAY = 24 * 60 * MINUTE
/** How long a message lives there, ms. */
export const TIME_TO_LIVE = 30 * DAY

export const sender = keysOf('31')
export const otherSender = keysOf('32')
export const recipient = keysOf('33')
export const otherRecipient = keysOf('34')
export const thirdRecipient = keysOf('35')
/** The sender's home host. */
export const host = keysOf('36')
export const otherHost = keysOf('37')
export const stranger = keysOf('38')

/** The private key of each, 32 bytes: one byte 32 times. */
export function privateKey(party: KeyDeriver): Buffer {
  const byte = PRIVATE_BYTES.get(party)
  if (byte === undefined) throw new Error('not one of the parties')
  return Buffer.alloc(32, byte)
}

const PRIVATE_BYTES = new Map<KeyDeriver, number>(
  [sender, otherSender, recipient, otherRecipient, thirdRecipient, host, otherHost, stranger].map(
    (party, index) => [party, 0x31 + index]
  )
)

/** Bytes that look random and are the same each time. */
export function seeded(label: string, length: number): Buffer {
  const pieces: Buffer[] = []
  for (let have = 0, counter = 0; have < length; have += 32, counter++) {
    pieces.push(createHash('sha256').update(`origin proofs ${label} ${counter}`).digest())
  }
  return Buffer.concat(pieces).subarray(0, length)
}

export function seededBase64(label: string, length: number): string {
  return seeded(label, length).toString('base64')
}
