import { type KeyObject, sign } from 'node:crypto'

/**
 * A signed JSON Web Token (RFC 7519) in its compact form (RFC 7515, section 3.1).
 *
 * @param algorithm ES256 with a key on P-256, RS256 with an RSA key (RFC 7518, sections 3.3 and 3.4)
 */
export function signWebToken(
  algorithm: 'ES256' | 'RS256',
  key: KeyObject,
  claims: Readonly<Record<string, string | number>>
): string {
  const text = `${encoded({ typ: 'JWT', alg: algorithm })}.${encoded(claims)}`
  const signature = sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' })
  return `${text}.${signature.toString('base64url')}`
}

function encoded(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url')
}
