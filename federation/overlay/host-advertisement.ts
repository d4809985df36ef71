import type { Network } from '../../src/config.js'
import type { Curve } from '../../src/curve/curve.js'
import { type IdentityKey, identityKeyFromBytes } from '../../src/keys/identity-key.js'
import { anyonePublicKey } from '../../src/keys/key-deriver.js'
import { verifyForAnyone } from '../phip/anyone-signature.js'
import { type Domain, parseDomain } from '../phip/domain.js'
import { accepted, type Parsed, refused } from '../phip/parsed.js'
import { decodePushDrop } from '../phip/push-drop.js'
import { strictUtf8 } from '../phip/utf8.js'

/** Lock and signature of an advertisement: `[1, 'messagebox advertisement']`, key id `1`, for *anyone*. */
export const ADVERTISEMENT_INVOICE = '1-messagebox advertisement-1'
/** Identity key, host, and the signature over both. */
const FIELDS = 3
const KEY_BYTES = 33
const LONGEST_HOST = 256
/** What a URL parser would strip or rewrite silently. */
const PRINTABLE = /^[\x21-\x7e]+$/

/** Somebody's word that he reads his message boxes at this host (`anointHost` of stock message box clients). */
export interface HostAdvertisement {
  readonly identityKey: IdentityKey
  /** As it was signed: what stock clients put `/sendMessage` behind. */
  readonly host: string
  /** Where that is. */
  readonly domain: Domain
}

/**
 * Verifies a locking script as a host advertisement. The topic manager that is deployed looks at the signature alone; here
 * the lock is the advertiser's too, so that he, and nobody else, can take it back.
 *
 * The signature covers the joined fields without their lengths; the key has a fixed one, so no byte can move.
 *
 * @param script any bytes
 * @returns undefined for anything else; shares no memory with the script
 */
export function verifyAdvertisementScript(
  curve: Curve,
  script: Uint8Array,
  network: Network
): HostAdvertisement | undefined {
  const pushDrop = decodePushDrop(script)
  if (pushDrop?.fields.length !== FIELDS) return undefined
  const [identityBytes, hostBytes, signature] = pushDrop.fields as [Uint8Array, Uint8Array, Uint8Array]
  if (identityBytes.length !== KEY_BYTES || !curve.isPublicKey(identityBytes)) return undefined
  const host = strictUtf8(hostBytes)
  const domain = host === undefined ? undefined : parseHost(host, network)
  if (host === undefined || !domain?.ok) return undefined
  const lockingKey = anyonePublicKey(curve, identityBytes, ADVERTISEMENT_INVOICE)
  if (!Buffer.from(pushDrop.lockingKey).equals(lockingKey)) return undefined
  const identityKey = identityKeyFromBytes(identityBytes)
  const signed = Buffer.concat([identityBytes, hostBytes])
  if (!verifyForAnyone(curve, identityKey, ADVERTISEMENT_INVOICE, signed, signature)) return undefined
  return { identityKey, host, domain: domain.value }
}

/** Whether a script has the form of an advertisement; costs no curve operation. */
export function looksLikeAdvertisement(script: Uint8Array): boolean {
  const fields = decodePushDrop(script)?.fields
  return fields?.length === FIELDS && fields[0]!.length === KEY_BYTES
}

/**
 * Parses the host of an advertisement: an `https:` URL of at most 256 printable ASCII characters, with a domain name (see
 * parseDomain) and perhaps a port and a path, without user, query or fragment; on network `local` also `http:`.
 *
 * @returns its domain, with the port unless it is the usual one
 */
export function parseHost(host: string, network: Network): Parsed<Domain> {
  if (host.length > LONGEST_HOST || !PRINTABLE.test(host)) {
    return refused(`a host has at most ${LONGEST_HOST} printable characters`)
  }
  if (!URL.canParse(host)) return refused('a host is a URL')
  const url = new URL(host)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && network === 'local')) {
    return refused('a host is reached by https')
  }
  if (url.username !== '' || url.password !== '' || /[?#@\\]/.test(host)) {
    return refused('a host has no user, query or fragment')
  }
  const name = parseDomain(url.hostname, network)
  return name.ok ? accepted(url.host) : name
}
