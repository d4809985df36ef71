import type { PublicEndpoint } from '../../src/endpoint.js'
import { VERSION } from '../../src/version.js'
import type { FederationContext } from '../context.js'

/** Extensions of BRC-33 and BRC-34 that work here today (protocol section 7). */
const EXTENSIONS = [
  'origin-proofs',
  'delivery-status',
  'withdrawal',
  'acknowledgement-sync',
  'permission-sync',
  'reconciliation'
]

/** Seconds that others may keep the document. */
const MAX_AGE = 300

/** GET /.well-known/peerserv: what this node is and offers, and the limits that a client or a peer can hit. */
export const nodeDocument: PublicEndpoint<FederationContext> = {
  method: 'GET',
  path: '/.well-known/peerserv',
  authenticated: false,
  async handler(_request, { config, deliveryFees, keys, push }) {
    const { limits } = config
    return {
      headers: { 'cache-control': `public, max-age=${MAX_AGE}` },
      body: {
        name: 'peerserv',
        version: VERSION,
        identityKey: keys.identityKey,
        domain: config.publicDomain,
        network: config.network,
        authentication: ['brc104', 'authrite'],
        extensions: EXTENSIONS,
        limits: {
          requestBytes: limits.requestBytes,
          messageBodyBytes: limits.messageBodyBytes,
          listMessages: limits.listMessages,
          listBytes: limits.listBytes,
          messagesPerRecipient: limits.messagesPerRecipient,
          bytesPerRecipient: limits.bytesPerRecipient,
          messagesPerSender: limits.messagesPerSender,
          boxesPerRecipient: limits.boxesPerRecipient,
          devicesPerRecipient: limits.devicesPerRecipient,
          sealedMessagesPerRecipient: limits.sealedMessagesPerRecipient,
          sealedMessagesPerHost: limits.sealedMessagesPerHost,
          recipientsPerSend: limits.recipientsPerSend,
          timeToLive: limits.timeToLive,
          rates: limits.rates
        },
        fees: { delivery: Object.fromEntries(deliveryFees), calls: Object.fromEntries(config.prices) },
        ...(push.services.size === 0 ? {} : { push: pushOffer(push) })
      }
    }
  }
}

/** What apps need to know before they register a device. */
function pushOffer({ services, applicationServerKey, messageBoxes }: FederationContext['push']): object {
  return {
    messageBoxes,
    fcm: services.has('fcm'),
    ...(applicationServerKey === undefined ? {} : { applicationServerKey })
  }
}
