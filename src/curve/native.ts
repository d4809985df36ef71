import { randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import type * as Secp256k1 from 'secp256k1'
import type { Curve } from './curve.js'
import { digestUnderRoot, modOrder } from './order.js'
import { hasStandardForm } from './point-form.js'

/**
 * libsecp256k1 as a native addon.
 *
 * Only the addon's own entry is loaded: the package's main file would silently answer with a slow implementation in
 * JavaScript that is not constant-time. The constructor throws where the addon does not load.
 */
export class NativeCurve implements Curve {
  readonly name = 'native'
  readonly #library: typeof Secp256k1
  readonly #ecdhOptions: Secp256k1.ecdhOptions

  constructor() {
    this.#library = createRequire(import.meta.url)('secp256k1/bindings.js')
    // Blinds multiplications of the base point by secrets against side channels; the addon does not do it by itself.
    this.#library.contextRandomize(randomBytes(32))

    const point = new Uint8Array(33)
    this.#ecdhOptions = {
      xbuf: new Uint8Array(32),
      ybuf: new Uint8Array(32),
      hashfn: (x, y) => {
        point[0] = 2 + (y[31]! & 1)
        point.set(x, 1)
        return point
      }
    }
  }

  isPrivateKey(privateKey: Uint8Array): boolean {
    return privateKey.length === 32 && this.#library.privateKeyVerify(privateKey)
  }

  isPublicKey(publicKey: Uint8Array): boolean {
    return publicKey.length === 33 && this.#library.publicKeyVerify(publicKey)
  }

  publicKey(privateKey: Uint8Array): Uint8Array {
    try {
      return this.#library.publicKeyCreate(privateKey, true)
    } catch (cause) {
      throw new RangeError('not a private key', { cause })
    }
  }

  compress(publicKey: Uint8Array): Uint8Array {
    if (!hasStandardForm(publicKey)) throw notAPublicKey()
    try {
      return this.#library.publicKeyConvert(publicKey, true)
    } catch (cause) {
      throw notAPublicKey(cause)
    }
  }

  uncompress(publicKey: Uint8Array): Uint8Array {
    if (publicKey.length !== 33) throw notAPublicKey()
    try {
      return this.#library.publicKeyConvert(publicKey, false)
    } catch (cause) {
      throw notAPublicKey(cause)
    }
  }

  /** Constant-time in the private key: the library's `ecdh`, with a "hash" that is the compressed point itself. */
  sharedPoint(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
    if (publicKey.length !== 33) throw notAPublicKey()
    try {
      return this.#library.ecdh(publicKey, privateKey, this.#ecdhOptions, new Uint8Array(33))
    } catch (cause) {
      throw new RangeError('not a private and a public key', { cause })
    }
  }

  addToPublicKey(publicKey: Uint8Array, tweak: Uint8Array): Uint8Array {
    if (publicKey.length !== 33) throw notAPublicKey()
    try {
      return this.#library.publicKeyTweakAdd(publicKey, tweak, true)
    } catch (cause) {
      throw new RangeError('not a public key and a tweak with a sum', { cause })
    }
  }

  addToPrivateKey(privateKey: Uint8Array, tweak: Uint8Array): Uint8Array {
    if (!this.isPrivateKey(privateKey)) throw new RangeError('not a private key')
    try {
      // The library adds in place. Not .slice(): that of a Buffer is a view of the caller's bytes.
      return this.#library.privateKeyTweakAdd(new Uint8Array(privateKey), tweak)
    } catch (cause) {
      throw new RangeError('not a tweak that this private key can take', { cause })
    }
  }

  sign(digest: Uint8Array, privateKey: Uint8Array): Uint8Array {
    if (digest.length !== 32) throw new RangeError('not a digest')
    try {
      // RFC 6979 (section 2.3.4) makes the nonce from the digest mod n. This version of the library leaves that out.
      return this.#library.ecdsaSign(modOrder(digest), privateKey).signature
    } catch (cause) {
      throw new RangeError('not a private key', { cause })
    }
  }

  verify(digest: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean {
    return publicKey.length === 33 && this.#verify(digest, signature, publicKey)
  }

  verifyDerived(
    digest: Uint8Array,
    signature: Uint8Array,
    publicKey: Uint8Array,
    tweak: Uint8Array
  ): boolean {
    if (digest.length !== 32 || signature.length !== 64 || tweak.length !== 32) return false
    if (!hasStandardForm(publicKey)) return false
    const underRoot = digestUnderRoot(digest, signature, tweak)
    return underRoot !== undefined && this.#verify(underRoot, signature, publicKey)
  }

  #verify(digest: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean {
    if (digest.length !== 32 || signature.length !== 64) return false
    try {
      return this.#library.ecdsaVerify(signature, digest, publicKey)
    } catch {
      // Thrown for r or s out of range, and for a key that is not on the curve.
      return false
    }
  }
}

function notAPublicKey(cause?: unknown): RangeError {
  return new RangeError('not a public key', { cause })
}
