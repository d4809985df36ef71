import { hash } from 'node:crypto'
import { ByteReader, MalformedError } from './byte-reader.js'

export interface TransactionInput {
  /** As it is shown: 64 hex characters. */
  readonly sourceTxid: string
  readonly sourceOutputIndex: number
  readonly unlockingScript: Uint8Array
  readonly sequence: number
}

export interface TransactionOutput {
  readonly satoshis: number
  readonly lockingScript: Uint8Array
}

/** A transaction as far as anybody looks into it; scripts are views into `bytes`. */
export interface ParsedTransaction {
  /** As it is shown: 64 hex characters. */
  readonly txid: string
  readonly bytes: Uint8Array
  readonly version: number
  readonly lockTime: number
  readonly inputs: readonly TransactionInput[]
  readonly outputs: readonly TransactionOutput[]
}

/** Inputs or outputs of one transaction; ancestors of a token may be large payments of somebody's wallet. */
const MAX_INPUTS = 1_000
const MAX_OUTPUTS = 1_000
/** All there will ever be. */
const MAX_SATOSHIS = 21e14

/** @throws MalformedError also for bytes behind the end */
export function parseTransaction(bytes: Uint8Array): ParsedTransaction {
  const reader = new ByteReader(bytes)
  const transaction = readTransaction(reader)
  if (reader.remaining > 0) throw new MalformedError('a transaction is followed by other data')
  return transaction
}

/** @throws MalformedError */
export function readTransaction(reader: ByteReader): ParsedTransaction {
  const start = reader.position
  const version = reader.uint32()
  const inputs: TransactionInput[] = []
  for (let left = reader.count(MAX_INPUTS, 'inputs in a transaction'); left > 0; left--) {
    const sourceTxid = shownTxid(reader.bytes(32))
    const sourceOutputIndex = reader.uint32()
    const unlockingScript = reader.bytes(reader.varInt())
    inputs.push({ sourceTxid, sourceOutputIndex, unlockingScript, sequence: reader.uint32() })
  }
  const outputs: TransactionOutput[] = []
  for (let left = reader.count(MAX_OUTPUTS, 'outputs in a transaction'); left > 0; left--) {
    const satoshis = reader.uint64()
    if (satoshis > MAX_SATOSHIS) throw new MalformedError('an output has more satoshis than there are')
    outputs.push({ satoshis, lockingScript: reader.bytes(reader.varInt()) })
  }
  const lockTime = reader.uint32()
  const bytes = reader.since(start)
  return { txid: txidOf(bytes), bytes, version, lockTime, inputs, outputs }
}

/** The hash of a transaction in the order in which it is shown. */
function txidOf(transaction: Uint8Array): string {
  const once = hash('sha256', transaction, 'buffer')
  return shownTxid(hash('sha256', once, 'buffer'))
}

/** Transactions hold ids in the reverse of the order in which they are shown. */
export function shownTxid(bytes: Uint8Array): string {
  return Buffer.from(bytes).reverse().toString('hex')
}

export function storedTxid(txid: string): Buffer {
  return Buffer.from(txid, 'hex').reverse()
}
