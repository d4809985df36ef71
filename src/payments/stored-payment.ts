import type { PaidOutput } from './paid.js'

/*
 * A recipient's payment as it stands in `messages.payment`: four bytes with the length of a JSON text (big endian), the JSON
 * `{outputs, description?}` with his outputs only, and the atomic BEEF.
 */
const LENGTH_BYTES = 4

/** @param beef atomic */
export function encodePayment(
  outputs: readonly PaidOutput[],
  description: string | undefined,
  beef: Uint8Array
): Buffer {
  const remittances = outputs.map(
    ({ outputIndex, derivationPrefix, derivationSuffix, senderIdentityKey }) => ({
      outputIndex,
      protocol: 'wallet payment',
      paymentRemittance: { derivationPrefix, derivationSuffix, senderIdentityKey }
    })
  )
  const json = Buffer.from(JSON.stringify({ outputs: remittances, description }))
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeUInt32BE(json.length)
  return Buffer.concat([length, json, beef])
}

/** Numbers in one piece of text. */
const PIECE = 65_536
const NUMBERS = Array.from({ length: 256 }, (_, byte) => `${byte},`)

/**
 * A stored payment as JSON, as wallets take it: `{"outputs": […], "description"?, "tx": […]}` with the BEEF as an array of
 * numbers. In pieces: one of some megabytes would hold up everybody if it were made at once.
 */
export function* paymentJson(stored: Buffer): Generator<string> {
  const beefAt = LENGTH_BYTES + stored.readUInt32BE(0)
  // Without its last brace.
  yield `${stored.toString('utf8', LENGTH_BYTES, beefAt - 1)},"tx":[`
  for (let at = beefAt; at < stored.length; ) {
    const end = Math.min(at + PIECE, stored.length)
    let text = ''
    for (; at < end; at++) text += NUMBERS[stored[at]!]!
    yield end === stored.length ? text.slice(0, -1) : text
  }
  yield ']}'
}
