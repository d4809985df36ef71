import type { LookupService } from '@bsv/overlay'
import type { Network } from '../../src/config.js'
import type { Clock } from '../../src/context.js'
import type { Curve } from '../../src/curve/curve.js'
import { identityKeyFromBytes } from '../../src/keys/identity-key.js'
import type { ListKind, OperatorLists } from '../../src/operator-lists.js'
import type { Queryable } from '../../src/storage/database.js'
import { findAdvertisers, type IndexedAdvertisement } from '../storage/messagebox-hosts.js'
import { insertOverlayTransaction, type Outpoint } from '../storage/overlay-outputs.js'
import { enqueueSubmissions } from '../storage/overlay-submissions.js'
import { MessageBoxLookupService } from './messagebox-lookup-service.js'
import { MessageBoxScripts } from './messagebox-scripts.js'
import { MessageBoxTopicManager } from './messagebox-topic-manager.js'
import type { OverlayStorage } from './storage.js'
import type { Topic, TopicChange } from './topic.js'
import { MESSAGEBOX_SERVICE, MESSAGEBOX_TOPIC } from './topics.js'

export interface MessageBoxTopicOptions {
  readonly curve: Curve
  readonly network: Network
  readonly clock: Clock
  /** Of this node. */
  readonly domain: string
  /** Base URLs of the overlay hosts that are told of spends. */
  readonly peers: readonly string[]
  /** Called after a commit that left something to submit to the peers. */
  readonly onSubmissions: () => void
  readonly operatorLists: Pick<OperatorLists, 'blocksIdentity' | 'servesDomain'> | undefined
}

/** `tm_messagebox` and `ls_messagebox`: where users of stock message box clients read. */
export class MessageBoxTopic implements Topic<IndexedAdvertisement> {
  readonly name = MESSAGEBOX_TOPIC
  readonly service = MESSAGEBOX_SERVICE
  readonly scripts: MessageBoxScripts
  readonly #options: MessageBoxTopicOptions

  constructor(options: MessageBoxTopicOptions) {
    this.#options = options
    this.scripts = new MessageBoxScripts(options.curve, options.network)
  }

  judge(db: Queryable): MessageBoxTopicManager {
    return new MessageBoxTopicManager(db, this.scripts, output => this.refusalOf(output) !== undefined)
  }

  lookupService(db: Queryable, storage: OverlayStorage, now: number): LookupService {
    const { curve, domain } = this.#options
    return new MessageBoxLookupService({ db, storage, curve, scripts: this.scripts, domain, now })
  }

  findRecipients(db: Queryable, outpoints: readonly Outpoint[]): Promise<Buffer[]> {
    return findAdvertisers(db, outpoints)
  }

  refusalOf({ recipient, domain }: IndexedAdvertisement): ListKind | undefined {
    const { operatorLists } = this.#options
    if (operatorLists === undefined) return undefined
    if (operatorLists.blocksIdentity(identityKeyFromBytes(recipient))) return 'identity'
    return operatorLists.servesDomain(domain) ? undefined : 'domain'
  }

  /** Peers read what is unspent from each other; nobody lists what was spent, and who spent it told this host alone. */
  async beforeCommit(
    db: Queryable,
    { txid, spends }: TopicChange<IndexedAdvertisement>,
    beef: Uint8Array
  ): Promise<void> {
    const { peers, clock } = this.#options
    if (!spends || peers.length === 0) return
    await insertOverlayTransaction(db, txid, beef)
    await enqueueSubmissions(db, MESSAGEBOX_TOPIC, txid, peers, clock.now())
  }

  async afterCommit({ spends }: TopicChange<IndexedAdvertisement>): Promise<void> {
    if (spends && this.#options.peers.length > 0) this.#options.onSubmissions()
  }
}
