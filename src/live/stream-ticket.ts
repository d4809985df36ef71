import { hash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { IdentityKey } from '../keys/identity-key.js'
import type { KeyDeriver } from '../keys/key-deriver.js'
import { isObject } from '../message.js'

/** How long a ticket may be used, ms. */
export const TICKET_LIFE = 30_000

/** What a ticket lets its bearer do, once. */
export interface StreamTicket {
  readonly identityKey: IdentityKey
  /** In the order of their names. */
  readonly messageBoxes: readonly string[]
  /** As it came; undefined: from now on. */
  readonly lastEventId: string | undefined
  /** Milliseconds since 1970. */
  readonly issuedAt: number
}

const PURPOSE = 'stream ticket'
const MAC_LENGTH = 32
/** Twenty names of boxes, each character escaped. */
const LONGEST = 24 * 1024

/** Any process of the node accepts it, and none has to remember it before it is used. Base64url. */
export function mintTicket(keys: KeyDeriver, ticket: StreamTicket): string {
  const content = Buffer.from(JSON.stringify({ ...ticket, unique: randomBytes(16).toString('base64url') }))
  return Buffer.concat([keys.hmac(PURPOSE, content), content]).toString('base64url')
}

/**
 * @param now ms
 * @returns undefined for what this node has not given, or not in the last 30 seconds; otherwise the ticket and the
 * digest under which its use is remembered
 */
export function parseTicket(
  keys: KeyDeriver,
  text: string,
  now: number
): { readonly ticket: StreamTicket; readonly digest: Buffer } | undefined {
  if (text.length > LONGEST || !/^[\w-]+$/.test(text)) return undefined
  const bytes = Buffer.from(text, 'base64url')
  const content = bytes.subarray(MAC_LENGTH)
  const mac = bytes.subarray(0, MAC_LENGTH)
  if (mac.length !== MAC_LENGTH || !timingSafeEqual(mac, keys.hmac(PURPOSE, content))) return undefined
  // Made here, so of this form.
  const ticket: unknown = JSON.parse(content.toString())
  if (!isObject(ticket)) return undefined
  const { identityKey, messageBoxes, lastEventId, issuedAt } = ticket as unknown as StreamTicket
  if (now - issuedAt >= TICKET_LIFE) return undefined
  return {
    ticket: { identityKey, messageBoxes, lastEventId, issuedAt },
    digest: hash('sha256', content, 'buffer').subarray(0, 16)
  }
}
