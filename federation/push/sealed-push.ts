import { createCipheriv, createECDH, type ECDH, hkdfSync, randomBytes } from 'node:crypto'

/** Of one record, which a push is (RFC 8188, section 2): more than any. */
const RECORD_BYTES = 4096
/** After the last byte of the last record. */
const END = Buffer.of(2)

/** What would be random, for the published vector. */
export interface SealingRandomness {
  readonly salt: Buffer
  readonly keyPair: ECDH
}

/**
 * Encrypts a push for one subscription (RFC 8291, section 3.4) as one record of `aes128gcm` (RFC 8188).
 *
 * @param keys of the subscription: 65 bytes, an uncompressed point on P-256, and 16 bytes
 * @param plaintext at most 3,993 bytes
 * @returns the body of the request
 * @throws Error if the point is not on the curve
 */
export function sealPush(
  keys: { readonly point: Buffer; readonly secret: Buffer },
  plaintext: Buffer,
  { salt, keyPair }: SealingRandomness = newRandomness()
): Buffer {
  const publicKey = keyPair.getPublicKey()
  const agreed = keyPair.computeSecret(keys.point)
  const keyInfo = Buffer.concat([Buffer.from('WebPush: info\0'), keys.point, publicKey])
  const material = derive(agreed, keys.secret, keyInfo, 32)
  const contentKey = derive(material, salt, Buffer.from('Content-Encoding: aes128gcm\0'), 16)
  const nonce = derive(material, salt, Buffer.from('Content-Encoding: nonce\0'), 12)
  const cipher = createCipheriv('aes-128-gcm', contentKey, nonce)
  const size = Buffer.alloc(5)
  size.writeUInt32BE(RECORD_BYTES)
  size.writeUInt8(publicKey.length, 4)
  return Buffer.concat([
    salt,
    size,
    publicKey,
    cipher.update(plaintext),
    cipher.update(END),
    cipher.final(),
    cipher.getAuthTag()
  ])
}

function newRandomness(): SealingRandomness {
  const keyPair = createECDH('prime256v1')
  keyPair.generateKeys()
  return { salt: randomBytes(16), keyPair }
}

function derive(material: Buffer, salt: Buffer, info: Buffer, bytes: number): Buffer {
  return Buffer.from(hkdfSync('sha256', material, salt, info, bytes))
}
