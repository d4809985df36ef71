import { LRUCache } from 'lru-cache'
import type { Curve } from '../../src/curve/curve.js'
import type { IdentityKey } from '../../src/keys/identity-key.js'
import type { KeyDeriver } from '../../src/keys/key-deriver.js'
import { signPortably, verifyPortableSignature } from '../../src/keys/portable-signature.js'
import type { HostAttestation, SenderAuthorization } from './propagated-message.js'

/** A sender's authorization of a host lasts at most this long, ms (protocol section 4, 2). */
export const LONGEST_AUTHORIZATION = 90 * 24 * 60 * 60 * 1000
/** How much later than the request the authorization may have been given: clocks differ. */
const CLOCK_TOLERANCE = 10 * 60 * 1000

/** What a sender signs so that a host may vouch for his requests; times in ms. */
export function senderAuthorizationText(hostKey: IdentityKey, given: number, expires: number): string {
  return JSON.stringify(['peerserv sender', 1, hostKey, given, expires])
}

/** What a host signs to vouch for one envelope; the id in hex, the time in ms. */
export function attestationText(envelopeId: Uint8Array, sender: IdentityKey, receivedAt: number): string {
  return JSON.stringify([
    'peerserv attestation',
    1,
    Buffer.from(envelopeId).toString('hex'),
    sender,
    receivedAt
  ])
}

export type AuthorizationCheck = 'sender-authorization-period' | 'sender-authorization-signature'
export type AttestationCheck = AuthorizationCheck | 'attestation-time' | 'attestation-signature'

/** Why a sender's authorization is worth nothing; undefined if it holds. */
export function authorizationFault(
  curve: Curve,
  sender: IdentityKey,
  { hostKey, given, expires, signature }: SenderAuthorization
): AuthorizationCheck | undefined {
  if (expires < given || expires - given > LONGEST_AUTHORIZATION) return 'sender-authorization-period'
  const text = senderAuthorizationText(hostKey, given, expires)
  const verified = verifiedBy(curve)
  const key = `${sender} ${text} ${signature}`
  if (verified.has(key)) return undefined
  if (!verifyPortableSignature(curve, sender, text, signature)) return 'sender-authorization-signature'
  verified.set(key, true)
  return undefined
}

/** Authorizations that were verified, about 500 bytes each: the same one comes with every message of its sender. */
const verifiedBy = cachesOf<true>(10_000)
/** Words given for envelopes, about 400 bytes each: the same one goes to each host of each recipient. */
const givenBy = cachesOf<HostAttestation>(10_000)

/** A cache for each owner, which goes with it. */
function cachesOf<Value extends object | true>(
  max: number
): (owner: Curve | KeyDeriver) => LRUCache<string, Value> {
  const caches = new WeakMap<object, LRUCache<string, Value>>()
  return owner => {
    let cache = caches.get(owner)
    if (cache === undefined) {
      cache = new LRUCache({ max })
      caches.set(owner, cache)
    }
    return cache
  }
}

/**
 * Why a home host's word for an envelope does not prove its origin; undefined if it does. Times are compared with each
 * other, not with this host's clock.
 */
export function attestationFault(
  curve: Curve,
  sender: IdentityKey,
  envelopeId: Uint8Array,
  authorization: SenderAuthorization,
  { receivedAt, signature }: HostAttestation
): AttestationCheck | undefined {
  const fault = authorizationFault(curve, sender, authorization)
  if (fault !== undefined) return fault
  if (receivedAt < authorization.given - CLOCK_TOLERANCE || receivedAt > authorization.expires) {
    return 'attestation-time'
  }
  const text = attestationText(envelopeId, sender, receivedAt)
  return verifyPortableSignature(curve, authorization.hostKey, text, signature)
    ? undefined
    : 'attestation-signature'
}

/** This host's word for an envelope that it authenticated. */
export function attest(
  keys: KeyDeriver,
  envelopeId: Uint8Array,
  sender: IdentityKey,
  receivedAt: number
): HostAttestation {
  const text = attestationText(envelopeId, sender, receivedAt)
  const given = givenBy(keys)
  let attestation = given.get(text)
  if (attestation === undefined) {
    attestation = { receivedAt, signature: signPortably(keys, text) }
    given.set(text, attestation)
  }
  return attestation
}
