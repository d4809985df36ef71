import { randomBytes } from 'node:crypto'
import { attest, senderAuthorizationText } from '../../federation/origin/sender-authorization.js'
import { requestPreimage, signedRequestHeaders } from '../../src/auth/preimage.js'
import { identityKeyBytes } from '../../src/keys/identity-key.js'
import { signPortably } from '../../src/keys/portable-signature.js'
import { envelopeId } from '../../src/names.js'
import type { TestUser } from './client.js'

const DAY = 24 * 60 * 60_000

/**
 * The body of POST /propagateMessage with which a host hands on a /sendMessage request that the sender made to it, proven
 * by the sender's authorization of that host (`home-host`).
 *
 * @param message the member `message` of the request
 * @param signed further headers of the request that are signed
 */
export function propagated(
  host: TestUser,
  sender: TestUser,
  message: object,
  signed: Readonly<Record<string, string>> = {}
): Record<string, unknown> {
  const requestId = randomBytes(32)
  const nonce = randomBytes(32).toString('base64')
  const nodeNonce = randomBytes(48).toString('base64')
  const headers = { 'content-type': 'application/json', ...signed }
  const body = Buffer.from(JSON.stringify({ message }))
  const request = sender.sign(
    { nodeKey: host.identityKey, clientNonce: '', nodeNonce },
    { method: 'POST', target: '/sendMessage', headers, body },
    { requestId, nonce }
  )
  const signedMessage = requestPreimage({
    requestId,
    method: 'POST',
    path: '/sendMessage',
    query: '',
    headers: signedRequestHeaders(Object.entries(headers).flat()) ?? [],
    body: [body]
  })
  const keyID = `${nonce} ${nodeNonce}`
  const invoiceNumber = `2-auth message signature-${keyID}`
  const given = Date.now()
  const expires = given + DAY
  const id = envelopeId(sender.identityKey, 'brc104', keyID, signedMessage)
  return {
    originalSender: sender.identityKey,
    keyLinkage: host.keys.linkage(identityKeyBytes(sender.identityKey), invoiceNumber).toString('hex'),
    signedMessage: signedMessage.toString('base64'),
    senderSignature: request.headers.find(([name]) => name === 'x-bsv-auth-signature')![1],
    signedMessageFormat: 'brc104',
    keyID,
    senderAuthorization: {
      hostKey: host.identityKey,
      given,
      expires,
      signature: signPortably(sender.keys, senderAuthorizationText(host.identityKey, given, expires))
    },
    hostAttestation: attest(host.keys, id, sender.identityKey, given),
    firstSeen: given
  }
}
