import { createECDH, randomBytes } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { senderAuthorizationText } from '../../federation/origin/sender-authorization.js'
import { formatRoutingText, signRoutingText } from '../../federation/phip/routing-authorization.js'
import { signWithdrawalText } from '../../federation/phip/withdrawal.js'
import { acknowledgementText } from '../../src/acknowledgement.js'
import { identityKeyBytes } from '../../src/keys/identity-key.js'
import { signPortably } from '../../src/keys/portable-signature.js'
import { signedMessageText } from '../../src/message.js'
import { permissionText } from '../../src/permissions/rule.js'
import { ABSENT, CONTAINERS, CONTROL, TEXTS, VALUES, ZEROS } from '../support/bad-input.js'
import { type ClientSession, TestUser } from '../support/client.js'
import type { TestNode } from '../support/nodes.js'
import { propagated } from '../support/propagated.js'

/** A call with a JSON body. */
export interface Call {
  readonly path: string
  /** Sent within a session. */
  readonly authenticated: boolean
  /** It would be taken without one, too. */
  readonly open?: boolean
  /** A body that is taken; a new one each time, where the same would be a repeat. */
  readonly valid: () => object
  /** Its members (`message.recipient`, `messageIds.0`), each with the labels of the values that are right for it. */
  readonly members: Readonly<Record<string, readonly string[]>>
  /** Headers that the call needs. */
  readonly headers?: Readonly<Record<string, string>>
  /** Bytes of a body, where it is not the node's limit. */
  readonly limit?: number
}

/** The others: without a body, with one that is not JSON, or for hosts only, one call at a time. */
export const otherCalls: readonly { readonly method: 'GET' | 'POST'; readonly path: string }[] = [
  { method: 'POST', path: '/submit' },
  { method: 'POST', path: '/reconcile' },
  { method: 'GET', path: '/messages/stream' },
  { method: 'GET', path: '/permissions/get' },
  { method: 'GET', path: '/permissions/list' },
  { method: 'GET', path: '/permissions/quote' },
  { method: 'GET', path: '/devices' },
  { method: 'GET', path: '/healthz' },
  { method: 'GET', path: '/readyz' },
  { method: 'GET', path: '/.well-known/peerserv' },
  { method: 'GET', path: '/listTopicManagers' },
  { method: 'GET', path: '/listLookupServiceProviders' },
  { method: 'GET', path: '/getDocumentationForTopicManager' },
  { method: 'GET', path: '/getDocumentationForLookupServiceProvider' }
]

/** On the admin port, which is closed to others. */
const ADMIN = /^\/metrics$|^\/operator\//

/** Every path that an endpoint file exports, in order. */
export async function listedEndpoints(): Promise<string[]> {
  const paths = new Set<string>()
  for (const folder of ['../../src/api/', '../../federation/api/', '../../src/auth/']) {
    const url = new URL(folder, import.meta.url)
    for (const file of readdirSync(url)) {
      if (!file.endsWith('.ts')) continue
      const exported: unknown[] = Object.values(await import(new URL(file, url).href)).flat()
      for (const item of exported) {
        if (typeof item === 'object' && item !== null && 'handler' in item && 'path' in item) {
          paths.add(String(item.path))
        }
      }
    }
  }
  return [...paths].filter(path => !ADMIN.test(path)).sort()
}

export interface CallsOptions {
  readonly node: TestNode
  /** At home at the node. */
  readonly caller: TestUser
  /** The caller's, with the node. */
  readonly session: ClientSession
  /** At home at the node, too. */
  readonly recipient: TestUser
  /** One that the node's overlay holds. */
  readonly output: { readonly txid: string; readonly index: number }
}

const NONE: readonly string[] = []
const EVERY = VALUES.map(({ label }) => label)
const BODIES = [...TEXTS, CONTROL, ...CONTAINERS]
const MESSAGE_IDS = [...TEXTS, CONTROL, ...ZEROS]
const authenticated = true

/** Every call with a JSON body, some of them twice, as they can mean two things. */
export function jsonCalls(options: CallsOptions): Call[] {
  return [
    ...messageCalls(options),
    ...routingCalls(options),
    propagation(options),
    ...acknowledgements(options),
    ...permissions(options),
    ...handshakes(options),
    ...overlayCalls(options)
  ]
}

function messageCalls({ node, caller, recipient }: CallsOptions): Call[] {
  let sent = 0
  // A box for each, so that no id of one blocks another.
  const message = () => ({
    recipient: recipient.identityKey,
    messageBox: `calls ${++sent}`,
    body: `message ${sent}`
  })
  const signed = () => {
    const { messageBox, body, ...others } = message()
    const createdAt = Date.now()
    const text = signedMessageText(recipient.identityKey, messageBox, undefined, body, createdAt)
    return { ...others, messageBox, body, createdAt, signature: signPortably(caller.keys, text) }
  }
  return [
    {
      path: '/sendMessage',
      authenticated,
      valid: () => ({ message: { ...message(), messageId: 'id', createdAt: 1 }, payment: {} }),
      members: {
        message: NONE,
        'message.recipient': NONE,
        'message.messageBox': TEXTS,
        'message.body': BODIES,
        'message.messageId': [...MESSAGE_IDS, ...ABSENT],
        'message.createdAt': [...ZEROS, ...ABSENT],
        // Whatever a payment is that nobody asked for: stock clients send some.
        payment: EVERY
      }
    },
    {
      path: '/sendMessage',
      authenticated,
      valid: () => ({ message: signed() }),
      members: {
        'message.recipient': NONE,
        'message.messageBox': NONE,
        'message.body': NONE,
        'message.createdAt': NONE,
        'message.signature': ABSENT
      }
    },
    {
      path: '/sendMessage',
      authenticated,
      valid: () => {
        const { recipient: one, ...others } = message()
        return { message: { ...others, recipients: [one], messageId: ['id'] } }
      },
      members: {
        'message.recipients': NONE,
        'message.recipients.0': NONE,
        'message.messageId': [...MESSAGE_IDS, ...ABSENT],
        'message.messageId.0': MESSAGE_IDS
      }
    },
    {
      path: '/listMessages',
      authenticated,
      valid: () => ({ messageBox: 'calls 1', limit: 10, cursor: '1.1', acknowledged: false }),
      members: {
        messageBox: TEXTS,
        limit: ['missing'],
        cursor: ABSENT,
        acknowledged: ['missing', 'true', 'false']
      }
    },
    {
      path: '/messages/streamTicket',
      authenticated,
      valid: () => ({ messageBoxes: ['calls 1'] }),
      members: { messageBoxes: NONE, 'messageBoxes.0': TEXTS }
    },
    ...['/acknowledgeMessage', '/deliveryStatus'].map(path => ({
      path,
      authenticated,
      valid: () => ({ messageIds: ['nothing', 1] }),
      members: { messageIds: NONE, 'messageIds.0': ['missing', ...MESSAGE_IDS] }
    })),
    ...deviceCalls(),
    {
      path: '/authorizeSending',
      authenticated,
      valid: () => {
        const given = Date.now()
        const expires = given + 60_000
        const text = senderAuthorizationText(node.identityKey, given, expires)
        return { given, expires, signature: signPortably(caller.keys, text) }
      },
      members: { given: NONE, expires: NONE, signature: NONE }
    }
  ]
}

function deviceCalls(): Call[] {
  const keys = {
    p256dh: createECDH('prime256v1').generateKeys('base64url'),
    auth: randomBytes(16).toString('base64url')
  }
  const texts = [...TEXTS, 'missing', 'null', '""', '" "']
  return [
    {
      path: '/registerDevice',
      authenticated,
      valid: () => ({ fcmToken: 'token', deviceId: 'phone', platform: 'ios' }),
      members: {
        fcmToken: TEXTS.filter(text => !text.includes('\\u')),
        deviceId: texts,
        platform: ABSENT
      }
    },
    {
      path: '/registerDevice',
      authenticated,
      valid: () => ({ subscription: { endpoint: 'http://localhost:1/', keys } }),
      members: {
        subscription: NONE,
        'subscription.endpoint': NONE,
        'subscription.keys': NONE,
        'subscription.keys.p256dh': NONE,
        'subscription.keys.auth': NONE
      }
    },
    {
      path: '/unregisterDevice',
      authenticated,
      valid: () => ({ endpoint: 'http://localhost:1/' }),
      members: {}
    }
  ]
}

function routingCalls({ node, caller }: CallsOptions): Call[] {
  const { identityKey: hostKey, domain } = node
  const inForce = formatRoutingText({ hostKey, domain, boxExpression: undefined })
  const other = formatRoutingText({ hostKey, domain, boxExpression: '^other$' })
  const authorization = signRoutingText(caller.keys, inForce).toString('hex')
  const withdrawal = signWithdrawalText(caller.keys, other).toString('hex')
  return [
    {
      path: '/authorizeRouting',
      authenticated,
      valid: () => ({ message: inForce, signature: authorization }),
      members: { message: NONE, signature: NONE }
    },
    {
      path: '/revokeRouting',
      authenticated,
      // Of a text that was never in force: it changes nothing.
      valid: () => ({ message: other, signature: withdrawal }),
      members: { message: NONE, signature: NONE }
    }
  ]
}

function propagation({ node, caller, recipient }: CallsOptions): Call {
  const sender = new TestUser('sender of calls')
  let sent = 0
  return {
    path: '/propagateMessage',
    authenticated,
    valid: () => {
      const body = `propagated ${sent++}`
      const message = { recipient: recipient.identityKey, messageBox: 'propagated', body }
      return { ...propagated(caller, sender, message), recipients: [recipient.identityKey] }
    },
    members: {
      originalSender: NONE,
      keyLinkage: NONE,
      signedMessage: NONE,
      senderSignature: NONE,
      signedMessageFormat: ['missing'],
      keyID: NONE,
      recipients: ABSENT,
      'recipients.0': NONE,
      senderAuthorization: NONE,
      'senderAuthorization.hostKey': NONE,
      'senderAuthorization.given': NONE,
      'senderAuthorization.expires': NONE,
      'senderAuthorization.signature': NONE,
      hostAttestation: NONE,
      'hostAttestation.receivedAt': NONE,
      'hostAttestation.signature': NONE,
      // It counts for sealed bodies only.
      firstSeen: ['missing', ...ZEROS]
    },
    // Base64 of a request, and what comes beside it.
    limit: Math.ceil((node.node.context.config.limits.requestBytes * 4) / 3) + 65_536
  }
}

/** Of nothing that there is: they change nothing. */
function acknowledgements({ caller, recipient }: CallsOptions): Call[] {
  const envelopeIds = ['00'.repeat(32)]
  const signed = (user: TestUser) =>
    signPortably(user.keys, acknowledgementText(user.identityKey, envelopeIds))
  const members = { envelopeIds: NONE, 'envelopeIds.0': NONE, signature: NONE }
  return [
    {
      path: '/acknowledgeMessage',
      authenticated,
      valid: () => ({ envelopeIds, signature: signed(caller) }),
      members
    },
    {
      path: '/propagateAcknowledgement',
      authenticated,
      valid: () => ({ recipient: recipient.identityKey, envelopeIds, signature: signed(recipient) }),
      members: { recipient: NONE, ...members },
      limit: 131_072
    }
  ]
}

function permissions({ caller, recipient }: CallsOptions): Call[] {
  // A rule of its own each time: several requests are under way at once, and of one rule only the latest holds.
  let rules = 0
  const signed = () => {
    const rule = {
      messageBox: `ruled ${++rules}`,
      sender: undefined,
      recipientFee: 5,
      setAt: Date.now()
    }
    return { ...rule, signature: signPortably(caller.keys, permissionText(caller.identityKey, rule)) }
  }
  const members = { messageBox: TEXTS, sender: ABSENT }
  const received = () => {
    const setAt = Date.now()
    const named = { messageBox: 'ruled', sender: undefined, recipientFee: 5, setAt }
    const text = permissionText(recipient.identityKey, named)
    const permission = { ...named, sender: null, signature: signPortably(recipient.keys, text) }
    return { recipient: recipient.identityKey, permissions: [permission] }
  }
  return [
    {
      path: '/propagatePermission',
      authenticated,
      valid: received,
      members: {
        recipient: NONE,
        permissions: NONE,
        'permissions.0': NONE,
        'permissions.0.messageBox': NONE,
        'permissions.0.sender': ABSENT,
        'permissions.0.recipientFee': NONE,
        'permissions.0.setAt': NONE,
        'permissions.0.signature': NONE
      },
      limit: 131_072
    },
    {
      path: '/permissions/set',
      authenticated,
      valid: () => ({ messageBox: 'free', recipientFee: 0 }),
      members: { ...members, recipientFee: [...ZEROS, '-1'], sealed: [...ABSENT, 'true'] }
    },
    {
      path: '/permissions/set',
      authenticated,
      valid: signed,
      members: { messageBox: NONE, sender: ABSENT, recipientFee: NONE, setAt: NONE, signature: ABSENT }
    },
    {
      path: '/permissions/delete',
      authenticated,
      valid: () => ({ messageBox: 'free' }),
      members
    }
  ]
}

function handshakes({ caller, session }: CallsOptions): Call[] {
  const path = '/.well-known/auth'
  const { identityKey } = caller
  const nonce = randomBytes(32).toString('base64')
  const { nodeNonce: yourNonce, nodeKey } = session
  const requestedCertificates = { certifiers: [], types: {} }
  const signature = caller.keys.sign(
    Buffer.from(JSON.stringify(requestedCertificates)),
    `2-auth message signature-${nonce} ${yourNonce}`,
    identityKeyBytes(nodeKey)
  )
  const first = { version: '0.1', messageType: 'initialRequest', identityKey, initialNonce: nonce }
  const second = { ...first, messageType: 'certificateRequest', nonce, yourNonce, requestedCertificates }
  const common = { version: NONE, messageType: NONE, identityKey: NONE }
  const limit = 65_536
  return [
    {
      path,
      authenticated: false,
      valid: () => first,
      members: { ...common, initialNonce: NONE },
      limit
    },
    {
      path,
      authenticated: false,
      valid: () => ({ ...second, signature: [...signature] }),
      members: {
        ...common,
        nonce: NONE,
        yourNonce: NONE,
        requestedCertificates: NONE,
        signature: NONE,
        'signature.0': NONE
      },
      limit
    },
    {
      path: '/authrite/initialRequest',
      authenticated: false,
      valid: () => ({ authrite: '0.2', messageType: 'initialRequest', identityKey, nonce }),
      members: { authrite: NONE, messageType: NONE, identityKey: NONE, nonce: NONE },
      limit
    }
  ]
}

function overlayCalls({ recipient, output }: CallsOptions): Call[] {
  const { txid, index: outputIndex } = output
  const graphID = `${txid}.${outputIndex}`
  const { identityKey } = recipient
  const lookup = { path: '/lookup', authenticated: false, limit: 16_384 }
  return [
    {
      ...lookup,
      valid: () => ({ service: 'ls_phip', query: { recipient: identityKey } }),
      members: { service: NONE, query: NONE, 'query.recipient': NONE }
    },
    {
      ...lookup,
      // Operators are asked within a session, and answer within it.
      authenticated: true,
      open: true,
      valid: () => ({ service: 'ls_phip', query: { operator: identityKey, outpoints: [graphID] } }),
      members: {
        'query.operator': ['missing'],
        'query.outpoints': ['missing', '[]'],
        'query.outpoints.0': ['missing']
      }
    },
    {
      path: '/requestSyncResponse',
      authenticated: false,
      headers: { 'x-bsv-topic': 'tm_phip' },
      valid: () => ({ version: 1, since: 1, limit: 1 }),
      members: { version: NONE, since: ZEROS, limit: ['missing'] },
      limit: 4_096
    },
    {
      path: '/requestForeignGASPNode',
      authenticated: false,
      valid: () => ({ graphID, txid, outputIndex }),
      members: { graphID: NONE, txid: NONE, outputIndex: ZEROS },
      limit: 4_096
    }
  ]
}
