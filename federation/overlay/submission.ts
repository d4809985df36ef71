import type { Network } from '../../src/config.js'
import { badRequest } from '../../src/errors.js'
import { type Beef, type BeefTransaction, parseBeef } from '../../src/transactions/beef.js'
import { MalformedError } from '../../src/transactions/byte-reader.js'
import { isMadeUp, requireMadeUpProofs } from '../../src/transactions/chain.js'
import { boundVerification } from '../../src/transactions/verification-cost.js'
import type { Outpoint } from '../storage/overlay-outputs.js'
import {
  countCandidates,
  MAX_JUDGED_OUTPUTS,
  recognizeAll,
  type TopicOutput,
  type TopicScripts
} from './topic.js'

const LONGEST_REASON = 300

/** A BEEF that can be verified at a bounded cost, and what in it concerns a topic. */
export interface Submission<Output extends TopicOutput> {
  readonly beef: Beef
  /** Of each transaction, by id. */
  readonly outputs: ReadonlyMap<string, readonly Output[]>
}

/**
 * Parses what somebody submits. Nothing is verified yet but the outputs of the topic.
 *
 * @throws ApiError 400 ERR_INVALID_BEEF, saying what is wrong
 */
export function parseSubmission<Output extends TopicOutput>(
  bytes: Uint8Array,
  scripts: TopicScripts<Output>,
  network: Network
): Submission<Output> {
  try {
    const beef = parseBeef(bytes)
    if (beef.subject.outputs.length > MAX_JUDGED_OUTPUTS) {
      throw new MalformedError(`the transaction has more than ${MAX_JUDGED_OUTPUTS} outputs`)
    }
    if (isMadeUp(network)) requireMadeUpProofs(beef)
    const outputs = recognize(beef, scripts)
    boundVerification(beef, transaction => concerns(transaction, outputs))
    return { beef, outputs }
  } catch (error) {
    if (error instanceof MalformedError) throw invalidBeef(error.message)
    throw error
  }
}

/** What a transaction spends. */
export function spentOutpoints({ inputs }: BeefTransaction): Outpoint[] {
  return inputs.map(input => ({ txid: input.sourceTxid, outputIndex: input.sourceOutputIndex }))
}

export function invalidBeef(reason: string): Error {
  return badRequest('ERR_INVALID_BEEF', `The transaction cannot be taken: ${reason}.`)
}

/** What the library throws when a transaction does not verify; its reasons speak of scripts and proofs only. */
export function badTransaction(cause: unknown): Error {
  const reason = cause instanceof Error ? cause.message.slice(0, LONGEST_REASON) : 'no reason given'
  return badRequest('ERR_INVALID_TRANSACTION', `The transaction does not verify: ${reason}`)
}

/** Whether a transaction has outputs of the topic, or spends one; an unproven one comes with what it spends. */
function concerns(
  { txid, inputs }: BeefTransaction,
  outputs: ReadonlyMap<string, readonly TopicOutput[]>
): boolean {
  return outputs.has(txid) || inputs.some(({ sourceTxid }) => outputs.has(sourceTxid))
}

/**
 * Ancestors count too: a spend brings the output that it spends, so that whichever of the two arrives first, the output
 * ends as spent.
 */
function recognize<Output extends TopicOutput>(
  { transactions }: Beef,
  scripts: TopicScripts<Output>
): Map<string, Output[]> {
  const recognized = new Map<string, Output[]>()
  const candidates = transactions.reduce((sum, transaction) => sum + countCandidates(scripts, transaction), 0)
  if (candidates > MAX_JUDGED_OUTPUTS) {
    throw new MalformedError(`more than ${MAX_JUDGED_OUTPUTS} outputs of this topic`)
  }
  for (const transaction of transactions) {
    const outputs = recognizeAll(scripts, transaction)
    if (outputs.length > 0) recognized.set(transaction.txid, outputs)
  }
  return recognized
}
