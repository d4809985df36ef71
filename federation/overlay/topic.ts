import type { LookupService, TopicManager } from '@bsv/overlay'
import type { ListKind } from '../../src/operator-lists.js'
import type { Queryable } from '../../src/storage/database.js'
import type { Beef, BeefTransaction } from '../../src/transactions/beef.js'
import type { ParsedTransaction } from '../../src/transactions/transaction.js'
import type { Outpoint } from '../storage/overlay-outputs.js'
import type { OverlayStorage } from './storage.js'

/** An output that belongs into a topic, verified. */
export interface TopicOutput extends Outpoint {
  /** Whose mail it speaks of, 33 bytes: nobody routes that while the output is judged. */
  readonly recipient: Buffer
}

/** Recognizes the outputs of a topic. Pure, but for what it may remember. */
export interface TopicScripts<Output extends TopicOutput> {
  /** True where a locking script is worth the curve operations of `recognize`. */
  looksLikeIt(script: Uint8Array): boolean
  /** @returns undefined for anything else, and for what does not verify */
  recognize(txid: string, outputIndex: number, script: Uint8Array): Output | undefined
}

/** Judges transactions for a topic, in the state of one database transaction. */
export interface TopicJudge<Output extends TopicOutput> extends TopicManager {
  /** Those of one transaction's outputs that are admitted now. */
  admissible(outputs: readonly Output[]): Promise<Output[]>
}

/** A transaction that was looked at, and what of it was not admitted. */
export interface Refused<Output extends TopicOutput> {
  readonly beef: Beef
  readonly transaction: BeefTransaction
  readonly outputs: readonly Output[]
}

/** What one submission changed. */
export interface TopicChange<Output extends TopicOutput> {
  /** The transaction that was submitted. */
  readonly txid: string
  /** Whose hosts may be others now. */
  readonly recipients: readonly Buffer[]
  /** What was admitted, ancestors' outputs too. */
  readonly admitted: readonly Output[]
  /** Whether an output that was here is spent now. */
  readonly spends: boolean
}

/** What sets one topic of this host, and the lookup service over it, apart from another. */
export interface Topic<Output extends TopicOutput> {
  /** BRC-87: `tm_…`. */
  readonly name: string
  /** BRC-87: `ls_…`. */
  readonly service: string
  readonly scripts: TopicScripts<Output>
  judge(db: Queryable): TopicJudge<Output>
  /** @param now ms */
  lookupService(db: Queryable, storage: OverlayStorage, now: number): LookupService
  /** The recipients that those of the outpoints speak of which are here. */
  findRecipients(db: Queryable, outpoints: readonly Outpoint[]): Promise<Buffer[]>
  /** Why the operator of this node wants no such output; undefined if he does not mind. */
  refusalOf(output: Output): ListKind | undefined
  /** Keeps for later what a peer lists and what can't be admitted yet; in the transaction of the submission. */
  keepForLater?(db: Queryable, refused: Refused<Output>, peer: string): Promise<void>
  /** Runs last in the transaction of a submission that changed something. */
  beforeCommit?(db: Queryable, change: TopicChange<Output>, beef: Uint8Array): Promise<void>
  /** Called after the commit; losing a call costs time only. */
  afterCommit(change: TopicChange<Output>, submit: (beef: Uint8Array) => Promise<unknown>): Promise<void>
}

/** Outputs of one transaction, and candidates in one BEEF, that are looked at: each costs up to eight curve operations. */
export const MAX_JUDGED_OUTPUTS = 100

/** All of a transaction; none of one with more than MAX_JUDGED_OUTPUTS outputs. */
export function recognizeAll<Output extends TopicOutput>(
  scripts: TopicScripts<Output>,
  { txid, outputs }: ParsedTransaction
): Output[] {
  if (outputs.length > MAX_JUDGED_OUTPUTS) return []
  return outputs.flatMap(({ satoshis, lockingScript }, index) => {
    // An output without a coin can't be spent, so what it says could never be taken back.
    const output = satoshis > 0 ? scripts.recognize(txid, index, lockingScript) : undefined
    return output === undefined ? [] : [output]
  })
}

/** How many outputs look like those of the topic at first sight. */
export function countCandidates(
  scripts: Pick<TopicScripts<TopicOutput>, 'looksLikeIt'>,
  { outputs }: ParsedTransaction
): number {
  return outputs.filter(({ lockingScript }) => scripts.looksLikeIt(lockingScript)).length
}

/** What a topic admits of a transaction, in the form that the library asks for. */
export async function instructionsFor<Output extends TopicOutput>(
  judge: Pick<TopicJudge<Output>, 'admissible'>,
  scripts: TopicScripts<Output>,
  transaction: ParsedTransaction
): Promise<{ outputsToAdmit: number[]; coinsToRetain: number[] }> {
  const outputs = await judge.admissible(recognizeAll(scripts, transaction))
  return { outputsToAdmit: outputs.map(({ outputIndex }) => outputIndex), coinsToRetain: [] }
}
