import type { Network } from '../../src/config.js'
import type { Curve } from '../../src/curve/curve.js'
import { type IdentityKey, parseIdentityKey } from '../../src/keys/identity-key.js'
import { ANYONE_PUBLIC_KEY, type KeyDeriver } from '../../src/keys/key-deriver.js'
import { verifyForAnyone } from './anyone-signature.js'
import { ALL_BOXES, compileBoxExpression, MAX_EXPRESSION_BYTES } from './box-expression.js'
import { type Domain, parseDomain } from './domain.js'
import { accepted, type Parsed, refused } from './parsed.js'

/** BRC-34 asks for `PHIP authorization`; BRC-43 lower-cases protocol names. */
const AUTHORIZATION_INVOICE = '1-phip authorization-1'

/** Key, domain with port and expression, with a space between. */
const MAX_TEXT = 66 + 1 + 253 + 6 + 1 + MAX_EXPRESSION_BYTES

/** What a recipient permits: that this host, at this domain, advertises to take messages for him. */
export interface RoutingAuthorization {
  readonly hostKey: IdentityKey
  readonly domain: Domain
  /** undefined: every box. */
  readonly boxExpression: string | undefined
}

/** The text that the recipient signs (BRC-34, "Recipient Signature"). */
export function formatRoutingText({ hostKey, domain, boxExpression }: RoutingAuthorization): string {
  return `${hostKey} ${domain} ${boxExpression ?? ALL_BOXES}`
}

/**
 * Parses such a text. There is one text for one authorization: an upper-case key or a second space is refused. The
 * expression may hold spaces, so only the first two divide the text.
 *
 * @param text anything; at most 583 bytes of UTF-8 are looked at
 */
export function parseRoutingText(curve: Curve, text: string, network: Network): Parsed<RoutingAuthorization> {
  if (text.length > MAX_TEXT) return refused(`the text has at most ${MAX_TEXT} characters`)
  const first = text.indexOf(' ')
  const second = text.indexOf(' ', first + 1)
  if (first === -1 || second === -1)
    return refused('the text is "<host key> <host domain> <box expression or ALL>"')
  const hostKey = parseIdentityKey(curve, text.slice(0, first))
  if (hostKey === undefined || !text.startsWith(hostKey)) {
    return refused('the host key is a compressed public key, 66 lower-case hex characters')
  }
  const domain = parseDomain(text.slice(first + 1, second), network)
  if (!domain.ok) return domain
  const boxes = text.slice(second + 1)
  if (boxes === ALL_BOXES) return accepted({ hostKey, domain: domain.value, boxExpression: undefined })
  const boxExpression = compileBoxExpression(boxes)
  if (!boxExpression.ok) return boxExpression
  return accepted({ hostKey, domain: domain.value, boxExpression: boxExpression.value.text })
}

/**
 * True if the recipient authorized the host with this signature (BRC-34; BRC-3 with counterparty *anyone*).
 *
 * @param text as signed
 * @param der any bytes; only strict DER with a low s can be valid
 */
export function verifyRoutingSignature(
  curve: Curve,
  recipient: IdentityKey,
  text: string,
  der: Uint8Array
): boolean {
  return verifyForAnyone(curve, recipient, AUTHORIZATION_INVOICE, Buffer.from(text, 'utf8'), der)
}

/**
 * The recipient's signature over such a text.
 *
 * @param keys the recipient's
 * @returns DER, 8 to 72 bytes
 */
export function signRoutingText(keys: KeyDeriver, text: string): Buffer {
  return keys.sign(Buffer.from(text, 'utf8'), AUTHORIZATION_INVOICE, ANYONE_PUBLIC_KEY)
}
