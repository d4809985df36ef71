import { randomBytes } from 'node:crypto'
import { AUTH_VERSION, authInvoiceNumber } from '../src/auth/brc104.js'
import { requestPreimage } from '../src/auth/preimage.js'
import { identityKeyBytes } from '../src/keys/identity-key.js'
import type { Session } from './client.js'

/**
 * A POST as it goes over the wire, the last of its connection; signed where there is a session.
 *
 * @param type `content-type`, without parameters
 */
export function requestBytes(
  path: string,
  body: Buffer,
  session?: Session,
  headers: Readonly<Record<string, string>> = {},
  type = 'application/json'
): Buffer {
  const all = {
    host: 'x',
    connection: 'close',
    'content-length': String(body.length),
    'content-type': type,
    ...headers,
    ...(session && authHeaders(session, path, body, type))
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.concat([Buffer.from(`POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n`), body])
}

function authHeaders(session: Session, path: string, body: Buffer, type: string): Record<string, string> {
  const { client, nodeKey, nodeNonce } = session
  const requestId = randomBytes(32)
  const nonce = randomBytes(32).toString('base64')
  const headers = [{ name: 'content-type', value: type }]
  const signature = client.keys.sign(
    requestPreimage({ requestId, method: 'POST', path, query: '', headers, body: [body] }),
    authInvoiceNumber(`${nonce} ${nodeNonce}`),
    identityKeyBytes(nodeKey)
  )
  return {
    'x-bsv-auth-version': AUTH_VERSION,
    'x-bsv-auth-identity-key': client.identityKey,
    'x-bsv-auth-nonce': nonce,
    'x-bsv-auth-your-nonce': nodeNonce,
    'x-bsv-auth-request-id': requestId.toString('base64'),
    'x-bsv-auth-signature': signature.toString('hex')
  }
}
