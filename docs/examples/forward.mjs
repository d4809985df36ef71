// A host that is not peerserv hands a message on (BRC-34 with the proofs of docs/protocol.md, section 4).
//
//   node docs/examples/forward.mjs http://localhost:8081
import { createHash, randomBytes } from 'node:crypto'
import { AuthFetch, CompletedProtoWallet, KeyDeriver, PrivateKey, Utils } from '@bsv/sdk'

const [there = 'http://localhost:8081'] = process.argv.slice(2)
const [alice, bob, host] = [PrivateKey.fromRandom(), PrivateKey.fromRandom(), PrivateKey.fromRandom()]
const walletOf = key => new CompletedProtoWallet(key)
const keyOf = key => key.toPublicKey().toString()

async function post(key, path, body) {
  const response = await new AuthFetch(walletOf(key)).fetch(there + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body)
  })
  return { httpStatus: response.status, ...(await response.json()) }
}

async function signPortably(key, text) {
  const keyId = randomBytes(32)
  const { signature } = await walletOf(key).createSignature({
    data: Utils.toArray(text, 'utf8'),
    protocolID: [2, 'peerserv proof'],
    keyID: keyId.toString('base64'),
    counterparty: 'anyone'
  })
  const signer = Buffer.from(keyOf(key), 'hex')
  const parts = [Buffer.from('42423301', 'hex'), signer, Buffer.of(0), keyId, Buffer.from(signature)]
  return Buffer.concat(parts).toString('base64')
}

// Bob is at home there.
const { identityKey, domain } = await (await fetch(`${there}/.well-known/peerserv`)).json()
const message = `${identityKey} ${domain} ALL`
const { signature } = await walletOf(bob).createSignature({
  data: Utils.toArray(message, 'utf8'),
  protocolID: [1, 'phip authorization'],
  keyID: '1',
  counterparty: 'anyone'
})
await post(bob, '/authorizeRouting', { message, signature: Utils.toHex(signature) })

// #region signed-request
/** POST /sendMessage as Alice signed it for this host: the preimage of BRC-104, and the key id of her signature. */
async function signedRequest(body) {
  const varInt = length => [...new Utils.Writer().writeVarIntNum(length).toArray()]
  const text = value => [...varInt(Buffer.byteLength(value)), ...Buffer.from(value)]
  const absent = new Array(9).fill(0xff)
  const signedMessage = [
    ...randomBytes(32), // request id
    ...text('POST'),
    ...text('/sendMessage'),
    ...absent, // no query
    ...varInt(1), // one signed header
    ...text('content-type'),
    ...text('application/json'),
    ...text(JSON.stringify(body))
  ]
  const [requestNonce, sessionNonce] = [
    randomBytes(32).toString('base64'),
    randomBytes(48).toString('base64')
  ]
  const keyID = `${requestNonce} ${sessionNonce}`
  const { signature } = await walletOf(alice).createSignature({
    data: signedMessage,
    protocolID: [2, 'auth message signature'],
    keyID,
    counterparty: keyOf(host)
  })
  return { signedMessage, keyID, senderSignature: Utils.toHex(signature) }
}
const { signedMessage, keyID, senderSignature } = await signedRequest({
  message: { recipient: keyOf(bob), messageBox: 'inbox', body: 'by way of another host' }
})
// #endregion

// #region home-host-proof
/** Alice's word that this host may vouch for her, and the host's word that it authenticated this request. */
const [given, expires] = [Date.now(), Date.now() + 24 * 60 * 60 * 1000]
const authorizationText = JSON.stringify(['peerserv sender', 1, keyOf(host), given, expires])
const senderAuthorization = {
  hostKey: keyOf(host),
  given,
  expires,
  signature: await signPortably(alice, authorizationText)
}
const envelopeId = createHash('sha256')
  .update(JSON.stringify([keyOf(alice), 'brc104', keyID]))
  .update(Buffer.from(signedMessage))
  .digest('hex')
const receivedAt = Date.now()
const attestationText = JSON.stringify(['peerserv attestation', 1, envelopeId, keyOf(alice), receivedAt])
const hostAttestation = { receivedAt, signature: await signPortably(host, attestationText) }
// #endregion

// #region propagate
const keyLinkage = new KeyDeriver(host).revealSpecificSecret(
  keyOf(alice),
  [2, 'auth message signature'],
  keyID
)
const propagation = {
  originalSender: keyOf(alice),
  keyLinkage: Utils.toHex(keyLinkage),
  signedMessage: Utils.toBase64(signedMessage),
  senderSignature,
  signedMessageFormat: 'brc104',
  keyID,
  recipients: [keyOf(bob)],
  senderAuthorization,
  hostAttestation
}
const answer = await post(host, '/propagateMessage', propagation)
// #endregion
console.log('with a proof of origin →', JSON.stringify(answer))

const { senderAuthorization: _, hostAttestation: __, ...bare } = propagation
console.log('without →', JSON.stringify(await post(host, '/propagateMessage', bare)))
const { messages } = await post(bob, '/listMessages', { messageBox: 'inbox' })
console.log('bob reads →', JSON.stringify(messages))
