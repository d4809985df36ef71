/**
 * secp256k1 operations of the node, behind one narrow interface of bytes.
 *
 * Keys: private 32 bytes big endian, 1…n−1; public 33 bytes compressed (prefix 02 or 03), except where `compress`
 * takes more. Digests and tweaks 32 bytes. Signatures: compact 64 bytes (r ‖ s, big endian); DER lives in der.ts.
 * Results are fresh arrays which the caller may keep and change; arguments are never changed.
 *
 * Every method throws `RangeError` for an argument of the wrong length, for a key, point or scalar out of range and
 * for a result that would be zero or infinity, except `verify`, `verifyDerived`, `isPublicKey` and `isPrivateKey`, which answer false.
 * All implementations behave alike, to the byte.
 */
export interface Curve {
  /** `native` (libsecp256k1), or `webassembly` where the native binding does not load. */
  readonly name: 'native' | 'webassembly'
  isPrivateKey(privateKey: Uint8Array): boolean
  /** True for 33 compressed bytes of a point on the curve. */
  isPublicKey(publicKey: Uint8Array): boolean
  publicKey(privateKey: Uint8Array): Uint8Array
  /** Compressed form of a 33 or 65 byte (prefix 04) public key; the hybrid prefixes 06 and 07 are refused. */
  compress(publicKey: Uint8Array): Uint8Array
  /** The 65-byte form (prefix 04) of a 33-byte public key. */
  uncompress(publicKey: Uint8Array): Uint8Array
  /** ECDH: the compressed point privateKey · publicKey, 33 bytes. */
  sharedPoint(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array
  /** publicKey + tweak · G; the tweak may be 0…n−1. */
  addToPublicKey(publicKey: Uint8Array, tweak: Uint8Array): Uint8Array
  /** privateKey + tweak mod n; the tweak may be 0…n−1. */
  addToPrivateKey(privateKey: Uint8Array, tweak: Uint8Array): Uint8Array
  /** Deterministic (RFC 6979) ECDSA with low s over a 32-byte digest. */
  sign(digest: Uint8Array, privateKey: Uint8Array): Uint8Array
  /** True if the signature is valid; a high s is refused (two spellings of one signature would exist). */
  verify(digest: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean
  /**
   * As `verify` under publicKey + tweak · G, for little more than half of what computing that key and verifying under
   * it costs. With Q = P + t·G, the equation of ECDSA, R = (m·G + r·Q)/s, is R = ((m + r·t)·G + r·P)/s: (r, s) is a
   * signature over m under Q exactly if it is one over m + r·t mod n under P.
   *
   * False also for a tweak that is not 0…n−1. The tweak must be a hash of the public key or of a secret with it, as
   * BRC-42 has it: for one that somebody could choose so that the sum is infinity, this does not notice.
   *
   * @param publicKey 33 bytes, or the 65 of `uncompress`, which spares a square root
   */
  verifyDerived(digest: Uint8Array, signature: Uint8Array, publicKey: Uint8Array, tweak: Uint8Array): boolean
}
