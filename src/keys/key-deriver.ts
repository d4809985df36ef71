import { createHmac, createSecretKey, hash, hkdfSync, type KeyObject } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Curve } from '../curve/curve.js'
import { compactToDer, derToCompact } from '../curve/der.js'
import { type IdentityKey, identityKeyFromBytes } from './identity-key.js'

/** 1 · G, the counterparty `anyone` of BRC-43: its private key is 1, so everybody can derive with it. */
export const ANYONE_PUBLIC_KEY: Uint8Array = Buffer.from(
  '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798',
  'hex'
)

/** Counterparties that have proven nothing yet, of whom a few are enough: their first request follows at once. */
const STRANGERS = 1_000

/** Secrets for own MACs kept at most; more purposes than this would only be derived again. */
const MAC_SECRETS = 64

/**
 * The keys that BRC-42 derives from one root key, and what is done with them.
 *
 * An invoice number is the BRC-43 text `<level>-<protocol>-<key id>`, taken as it is. A counterparty is its identity
 * key, 33 bytes; the derived keys of the two parties fit each other. Methods that take a counterparty throw
 * `RangeError` if it is not a public key, except `verify` and `verifyDigest`, which answer false. The root key
 * cannot be read, printed or serialised through this object.
 */
export class KeyDeriver {
  readonly identityKey: IdentityKey
  /** The identity key as 33 bytes. */
  readonly publicKey: Uint8Array
  readonly #curve: Curve
  readonly #rootKey: Uint8Array
  /** ECDH is the dearest step of a derivation and the same for every message of one counterparty. */
  readonly #counterparties: LRUCache<string, Counterparty>
  /** Apart, since keys are free: whoever makes up thousands of them must not drive out those who have proven theirs. */
  readonly #strangers: LRUCache<string, Counterparty>
  readonly #macSecrets = new LRUCache<string, KeyObject>({ max: MAC_SECRETS })

  /**
   * @param rootPrivateKey 32 bytes; copied
   * @param cacheSize counterparties whose shared point is kept once they have signed something (some 500 bytes each)
   * @throws RangeError if the root key is not a private key
   */
  constructor(curve: Curve, rootPrivateKey: Uint8Array, cacheSize = 10_000) {
    this.#curve = curve
    this.#rootKey = new Uint8Array(rootPrivateKey)
    this.#counterparties = new LRUCache({ max: cacheSize })
    this.#strangers = new LRUCache({ max: Math.min(cacheSize, STRANGERS) })
    this.publicKey = curve.publicKey(this.#rootKey)
    this.identityKey = identityKeyFromBytes(this.publicKey)
  }

  /**
   * The offset between root keys and child keys, 32 bytes: HMAC-SHA256 keyed with the compressed shared point over
   * the UTF-8 of the invoice number (BRC-42; BRC-69 method 2). A number, not a proof of anything.
   */
  linkage(counterparty: Uint8Array, invoiceNumber: string): Buffer {
    return offsetOf(this.#counterparty(counterparty).sharedPoint, invoiceNumber)
  }

  /** The counterparty's child public key for this party, 33 bytes. */
  counterpartyPublicKey(counterparty: Uint8Array, invoiceNumber: string): Uint8Array {
    return this.#curve.addToPublicKey(counterparty, this.linkage(counterparty, invoiceNumber))
  }

  /** The public key of the child key that this party signs with towards the counterparty, 33 bytes. */
  ownPublicKey(counterparty: Uint8Array, invoiceNumber: string): Uint8Array {
    return this.#curve.addToPublicKey(this.publicKey, this.linkage(counterparty, invoiceNumber))
  }

  /** Signs SHA-256 of the data with the own child key; deterministic, low s, DER of 8 to 72 bytes. */
  sign(data: Uint8Array, invoiceNumber: string, counterparty: Uint8Array): Buffer {
    return this.signDigest(hash('sha256', data, 'buffer'), invoiceNumber, counterparty)
  }

  /** As `sign`, for a digest of 32 bytes; RangeError for another length. */
  signDigest(digest: Uint8Array, invoiceNumber: string, counterparty: Uint8Array): Buffer {
    const childKey = this.#curve.addToPrivateKey(this.#rootKey, this.linkage(counterparty, invoiceNumber))
    const signature = this.#curve.sign(digest, childKey)
    childKey.fill(0)
    return compactToDer(signature)
  }

  /**
   * True if the counterparty signed SHA-256 of the data with its child key for this party; false for anything
   * else, be it a signature that is malformed, not strict DER or of high s, or a counterparty that is no key.
   */
  verify(data: Uint8Array, der: Uint8Array, invoiceNumber: string, counterparty: Uint8Array): boolean {
    return this.verifyDigest(hash('sha256', data, 'buffer'), der, invoiceNumber, counterparty)
  }

  /** As `verify`, for a digest of 32 bytes; false for another length. */
  verifyDigest(
    digest: Uint8Array,
    der: Uint8Array,
    invoiceNumber: string,
    counterparty: Uint8Array
  ): boolean {
    const signature = derToCompact(der)
    if (signature === undefined) return false
    let known: Counterparty
    try {
      known = this.#counterparty(counterparty)
    } catch (error) {
      if (error instanceof RangeError) return false
      throw error
    }
    const linkage = offsetOf(known.sharedPoint, invoiceNumber)
    const isGood = this.#curve.verifyDerived(digest, signature, known.publicKey, linkage)
    if (isGood) this.#makeKnown(counterparty)
    return isGood
  }

  /**
   * A MAC for this node's own use, such as in session nonces: HMAC-SHA256 under a secret which HKDF derives from the
   * root key once per purpose, so that MACs of different purposes have nothing to do with each other.
   *
   * @param purpose a constant of the code, never data from outside
   * @returns 32 bytes
   */
  hmac(purpose: string, data: Uint8Array): Buffer {
    let secret = this.#macSecrets.get(purpose)
    if (secret === undefined) {
      const derived = hkdfSync('sha256', this.#rootKey, '', `peerserv mac ${purpose}`, 32)
      secret = createSecretKey(new Uint8Array(derived))
      this.#macSecrets.set(purpose, secret)
    }
    return createHmac('sha256', secret).update(data).digest()
  }

  /** What JSON.stringify shows. */
  toJSON(): { identityKey: IdentityKey } {
    return { identityKey: this.identityKey }
  }

  #counterparty(publicKey: Uint8Array): Counterparty {
    const name = nameOf(publicKey)
    let counterparty = this.#counterparties.get(name) ?? this.#strangers.get(name)
    if (counterparty === undefined) {
      const sharedPoint = this.#curve.sharedPoint(this.#rootKey, publicKey)
      counterparty = { sharedPoint, publicKey: this.#curve.uncompress(publicKey) }
      this.#strangers.set(name, counterparty)
    }
    return counterparty
  }

  #makeKnown(publicKey: Uint8Array): void {
    if (this.#strangers.size === 0) return
    const name = nameOf(publicKey)
    const counterparty = this.#strangers.peek(name)
    if (counterparty === undefined) return
    this.#strangers.delete(name)
    this.#counterparties.set(name, counterparty)
  }
}

/** What is computed once for everybody who is talked to. */
interface Counterparty {
  readonly sharedPoint: Uint8Array
  /** 65 bytes. */
  readonly publicKey: Uint8Array
}

/**
 * The child public key of `of` towards *anyone*, 33 bytes, as everybody can compute it: with private key 1 the shared
 * point is the public key itself (BRC-42, BRC-43).
 *
 * @param of 33 bytes
 * @throws RangeError if that is not a public key
 */
export function anyonePublicKey(curve: Curve, of: Uint8Array, invoiceNumber: string): Uint8Array {
  return curve.addToPublicKey(of, anyoneLinkage(of, invoiceNumber))
}

/** The offset between `of` and that key, 32 bytes. */
export function anyoneLinkage(of: Uint8Array, invoiceNumber: string): Buffer {
  return offsetOf(of, invoiceNumber)
}

function nameOf(counterparty: Uint8Array): string {
  return Buffer.from(counterparty.buffer, counterparty.byteOffset, counterparty.byteLength).toString('latin1')
}

function offsetOf(sharedPoint: Uint8Array, invoiceNumber: string): Buffer {
  return createHmac('sha256', sharedPoint).update(invoiceNumber, 'utf8').digest()
}
