import { setTimeout as delay } from 'node:timers/promises'
import type { Context } from '../../src/context.js'
import { type IdentityKey, identityKeyFromBytes } from '../../src/keys/identity-key.js'
import type { OperatorLists } from '../../src/operator-lists.js'
import type { Queryable } from '../../src/storage/database.js'
import { type ChainTracker, isMadeUp } from '../../src/transactions/chain.js'
import type { OutboundDoor } from '../channel/guarded-fetch.js'
import type { PeerClient } from '../channel/peer-client.js'
import { domainToBaseUrl } from '../phip/domain.js'
import type { Withdrawal } from '../phip/withdrawal.js'
import { settleOwnHost } from '../storage/messagebox-hosts.js'
import { readHostsAgain } from '../storage/overlay-progress.js'
import { createAdvertisements } from './advertisements.js'
import { Advertiser, type VerifiedAuthorization } from './advertiser.js'
import { Coalesced } from './coalesced.js'
import { createFunding, type Funding } from './funding.js'
import { GaspPuller } from './gasp-puller.js'
import { MessageBoxTopic } from './messagebox-topic.js'
import { MintCeiling } from './mint-ceiling.js'
import { OperatorCheck } from './operator-check.js'
import { OverlayClient } from './overlay-client.js'
import { OverlayHost } from './overlay-host.js'
import { PhipTopic } from './phip-topic.js'
import { lookUpRecipient, type RemoteLookupReport } from './remote-lookup.js'
import { SubmissionSender } from './submission-sender.js'
import type { SubmitOptions } from './submitter.js'
import { type RoundReport, Sync } from './sync.js'
import { MESSAGEBOX_TOPIC, PHIP_TOPIC } from './topics.js'

export interface OverlayOptions {
  readonly context: Pick<Context, 'config' | 'logger' | 'clock' | 'curve' | 'keys' | 'database'>
  readonly door: OutboundDoor
  readonly peerClient: PeerClient
  /** Called after a commit that may have changed who takes a recipient's messages; losing a call costs time only. */
  readonly onHostsChanged: (recipient: IdentityKey) => void
  /** Instead of what the network has of its own: made-up coins on `local` and `private`, nothing elsewhere. */
  readonly funding?: Funding
  /** Needed on `test` and `main`. */
  readonly chainTracker?: ChainTracker
  /** Absent: nobody is blocked. */
  readonly operatorLists?: OperatorLists
  /** Between two rounds of sync, ms; 30 s if absent. */
  readonly syncInterval?: number
}

/** The overlay half of a node. */
export interface Overlay {
  /** What other hosts and stock tools ask for. */
  readonly host: OverlayHost
  /** As `Advertiser.requireStanding`. */
  requireStanding(recipient: IdentityKey, text: string): Promise<void>
  /** As `Advertiser.advertise`. */
  advertise(
    authorization: VerifiedAuthorization,
    keep?: (db: Queryable) => Promise<void>
  ): Promise<{ txid: string; created: boolean }>
  /** As `Advertiser.revoke`. */
  revoke(recipient: IdentityKey): Promise<string[]>
  /** As `Advertiser.publishWithdrawal`. */
  publishWithdrawal(withdrawal: Withdrawal): Promise<string | undefined>
  /** Asks the peers about a recipient; see remote-lookup.ts. */
  lookUpRecipient(recipient: IdentityKey): Promise<RemoteLookupReport>
  /** Begins to sync with the peers: now, and again and again. */
  start(): void
  /** No new round; what is under way gets a few seconds. */
  stop(): Promise<void>
  /** Resolves when everything made here was submitted to every peer, or has failed for now. */
  settled(): Promise<void>
  /** Reads every peer from its beginning, at the next round: what was refused may be taken now. */
  readAgain(): Promise<void>
  /** One round of sync. */
  syncOnce(): Promise<RoundReport>
}

const SYNC_INTERVAL = 30_000
/** What is under way in the background when the node stops gets this long, ms. */
const STOP_MILLISECONDS = 3_000

/** Builds the overlay half from what the node has; starts nothing. */
export async function createOverlay(options: OverlayOptions): Promise<Overlay> {
  const { context, door, peerClient, onHostsChanged, operatorLists } = options
  const { config, logger, clock, curve, keys, database } = context
  const { network, publicDomain } = config
  const baseUrl = domainToBaseUrl(publicDomain, network)
  const peers = config.peers.filter(peer => peer !== baseUrl)
  const spending = new Coalesced(() => advertiser.spendWithdrawn())
  const phip = new PhipTopic({
    database,
    curve,
    network,
    logger,
    onHostsChanged,
    onWithdrawn(text) {
      if (text.startsWith(`${keys.identityKey} `)) inBackground('spending what was withdrawn', spending.run())
    },
    ...(operatorLists && {
      refusalOf: ({ operatorKey, domain, recipient }) =>
        operatorLists.refusalOfToken(
          identityKeyFromBytes(operatorKey),
          domain,
          identityKeyFromBytes(recipient)
        )
    })
  })
  const messageBoxes = new MessageBoxTopic({
    curve,
    network,
    clock,
    domain: publicDomain,
    peers,
    onSubmissions: submitToPeers,
    operatorLists
  })
  const host = new OverlayHost({
    database,
    network,
    clock,
    logger,
    phip,
    messageBoxes,
    chainTracker: options.chainTracker,
    ...(operatorLists && { blocked: kind => operatorLists.refusal(kind) }),
    advertisements: isMadeUp(network) ? await createAdvertisements(keys, baseUrl) : []
  })
  const client = new OverlayClient(door)
  const sender = new SubmissionSender({ database, clock, logger, client, peers })
  const advertiser = new Advertiser({
    database,
    curve,
    clock,
    keys,
    domain: publicDomain,
    host,
    funding: options.funding ?? createFunding(network),
    ceiling: new MintCeiling({
      database,
      clock,
      ceilings: { token: config.limits.tokensPerDay, withdrawal: config.limits.withdrawalsPerDay }
    }),
    peers,
    onSubmissions: submitToPeers
  })
  const [puller, hostPuller] = [pullerOf(phip), pullerOf(messageBoxes)]
  operatorLists?.onChange(() => {
    puller.forgetRefused()
    hostPuller.forgetRefused()
  })
  const sync = new Sync({
    database,
    clock,
    logger,
    puller,
    hostPuller,
    sender,
    operators: new OperatorCheck({
      database,
      clock,
      logger,
      peerClient,
      identityKey: keys.identityKey,
      onHostsChanged
    }),
    spendWithdrawn: () => spending.run(),
    peers,
    interval: options.syncInterval ?? SYNC_INTERVAL
  })
  function pullerOf(topic: PhipTopic | MessageBoxTopic): GaspPuller {
    const submit = (beef: Uint8Array, how: SubmitOptions) => host.submitTo(topic.name, beef, how)
    return new GaspPuller({ database, clock, logger, client, topic, submit })
  }
  function submitToPeers(): void {
    inBackground('submitting to peers', sender.flush())
  }
  function inBackground(what: string, work: Promise<void>): void {
    work.catch((error: unknown) => logger.error({ err: error }, `overlay: ${what} failed`))
  }
  async function settled(): Promise<void> {
    await spending.settled()
    await sender.settled()
  }
  return {
    host,
    requireStanding: (recipient, text) => advertiser.requireStanding(recipient, text),
    advertise: (authorization, keep) => advertiser.advertise(authorization, keep),
    revoke: recipient => advertiser.revoke(recipient),
    publishWithdrawal: withdrawal => advertiser.publishWithdrawal(withdrawal),
    lookUpRecipient: recipient => lookUpRecipient({ database, client, host, logger, peers }, recipient),
    start: () => {
      inBackground('finding own advertisements', settleOwnHost(database, publicDomain))
      sync.start()
    },
    async stop() {
      await sync.stop()
      await Promise.race([settled(), delay(STOP_MILLISECONDS, undefined, { ref: false })])
    },
    settled,
    async readAgain() {
      await readHostsAgain(database, PHIP_TOPIC)
      await readHostsAgain(database, MESSAGEBOX_TOPIC)
    },
    syncOnce: () => sync.runOnce()
  }
}
