import type { LookupService } from '@bsv/overlay'
import type { Network } from '../../src/config.js'
import type { Curve } from '../../src/curve/curve.js'
import { type IdentityKey, identityKeyFromBytes } from '../../src/keys/identity-key.js'
import type { Logger } from '../../src/logger.js'
import type { ListKind } from '../../src/operator-lists.js'
import type { Database, Queryable } from '../../src/storage/database.js'
import { extractBeef } from '../../src/transactions/beef.js'
import type { Outpoint } from '../storage/overlay-outputs.js'
import { findRecipientsOfOutpoints } from '../storage/tokens.js'
import {
  deferWithdrawal,
  findDeferredWithdrawals,
  findTextState,
  forgetDeferredWithdrawals,
  type RecipientText
} from '../storage/withdrawals.js'
import { PhipLookupService } from './lookup-service.js'
import { type PhipOutput, PhipScripts } from './phip-scripts.js'
import type { OverlayStorage } from './storage.js'
import type { Refused, Topic, TopicChange } from './topic.js'
import { PhipTopicManager, type TokenRefusal } from './topic-manager.js'
import { PHIP_SERVICE, PHIP_TOPIC } from './topics.js'

export interface PhipTopicOptions {
  readonly database: Database
  readonly curve: Curve
  readonly network: Network
  readonly logger: Logger
  /** Called after a commit that may have changed who takes a recipient's messages; losing a call costs time only. */
  readonly onHostsChanged: (recipient: IdentityKey) => void
  /** Called after the commit with the texts of withdrawals that were admitted; losing a call costs time only. */
  readonly onWithdrawn: (text: string) => void
  /** Absent: no token is refused for whom it names. */
  readonly refusalOf?: TokenRefusal
}

/** Withdrawals kept of one peer. */
const MAX_DEFERRED = 10_000

/** `tm_phip` and `ls_phip`: PHIP tokens and withdrawals (BRC-34). */
export class PhipTopic implements Topic<PhipOutput> {
  readonly name = PHIP_TOPIC
  readonly service = PHIP_SERVICE
  readonly scripts: PhipScripts
  readonly #options: PhipTopicOptions

  constructor(options: PhipTopicOptions) {
    this.#options = options
    this.scripts = new PhipScripts(options.curve, options.network)
  }

  judge(db: Queryable): PhipTopicManager {
    return new PhipTopicManager(db, this.scripts, this.#options.refusalOf)
  }

  lookupService(db: Queryable, storage: OverlayStorage, now: number): LookupService {
    return new PhipLookupService(db, storage, this.#options.curve, this.scripts, now)
  }

  findRecipients(db: Queryable, outpoints: readonly Outpoint[]): Promise<Buffer[]> {
    return findRecipientsOfOutpoints(db, outpoints)
  }

  refusalOf(output: PhipOutput): ListKind | undefined {
    return output.kind === 'token' ? this.#options.refusalOf?.(output) : undefined
  }

  /** Withdrawals of texts of which no token has been seen. */
  async keepForLater(
    db: Queryable,
    { beef, transaction, outputs }: Refused<PhipOutput>,
    peer: string
  ): Promise<void> {
    for (const output of outputs) {
      if (output.kind !== 'withdrawal' || (await findTextState(db, output)).seen) continue
      const own = extractBeef(beef, transaction)
      await deferWithdrawal(db, output, transaction.txid, peer, own, MAX_DEFERRED)
    }
  }

  async afterCommit(
    { recipients, admitted }: TopicChange<PhipOutput>,
    submit: (beef: Uint8Array) => Promise<unknown>
  ): Promise<void> {
    const { onHostsChanged, onWithdrawn } = this.#options
    for (const recipient of recipients) onHostsChanged(identityKeyFromBytes(recipient))
    for (const output of admitted) if (output.kind === 'withdrawal') onWithdrawn(output.text)
    const texts = admitted.filter(({ kind }) => kind === 'token')
    if (texts.length > 0) await this.#submitDeferred(texts, submit)
  }

  /** A token was seen: withdrawals of its text that a peer listed before can be admitted now. */
  async #submitDeferred(
    texts: readonly RecipientText[],
    submit: (beef: Uint8Array) => Promise<unknown>
  ): Promise<void> {
    const { database, logger } = this.#options
    for (const beef of await findDeferredWithdrawals(database, texts)) {
      await submit(beef).catch((error: unknown) =>
        logger.debug({ err: error }, 'a deferred withdrawal was refused')
      )
    }
    await forgetDeferredWithdrawals(database, texts)
  }
}
