import type { Network } from '../../src/config.js'
import { badRequest } from '../../src/errors.js'
import { type Beef, type BeefTransaction, parseBeef } from '../../src/transactions/beef.js'
import { MalformedError } from '../../src/transactions/byte-reader.js'
import { isMadeUp, requireMadeUpProofs } from '../../src/transactions/chain.js'
import { boundVerification } from '../../src/transactions/verification-cost.js'
import type { Outpoint } from '../storage/overlay-outputs.js'
import { countCandidates, MAX_JUDGED_OUTPUTS, type PhipOutput, type PhipScripts } from './phip-scripts.js'

const LONGEST_REASON = 300

/** A BEEF that can be verified at a bounded cost, and what in it concerns `tm_phip`. */
export interface Submission {
  readonly beef: Beef
  /** Of each transaction, by id. */
  readonly phipOutputs: ReadonlyMap<string, readonly PhipOutput[]>
}

/**
 * Parses what somebody submits. Nothing is verified yet but tokens and withdrawals.
 *
 * @throws ApiError 400 ERR_INVALID_BEEF, saying what is wrong
 */
export function parseSubmission(bytes: Uint8Array, scripts: PhipScripts, network: Network): Submission {
  try {
    const beef = parseBeef(bytes)
    if (beef.subject.outputs.length > MAX_JUDGED_OUTPUTS) {
      throw new MalformedError(`the transaction has more than ${MAX_JUDGED_OUTPUTS} outputs`)
    }
    if (isMadeUp(network)) requireMadeUpProofs(beef)
    const phipOutputs = recognize(beef, scripts)
    boundVerification(beef, transaction => concerns(transaction, phipOutputs))
    return { beef, phipOutputs }
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

/** Whether a transaction has tokens or withdrawals, or spends one; an unproven one comes with what it spends. */
function concerns(
  { txid, inputs }: BeefTransaction,
  phipOutputs: ReadonlyMap<string, readonly PhipOutput[]>
): boolean {
  return phipOutputs.has(txid) || inputs.some(({ sourceTxid }) => phipOutputs.has(sourceTxid))
}

/**
 * Ancestors count too: a spend brings the token that it spends, so that whichever of the two arrives first, the token
 * ends as spent.
 */
function recognize({ transactions }: Beef, scripts: PhipScripts): Map<string, PhipOutput[]> {
  const recognized = new Map<string, PhipOutput[]>()
  const candidates = transactions.reduce((sum, transaction) => sum + countCandidates(transaction), 0)
  if (candidates > MAX_JUDGED_OUTPUTS) {
    throw new MalformedError(`more than ${MAX_JUDGED_OUTPUTS} tokens and withdrawals`)
  }
  for (const transaction of transactions) {
    const outputs = scripts.recognizeAll(transaction)
    if (outputs.length > 0) recognized.set(transaction.txid, outputs)
  }
  return recognized
}
