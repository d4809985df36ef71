import { createECDH, createPrivateKey, type KeyObject } from 'node:crypto'
import type { KeyDeriver } from '../../src/keys/key-deriver.js'

/** With what this node names itself at Web Push services (RFC 8292, section 2). */
export interface ApplicationKey {
  readonly privateKey: KeyObject
  /** Base64url of the uncompressed point: `applicationServerKey` of browsers. */
  readonly publicKey: string
}

/**
 * Browsers subscribe for one key, and a subscription is worthless with another: it comes from the identity key, so that
 * every process has the same, and no operator can lose it.
 */
export function createApplicationKey(keys: KeyDeriver): ApplicationKey {
  const pair = createECDH('prime256v1')
  for (let attempt = 0; ; attempt++) {
    const scalar = keys.hmac('web push application key', Buffer.of(attempt))
    try {
      pair.setPrivateKey(scalar)
    } catch {
      // One in four thousand million numbers lies beyond the order of the curve.
      continue
    }
    const point = pair.getPublicKey()
    const [x, y] = [point.subarray(1, 33), point.subarray(33)].map(part => part.toString('base64url'))
    const jwk = { kty: 'EC', crv: 'P-256', d: scalar.toString('base64url'), x: x!, y: y! }
    return {
      privateKey: createPrivateKey({ key: jwk, format: 'jwk' }),
      publicKey: point.toString('base64url')
    }
  }
}
