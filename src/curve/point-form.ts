/** True for 33 bytes, and for 65 with prefix 04. */
export function hasStandardForm(publicKey: Uint8Array): boolean {
  return publicKey.length === 33 || hasUncompressedForm(publicKey)
}

/**
 * True for 65 bytes with prefix 04. libsecp256k1 also takes the hybrid prefixes 06 and 07 of X9.62, which nobody
 * on the wire uses and which would only be more spellings of one key.
 */
export function hasUncompressedForm(publicKey: Uint8Array): boolean {
  return publicKey.length === 65 && publicKey[0] === 4
}
