import { setImmediate as nextTurn } from 'node:timers/promises'
import { type ChainTracker, LockingScript, MerklePath, Spend, UnlockingScript } from '@bsv/sdk'
import type { Beef, BeefTransaction } from './beef.js'
import { MalformedError } from './byte-reader.js'
import { boundVerification } from './verification-cost.js'

/** A transaction that its BEEF does not prove; the message may be shown to whoever sent it. */
export class UnprovenTransactionError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'UnprovenTransactionError'
  }
}

/**
 * Verifies the subject of a BEEF as BRC-67 asks: every script of unproven transactions runs, none of them pays more than it
 * spends, and Merkle paths lead to blocks. Others have their turn after each script.
 *
 * @param tracker undefined where no chain is known: then Merkle paths are believed
 * @throws MalformedError (too dear to verify), UnprovenTransactionError; whatever `tracker` throws
 */
export async function verifyBeef(beef: Beef, tracker: ChainTracker | undefined): Promise<void> {
  boundVerification(beef, ({ txid }) => txid === beef.subject.txid)
  await verifyProofs(beef, tracker)
  const byTxid = new Map(beef.transactions.map(transaction => [transaction.txid, transaction]))
  for (const transaction of beef.transactions) {
    if (transaction.proof === undefined) await verifyInputs(transaction, byTxid)
  }
}

async function verifyProofs({ transactions }: Beef, tracker: ChainTracker | undefined): Promise<void> {
  const known = new Set<string>()
  for (const { txid, proof } of transactions) {
    if (proof === undefined) continue
    const root = rootOf(proof.bytes, txid)
    const name = `${root} ${proof.blockHeight}`
    if (tracker === undefined || known.has(name)) continue
    if (!(await tracker.isValidRootForHeight(root, proof.blockHeight))) {
      throw new UnprovenTransactionError('a Merkle path leads to no block of this chain')
    }
    known.add(name)
  }
}

function rootOf(bump: Uint8Array, txid: string): string {
  try {
    return MerklePath.fromBinary(Array.from(bump)).computeRoot(txid)
  } catch (cause) {
    throw new MalformedError(`a Merkle path makes no sense: ${reasonOf(cause)}`)
  }
}

async function verifyInputs(
  transaction: BeefTransaction,
  byTxid: ReadonlyMap<string, BeefTransaction>
): Promise<void> {
  const inputs = transaction.inputs.map(({ sourceTxid, sourceOutputIndex, unlockingScript, sequence }) => ({
    sourceTXID: sourceTxid,
    sourceOutputIndex,
    sequence,
    unlockingScript: UnlockingScript.fromBinary(Array.from(unlockingScript))
  }))
  const outputs = transaction.outputs.map(({ satoshis, lockingScript }) => ({
    satoshis,
    lockingScript: LockingScript.fromBinary(Array.from(lockingScript))
  }))
  const spent = new Set<string>()
  let left = -transaction.outputs.reduce((sum, { satoshis }) => sum + satoshis, 0)
  for (const [inputIndex, input] of inputs.entries()) {
    // The parser has seen that it is there.
    const source = byTxid.get(input.sourceTXID)!.outputs[input.sourceOutputIndex]!
    spent.add(`${input.sourceTXID} ${input.sourceOutputIndex}`)
    left += source.satoshis
    const spend = new Spend({
      sourceTXID: input.sourceTXID,
      sourceOutputIndex: input.sourceOutputIndex,
      sourceSatoshis: source.satoshis,
      lockingScript: LockingScript.fromBinary(Array.from(source.lockingScript)),
      transactionVersion: transaction.version,
      otherInputs: inputs.toSpliced(inputIndex, 1),
      outputs,
      unlockingScript: input.unlockingScript,
      inputSequence: input.sequence,
      inputIndex,
      lockTime: transaction.lockTime
    })
    requireValid(spend)
    await nextTurn()
  }
  if (spent.size < inputs.length) throw new UnprovenTransactionError('a transaction spends an output twice')
  if (left < 0) throw new UnprovenTransactionError('a transaction pays more than it spends')
}

function requireValid(spend: Spend): void {
  let isValid: boolean
  try {
    isValid = spend.validate()
  } catch (cause) {
    throw new UnprovenTransactionError(`a script fails: ${reasonOf(cause)}`)
  }
  if (!isValid) throw new UnprovenTransactionError('a script fails')
}

const LONGEST_REASON = 200

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message.slice(0, LONGEST_REASON) : 'no reason given'
}
