import { LockingScript, Spend, Transaction, TransactionSignature, UnlockingScript } from '@bsv/sdk'
import { sha256 } from './phip-token-builder.js'

/**
 * True if the interpreter of @bsv/sdk lets an output with this script be spent by one signature.
 *
 * @param sign answers DER for the 32 bytes that OP_CHECKSIG checks
 */
export function isSpentBy(script: Uint8Array, sign: (digest: Buffer) => Uint8Array): boolean {
  const lockingScript = LockingScript.fromBinary([...script])
  const source = new Transaction(1, [], [{ lockingScript, satoshis: 1 }])
  const outputs = [{ lockingScript: LockingScript.fromHex('006a'), satoshis: 1 }]
  const input = {
    sourceTXID: source.id('hex'),
    sourceOutputIndex: 0,
    sourceSatoshis: 1,
    transactionVersion: 1,
    otherInputs: [],
    outputs,
    inputIndex: 0,
    inputSequence: 0xffffffff,
    lockTime: 0
  }
  const scope = TransactionSignature.SIGHASH_ALL | TransactionSignature.SIGHASH_FORKID
  const preimage = TransactionSignature.format({ ...input, subscript: lockingScript, scope })
  const signature = [...sign(sha256(sha256(Uint8Array.from(preimage)))), scope]
  const unlockingScript = new UnlockingScript([{ op: signature.length, data: signature }])
  try {
    return new Spend({ ...input, lockingScript, unlockingScript }).validate()
  } catch {
    return false
  }
}
