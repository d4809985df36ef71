import { createRequire } from 'node:module'
import type * as TinySecp256k1 from 'tiny-secp256k1'
import type { Curve } from './curve.js'
import { digestUnderRoot } from './order.js'
import { hasStandardForm, hasUncompressedForm } from './point-form.js'

/**
 * libsecp256k1 compiled to WebAssembly, for platforms without the native addon; four to five times slower.
 *
 * Every point is tested with `isPoint` before any other function sees it. The others *throw* out of WebAssembly
 * for a point that is not on the curve, which leaves the module's stack pointer where it was: some 3,000 bad keys
 * from the network use up its stack, and from then on every call fails.
 *
 * Unlike native, `sharedPoint` and `addToPublicKey` take variable time; for `sharedPoint` that depends on the
 * private key only, not on the other party's key.
 */
export class WebAssemblyCurve implements Curve {
  readonly name = 'webassembly'
  readonly #library: typeof TinySecp256k1

  constructor() {
    // Required here and not imported above, because loading it reads and compiles 1.2 MB.
    this.#library = createRequire(import.meta.url)('tiny-secp256k1')
  }

  isPrivateKey(privateKey: Uint8Array): boolean {
    return this.#library.isPrivate(privateKey)
  }

  isPublicKey(publicKey: Uint8Array): boolean {
    return publicKey.length === 33 && this.#library.isPoint(publicKey)
  }

  publicKey(privateKey: Uint8Array): Uint8Array {
    this.#requirePrivateKey(privateKey)
    return existing(this.#library.pointFromScalar(privateKey, true))
  }

  compress(publicKey: Uint8Array): Uint8Array {
    if (hasUncompressedForm(publicKey)) {
      if (!this.#library.isPoint(publicKey)) throw new RangeError('not a public key')
    } else {
      this.#requirePublicKey(publicKey)
    }
    return this.#library.pointCompress(publicKey, true)
  }

  uncompress(publicKey: Uint8Array): Uint8Array {
    this.#requirePublicKey(publicKey)
    return this.#library.pointCompress(publicKey, false)
  }

  sharedPoint(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
    this.#requirePrivateKey(privateKey)
    this.#requirePublicKey(publicKey)
    return existing(this.#library.pointMultiply(publicKey, privateKey, true))
  }

  addToPublicKey(publicKey: Uint8Array, tweak: Uint8Array): Uint8Array {
    this.#requirePublicKey(publicKey)
    try {
      return existing(this.#library.pointAddScalar(publicKey, tweak, true))
    } catch (error) {
      throw rangeErrorOf(error)
    }
  }

  addToPrivateKey(privateKey: Uint8Array, tweak: Uint8Array): Uint8Array {
    try {
      return existing(this.#library.privateAdd(privateKey, tweak))
    } catch (error) {
      throw rangeErrorOf(error)
    }
  }

  sign(digest: Uint8Array, privateKey: Uint8Array): Uint8Array {
    try {
      return this.#library.sign(digest, privateKey)
    } catch (error) {
      throw rangeErrorOf(error)
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
    if (digest.length !== 32 || signature.length !== 64 || !this.#library.isPoint(publicKey)) return false
    try {
      return this.#library.verify(digest, publicKey, signature, true)
    } catch (error) {
      if (error instanceof TypeError) return false // r or s out of range
      throw error
    }
  }

  #requirePrivateKey(privateKey: Uint8Array): void {
    if (!this.isPrivateKey(privateKey)) throw new RangeError('not a private key')
  }

  #requirePublicKey(publicKey: Uint8Array): void {
    if (!this.isPublicKey(publicKey)) throw new RangeError('not a public key')
  }
}

/** The library answers null where the result is zero or infinity. */
function existing(result: Uint8Array | null): Uint8Array {
  if (result === null) throw new RangeError('the result is zero or infinity')
  return result
}

/** The RangeError for a TypeError of the library's own checks, which run before WebAssembly is entered. */
function rangeErrorOf(error: unknown): unknown {
  return error instanceof TypeError ? new RangeError('argument out of range', { cause: error }) : error
}
