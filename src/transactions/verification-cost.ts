import type { Beef, BeefTransaction } from './beef.js'
import { MalformedError } from './byte-reader.js'

/** Longest script that is run, bytes. */
const MAX_SCRIPT_BYTES = 10_000
/** Largest unproven transaction, bytes: every signature hashes it again. */
const MAX_TRANSACTION_BYTES = 100_000
/** Hashes in all scripts that are run. */
const MAX_HASHES = 128
/** Signatures in all scripts that are run: each costs @bsv/sdk some 4 ms. */
const MAX_SIGNATURES = 32
/** The same, where several transactions of one BEEF are judged, each with its ancestors. */
const MAX_REPEATED_SIGNATURES = 128
/** Ways through the graph of unproven transactions. @bsv/sdk walks every one of them, and diamonds double them. */
const MAX_PATHS = 1_000

const OP_PUSHDATA1 = 0x4c
const OP_16 = 0x60

/** All that payments to keys and PushDrop outputs need. Numbers of a megabyte and loops over them are another thing. */
const CHEAP_OPCODES = new Set([
  0x61, // OP_NOP
  0x69, // OP_VERIFY
  0x6d, // OP_2DROP
  0x75, // OP_DROP
  0x76, // OP_DUP
  0x87, // OP_EQUAL
  0x88 // OP_EQUALVERIFY
])
const HASH_OPCODES = new Set([
  0xa8, // OP_SHA256
  0xa9, // OP_HASH160
  0xaa // OP_HASH256
])
const SIGNATURE_OPCODES = new Set([
  0xac, // OP_CHECKSIG
  0xad // OP_CHECKSIGVERIFY
])

interface Cost {
  signatures: number
  hashes: number
}

/**
 * Refuses what would be dear to verify. The interpreter of @bsv/sdk has no limits that fit a public endpoint, and runs
 * on the one thread that serves everybody.
 *
 * Only scripts of unproven transactions run. Funding with other scripts is welcome once it is mined.
 *
 * @param judged whether a transaction will be judged: it is verified with all its ancestors then, again if they were
 * @throws MalformedError
 */
export function boundVerification(beef: Beef, judged: (transaction: BeefTransaction) => boolean): void {
  boundPaths(beef)
  const byTxid = new Map(beef.transactions.map(transaction => [transaction.txid, transaction]))
  /** Signatures of a transaction and its ancestors; an ancestor counts for each way to it. */
  const signatures = new Map<string, number>()
  const total: Cost = { signatures: 0, hashes: 0 }
  let repeated = 0
  for (const transaction of beef.transactions) {
    if (transaction.proof !== undefined) continue
    const cost = costOf(transaction, byTxid)
    total.signatures += cost.signatures
    total.hashes += cost.hashes
    let sum = cost.signatures
    for (const { sourceTxid } of transaction.inputs) sum += signatures.get(sourceTxid) ?? 0
    signatures.set(transaction.txid, sum)
    if (judged(transaction)) repeated += sum
    const isDear = total.signatures > MAX_SIGNATURES || total.hashes > MAX_HASHES
    if (isDear || repeated > MAX_REPEATED_SIGNATURES) {
      throw new MalformedError('too many signatures of unproven transactions')
    }
  }
}

function costOf(transaction: BeefTransaction, byTxid: ReadonlyMap<string, BeefTransaction>): Cost {
  if (transaction.bytes.length > MAX_TRANSACTION_BYTES) {
    throw new MalformedError(`an unproven transaction has more than ${MAX_TRANSACTION_BYTES} bytes`)
  }
  const cost: Cost = { signatures: 0, hashes: 0 }
  for (const input of transaction.inputs) {
    const source = byTxid.get(input.sourceTxid)?.outputs[input.sourceOutputIndex]
    addCost(cost, input.unlockingScript)
    if (source !== undefined) addCost(cost, source.lockingScript)
  }
  return cost
}

function boundPaths({ transactions }: Beef): void {
  const paths = new Map<string, number>()
  for (const transaction of transactions) {
    const count = transaction.proof === undefined ? pathsFrom(transaction, paths) : 0
    if (count > MAX_PATHS) throw new MalformedError('too many ways through the unproven ancestors')
    paths.set(transaction.txid, count)
  }
}

function pathsFrom(transaction: BeefTransaction, paths: ReadonlyMap<string, number>): number {
  let count = 1
  for (const { sourceTxid } of transaction.inputs) count += paths.get(sourceTxid) ?? 0
  return count
}

function addCost(cost: Cost, script: Uint8Array): void {
  if (script.length > MAX_SCRIPT_BYTES)
    throw new MalformedError('a script of an unproven transaction is too long')
  let at = 0
  while (at < script.length) {
    const opcode = script[at]!
    at++
    if (opcode < OP_PUSHDATA1) {
      at += opcode
    } else if (opcode <= OP_PUSHDATA1 + 2) {
      at = afterPushData(script, at, opcode)
    } else if (SIGNATURE_OPCODES.has(opcode)) {
      cost.signatures++
    } else if (HASH_OPCODES.has(opcode)) {
      cost.hashes++
    } else if (opcode > OP_16 && !CHEAP_OPCODES.has(opcode)) {
      throw new MalformedError(
        `a script of an unproven transaction contains opcode 0x${opcode.toString(16)}, which is not run here`
      )
    }
  }
}

/** @param at index behind OP_PUSHDATA1, 2 or 4; a length that is cut off ends the script, and its run */
function afterPushData(script: Uint8Array, at: number, opcode: number): number {
  const lengthBytes = 1 << (opcode - OP_PUSHDATA1)
  let length = 0
  for (let index = lengthBytes - 1; index >= 0; index--) length = length * 256 + (script[at + index] ?? 0)
  return at + lengthBytes + length
}
