// Every call of docs/api.md, against two running nodes. docs/api.md quotes the regions of this file.
//
//   npx peerserv mesh                                                       in one terminal
//   node docs/examples/api.mjs http://localhost:8080 http://localhost:8081  in another
//
// The second node may be the first one again; then nothing crosses.
import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { AuthFetch, CompletedProtoWallet, PrivateKey, ProtoWallet, Utils } from '@bsv/sdk'

const [here = 'http://localhost:8080', there = 'http://localhost:8081'] = process.argv.slice(2)

// #region client
/** A user: a wallet, and the stock client that authenticates with it. Any BRC-100 wallet will do. */
async function createUser() {
  const wallet = new CompletedProtoWallet(PrivateKey.fromRandom())
  const { publicKey } = await wallet.getPublicKey({ identityKey: true })
  return { wallet, auth: new AuthFetch(wallet), identityKey: publicKey }
}

/** One authenticated call. Every answer is JSON, errors too. */
async function post(user, node, path, body) {
  const response = await user.auth.fetch(node + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body)
  })
  const answer = await response.json()
  if (!response.ok)
    throw Object.assign(new Error(answer.description), answer, { httpStatus: response.status })
  return answer
}
// #endregion

// #region portable-signature
/**
 * A signature that everybody can check who knows the signer's identity key (docs/protocol.md, section 4): one call of
 * createSignature. The key id is random bytes; the protocol is peerserv's own.
 */
async function signPortably(user, text) {
  const keyId = randomBytes(32)
  const { signature } = await user.wallet.createSignature({
    data: Utils.toArray(text, 'utf8'),
    protocolID: [2, 'peerserv proof'],
    keyID: keyId.toString('base64'),
    counterparty: 'anyone'
  })
  const version = Buffer.from('42423301', 'hex')
  const signer = Buffer.from(user.identityKey, 'hex')
  return Buffer.concat([version, signer, Buffer.of(0), keyId, Buffer.from(signature)]).toString('base64')
}
// #endregion

// #region verify-portable-signature
/** What a recipient does who trusts no host with who wrote to him. */
async function verifyPortably(signer, text, signature) {
  const bytes = Buffer.from(signature, 'base64')
  if (bytes.toString('hex', 0, 4) !== '42423301' || bytes.toString('hex', 4, 37) !== signer) return false
  try {
    await new ProtoWallet('anyone').verifySignature({
      data: Utils.toArray(text, 'utf8'),
      signature: [...bytes.subarray(70)],
      protocolID: [2, 'peerserv proof'],
      keyID: bytes.toString('base64', 38, 70),
      counterparty: signer
    })
    return true
  } catch {
    return false
  }
}
// #endregion

const alice = await createUser()
const bob = await createUser()
const step = (name, result) => console.log(name, '→', JSON.stringify(result)?.slice(0, 400))

// #region node-document
const document = await (await fetch(`${there}/.well-known/peerserv`)).json()
const { identityKey: hostKey, domain } = document
// #endregion
step('node document', document)

// #region authorize-routing
/** Bob makes `there` a home host of his: the node may advertise that it takes his messages. */
const authorization = `${hostKey} ${domain} ALL`
const { signature } = await bob.wallet.createSignature({
  data: Utils.toArray(authorization, 'utf8'),
  protocolID: [1, 'phip authorization'],
  keyID: '1',
  counterparty: 'anyone'
})
const authorized = await post(bob, there, '/authorizeRouting', {
  message: authorization,
  signature: Utils.toHex(signature)
})
// #endregion
step('authorizeRouting', authorized)

// #region authorize-sending
/** Alice lets `here` vouch towards other hosts for what she sends through it, for 90 days. */
const own = await (await fetch(`${here}/.well-known/peerserv`)).json()
const given = Date.now()
const expires = given + 90 * 24 * 60 * 60 * 1000
const vouched = await post(alice, here, '/authorizeSending', {
  given,
  expires,
  signature: await signPortably(
    alice,
    JSON.stringify(['peerserv sender', 1, own.identityKey, given, expires])
  )
})
// #endregion
step('authorizeSending', vouched)

// #region lookup
/** Which hosts take messages for Bob, as `here` knows it. An answer is a claim: verify the tokens in it. */
async function findTokens(recipient) {
  const response = await fetch(`${here}/lookup`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ service: 'ls_phip', query: { recipient } })
  })
  const { outputs } = await response.json()
  return outputs
}
let tokens = await findTokens(bob.identityKey)
while (tokens.length === 0) {
  await delay(100)
  tokens = await findTokens(bob.identityKey)
}
// #endregion
step('lookup', { tokens: tokens.length, outputIndex: tokens[0].outputIndex })

// #region send
const sent = await post(alice, here, '/sendMessage', {
  message: { recipient: bob.identityKey, messageBox: 'inbox', body: 'hello' }
})
const [{ messageId }] = sent.results
// #endregion
step('sendMessage', sent)

// #region send-signed
/** Signed by Alice herself: no host has to vouch, and Bob can check it. */
async function sendSigned(recipient, messageBox, body, messageId = null) {
  const createdAt = Date.now()
  const text = JSON.stringify(['peerserv message', 1, recipient, messageBox, messageId, body, createdAt])
  return post(alice, here, '/sendMessage', {
    message: {
      recipient,
      messageBox,
      body,
      createdAt,
      signature: await signPortably(alice, text),
      ...(messageId === null ? {} : { messageId })
    }
  })
}
const signed = await sendSigned(bob.identityKey, 'inbox', 'signed by me', 'order-1')
// #endregion
step('sendMessage, signed', signed)

// #region send-sealed
/** Readable by Bob alone, in the form of the stock message-box client. */
async function seal(recipient, plaintext) {
  const { ciphertext } = await alice.wallet.encrypt({
    plaintext: Utils.toArray(plaintext, 'utf8'),
    protocolID: [1, 'messagebox'],
    keyID: '1',
    counterparty: recipient
  })
  return JSON.stringify({ encryptedMessage: Utils.toBase64(ciphertext) })
}
const sealed = await post(alice, here, '/sendMessage', {
  message: {
    recipient: bob.identityKey,
    messageBox: 'inbox',
    body: await seal(bob.identityKey, 'for you only')
  }
})
// #endregion
step('sendMessage, sealed', sealed)

// #region delivery-status
/** Where Alice's messages are on their way to other hosts. A message that stayed on `here` has no entry. */
async function untilSettled(messageIds) {
  for (;;) {
    const { deliveries } = await post(alice, here, '/deliveryStatus', { messageIds })
    if (deliveries.every(({ state }) => state !== 'pending')) return deliveries
    await delay(100)
  }
}
const ids = [messageId, 'order-1', sealed.results[0].messageId]
const deliveries = await untilSettled(ids)
// #endregion
step('deliveryStatus', deliveries)

// #region list
/** All messages of a box, page by page: `nextCursor` goes on behind the last message and misses none. */
async function* messagesOf(user, node, messageBox) {
  for (let cursor; ; ) {
    const page = await post(user, node, '/listMessages', { messageBox, limit: 2, cursor })
    yield* page.messages
    if (!page.hasMore) return
    cursor = page.nextCursor
  }
}
const received = []
for await (const message of messagesOf(bob, there, 'inbox')) received.push(message)
// #endregion
for (const message of received) step('listMessages', message)

// #region check-origin
/** True if the sender himself signed what Bob reads, whatever any host says. */
function isSignedBySender({ sender, body, proof }, recipient, messageBox) {
  if (proof === undefined) return false
  const { signature, createdAt, messageId } = proof
  const text = JSON.stringify(['peerserv message', 1, recipient, messageBox, messageId, body, createdAt])
  return verifyPortably(sender, text, signature)
}
const order = received.find(message => message.messageId === 'order-1')
const isHers = await isSignedBySender(order, bob.identityKey, 'inbox')
// #endregion
step('the sender signed it', isHers)

// #region stream
/** Bob's messages as they arrive (Server-Sent Events); in a browser: new EventSource(url). */
const { ticket } = await post(bob, there, '/messages/streamTicket', { messageBoxes: ['inbox'] })
const stream = await fetch(`${there}/messages/stream?ticket=${ticket}`)
await post(alice, there, '/sendMessage', {
  message: { recipient: bob.identityKey, messageBox: 'inbox', body: 'live' }
})
const events = []
for await (const piece of stream.body.pipeThrough(new TextDecoderStream())) {
  events.push(...piece.split('\n\n').filter(Boolean))
  if (events.length >= 2) break
}
// #endregion
step('stream', events)

// #region acknowledge
const acknowledged = await post(bob, there, '/acknowledgeMessage', {
  messageIds: received.map(message => message.messageId)
})
// #endregion
step('acknowledgeMessage', acknowledged)

// #region acknowledge-signed
/** In Bob's own words, which all of his hosts obey: they delete the messages, wherever they are. */
const envelopeIds = received.map(message => message.envelopeId)
const everywhere = await post(bob, there, '/acknowledgeMessage', {
  envelopeIds,
  signature: await signPortably(
    bob,
    JSON.stringify(['peerserv acknowledgement', 1, bob.identityKey, envelopeIds])
  )
})
// #endregion
step('acknowledgeMessage, signed', everywhere)

// #region retry
/** With an id, the same message again is recognized: `success`, and nothing is stored twice. */
const message = {
  recipient: bob.identityKey,
  messageBox: 'orders',
  messageId: randomBytes(16).toString('hex')
}
const once = await post(alice, here, '/sendMessage', { message: { ...message, body: 'two of them, please' } })
const twice = await post(alice, here, '/sendMessage', {
  message: { ...message, body: 'two of them, please' }
})
// #endregion
step('the same again', [once.results[0].messageId === twice.results[0].messageId])

// #region errors
/** A refusal is signed too, and says what is wrong in `code`, which never changes its meaning (docs/errors.md). */
try {
  await post(alice, here, '/sendMessage', { message: { ...message, body: 'three of them, please' } })
} catch (error) {
  step('refused', { httpStatus: error.httpStatus, code: error.code, recipients: error.recipients })
}
// #endregion

// #region reports
/** What no host took is told to its sender, in a box that only his node writes to. */
const reports = await post(alice, here, '/listMessages', { messageBox: 'delivery_reports' })
// #endregion
step('delivery_reports', reports)

// #region resubmit
/** Gives a token that a lookup brought to another overlay host (BRC-22). The same again is told the same. */
const submitted = await fetch(`${there}/submit`, {
  method: 'POST',
  headers: { 'content-type': 'application/octet-stream', 'x-topics': '["tm_phip"]' },
  body: Uint8Array.from(tokens[0].beef)
})
// #endregion
step('submit', await submitted.json())

// #region sync
/** What another overlay host reads to catch up (GASP, BRC-64). */
const listed = await fetch(`${here}/requestSyncResponse`, {
  method: 'POST',
  headers: { 'content-type': 'application/json', 'x-bsv-topic': 'tm_phip' },
  body: JSON.stringify({ version: 1, since: 0, limit: 10 })
})
const { UTXOList } = await listed.json()
const { txid, outputIndex } = UTXOList.at(-1)
const fetched = await fetch(`${here}/requestForeignGASPNode`, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ graphID: `${txid}.${outputIndex}`, txid, outputIndex })
})
// #endregion
step('requestSyncResponse', UTXOList.length)
step('requestForeignGASPNode', await fetched.json())

// #region describe
const topics = await (await fetch(`${here}/listTopicManagers`)).json()
const services = await (await fetch(`${here}/listLookupServiceProviders`)).json()
const manual = await (await fetch(`${here}/getDocumentationForTopicManager?manager=tm_phip`)).text()
const guide = await (
  await fetch(`${here}/getDocumentationForLookupServiceProvider?lookupService=ls_phip`)
).text()
// #endregion
step('descriptions', [Object.keys(topics), Object.keys(services), manual.length, guide.length])

// #region revoke
/** From the host itself: it stops to advertise and takes nothing more for Bob. */
const revoked = await post(bob, there, '/revokeRouting', {})
// #endregion
step('revokeRouting', revoked)

// #region withdraw
/** From a host that no longer obeys: any node publishes Bob's word that the authorization is void, for good. */
const { signature: withdrawal } = await bob.wallet.createSignature({
  data: Utils.toArray(authorization, 'utf8'),
  protocolID: [1, 'phip withdrawal'],
  keyID: '1',
  counterparty: 'anyone'
})
const withdrawn = await post(bob, here, '/revokeRouting', {
  message: authorization,
  signature: Utils.toHex(withdrawal)
})
// #endregion
step('revokeRouting, withdrawal', withdrawn)
