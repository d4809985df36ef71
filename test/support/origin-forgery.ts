import { BigNumber, Curve } from '@bsv/sdk'
import { compactToDer, derToCompact } from '../../src/curve/der.js'
import { curve, sha256 } from './phip-token-builder.js'

/*
 * ECDSA under an additive tweak that the signer does not fix: whoever may choose the offset can make signature and offset
 * fit any message. This is why the key linkage of BRC-34 proves nothing (protocol section 4).
 */

const N = new Curve().n

/** A signature and an offset with which it verifies under the public key plus that offset. */
export interface ForgedLinkage {
  readonly senderSignature: Buffer
  readonly keyLinkage: Buffer
}

/** Made from the public key alone: R = a·G + b·P, r = x(R), s = r/b, o = a/b − h/r. */
export function forgeFromPublicKey(publicKey: Uint8Array, signedBytes: Uint8Array): ForgedLinkage {
  const a = new BigNumber(0xa11ce)
  const b = new BigNumber(0xb0b)
  const commitment = curve.addToPublicKey(curve.sharedPoint(bytesOf(b), publicKey), bytesOf(a))
  const r = numberOf(commitment.subarray(1)).umod(N)
  const s = r.mul(b.invm(N)).umod(N)
  const offset = a
    .mul(b.invm(N))
    .sub(digestOf(signedBytes).mul(r.invm(N)))
    .umod(N)
  const low = s.cmp(N.divn(2)) > 0 ? N.sub(s) : s
  return {
    senderSignature: compactToDer(Buffer.concat([bytesOf(r), bytesOf(low)])),
    keyLinkage: bytesOf(offset)
  }
}

/** Made from a genuine message: the same signature over other bytes, o' = o + (h − h')/r. */
export function forgeFromMessage(
  genuine: ForgedLinkage,
  signedBytes: Uint8Array,
  otherBytes: Uint8Array
): ForgedLinkage {
  const r = numberOf(derToCompact(genuine.senderSignature)!.subarray(0, 32))
  const shift = digestOf(signedBytes).sub(digestOf(otherBytes)).mul(r.invm(N))
  return {
    senderSignature: genuine.senderSignature,
    keyLinkage: bytesOf(numberOf(genuine.keyLinkage).add(shift).umod(N))
  }
}

/** A number modulo the order of the group, moved by some steps or negated. */
export function moved(offset: Uint8Array, steps: number): Buffer {
  return bytesOf(numberOf(offset).addn(steps).umod(N))
}

export function negatedOffset(offset: Uint8Array): Buffer {
  return bytesOf(N.sub(numberOf(offset)))
}

export const ORDER = bytesOf(N)

function digestOf(bytes: Uint8Array): BigNumber {
  return numberOf(sha256(bytes)).umod(N)
}

function numberOf(bytes: Uint8Array): BigNumber {
  return new BigNumber(Buffer.from(bytes).toString('hex'), 16)
}

function bytesOf(number: BigNumber): Buffer {
  return Buffer.from(number.toHex(32), 'hex')
}
