import { hash, randomBytes } from 'node:crypto'
import { LockingScript, MerklePath, Transaction, UnlockingScript } from '@bsv/sdk'
import type { Network } from '../../src/config.js'
import { ApiError } from '../../src/errors.js'
import { isMadeUp } from '../../src/transactions/chain.js'
import type { Outpoint } from '../storage/overlay-outputs.js'

export interface FundedOutput {
  readonly lockingScript: Uint8Array
  readonly satoshis: number
}

/** An output of this node that the transaction spends. */
export interface SpentOutput extends Outpoint {
  /** Its transaction with what verifies it. */
  readonly beef: Uint8Array
  /**
   * @param digest what OP_CHECKSIG checks with SIGHASH_ALL | SIGHASH_FORKID, 32 bytes
   * @returns the DER signature, without the sighash byte: the unlocking script is one push of both
   */
  readonly sign: (digest: Uint8Array) => Uint8Array
}

export interface FundedTransaction {
  readonly txid: string
  readonly beef: Uint8Array
}

/** Whoever pays for this node's transactions. */
export interface Funding {
  /**
   * Makes a transaction with these outputs first, in their order, that spends these outputs and whatever else it takes.
   *
   * @param outputs may be empty: then the transaction only spends
   * @throws ApiError 503 ERR_NO_FUNDING if nobody pays
   */
  fund(outputs: readonly FundedOutput[], spends: readonly SpentOutput[]): Promise<FundedTransaction>
}

const SIGHASH_ALL_FORKID = 0x41
const NONCE_BYTES = 16

const OP_0 = 0x00
const OP_1 = 0x51
const OP_RETURN = 0x6a
const OP_DROP = 0x75

/** The funding of a network: made up on `local` and `private`; on `test` and `main` only a wallet can pay. */
export function createFunding(network: Network): Funding {
  return isMadeUp(network) ? new MadeUpFunding() : noFunding
}

const noFunding: Funding = {
  async fund() {
    throw new ApiError(
      503,
      'ERR_NO_FUNDING',
      'This host has no wallet to pay for transactions on this network, so it cannot advertise for anybody.'
    )
  }
}

/**
 * Coins out of nothing, for networks without a chain: a transaction without inputs, which claims to be the only one of
 * a block. Verification believes that where there is no chain to compare it with, and nowhere else.
 */
export class MadeUpFunding implements Funding {
  readonly #nonce: () => Uint8Array

  /** @param nonce makes every made-up coin another one; 16 bytes */
  constructor(nonce: () => Uint8Array = () => randomBytes(NONCE_BYTES)) {
    this.#nonce = nonce
  }

  async fund(outputs: readonly FundedOutput[], spends: readonly SpentOutput[]): Promise<FundedTransaction> {
    const transaction = new Transaction()
    let satoshis = outputs.reduce((sum, output) => sum + output.satoshis, 0)
    for (const spend of spends) satoshis -= addSpend(transaction, spend)
    if (satoshis > 0 || spends.length === 0) {
      addCoin(transaction, madeUpCoin(Math.max(satoshis, 1), this.#nonce()))
    }
    for (const output of outputs) {
      const lockingScript = LockingScript.fromBinary(Array.from(output.lockingScript))
      transaction.addOutput({ satoshis: output.satoshis, lockingScript })
    }
    if (outputs.length === 0) transaction.addOutput(nothing())
    spends.forEach((spend, index) => {
      transaction.inputs[index]!.unlockingScript = unlock(transaction, index, spend)
    })
    return { txid: transaction.id('hex'), beef: Uint8Array.from(transaction.toBEEF()) }
  }
}

/** Signed when all inputs and outputs are there. @returns the satoshis of what is spent */
function addSpend(transaction: Transaction, spend: SpentOutput): number {
  const sourceTransaction = Transaction.fromBEEF(Array.from(spend.beef), spend.txid)
  transaction.addInput({ sourceTransaction, sourceOutputIndex: spend.outputIndex, sequence: 0xffffffff })
  return sourceTransaction.outputs[spend.outputIndex]?.satoshis ?? 0
}

function addCoin(transaction: Transaction, sourceTransaction: Transaction): void {
  const unlockingScript = new UnlockingScript()
  transaction.addInput({ sourceTransaction, sourceOutputIndex: 0, unlockingScript, sequence: 0xffffffff })
}

/** Anybody can spend it: there is nothing in it. */
function madeUpCoin(satoshis: number, nonce: Uint8Array): Transaction {
  const lockingScript = LockingScript.fromBinary([nonce.length, ...nonce, OP_DROP, OP_1])
  const coin = new Transaction(1, [], [{ satoshis, lockingScript }])
  const txid = coin.id('hex')
  // A height of its own, so that many of them in one BEEF are not compared with each other.
  const height = Number.parseInt(txid.slice(0, 6), 16)
  coin.merklePath = new MerklePath(height, [[{ offset: 0, hash: txid, txid: true }]])
  return coin
}

/** A transaction has an output, be it one that says nothing and cannot be spent. */
function nothing(): { satoshis: number; lockingScript: LockingScript } {
  return { satoshis: 0, lockingScript: LockingScript.fromBinary([OP_0, OP_RETURN]) }
}

function unlock(transaction: Transaction, index: number, spend: SpentOutput): UnlockingScript {
  const preimage = Uint8Array.from(transaction.preimage(index, SIGHASH_ALL_FORKID))
  const digest = hash('sha256', hash('sha256', preimage, 'buffer'), 'buffer')
  const signature = [...spend.sign(digest), SIGHASH_ALL_FORKID]
  return UnlockingScript.fromBinary([signature.length, ...signature])
}
