import type { Beef, BeefTransaction } from './beef.js'
import { MalformedError } from './byte-reader.js'

/** Longest script that is run, bytes. */
const MAX_SCRIPT_BYTES = 10_000
/** Signatures and hashes in all scripts that are run: a signature costs @bsv/sdk some 4 ms. */
const MAX_COSTLY_OPCODES = 64
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
const COSTLY_OPCODES = new Set([
  0xa8, // OP_SHA256
  0xa9, // OP_HASH160
  0xaa, // OP_HASH256
  0xac, // OP_CHECKSIG
  0xad // OP_CHECKSIGVERIFY
])

/**
 * Refuses what would be dear to verify. The interpreter of @bsv/sdk has no limits that fit a public endpoint, and runs
 * on the one thread that serves everybody.
 *
 * Only scripts of unproven transactions run. Funding with other scripts is welcome once it is mined.
 *
 * @throws MalformedError
 */
export function boundVerification(beef: Beef): void {
  boundPaths(beef)
  const byTxid = new Map(beef.transactions.map(transaction => [transaction.txid, transaction]))
  let costly = 0
  for (const transaction of beef.transactions) {
    if (transaction.proof !== undefined) continue
    for (const input of transaction.inputs) {
      const source = byTxid.get(input.sourceTxid)?.outputs[input.sourceOutputIndex]
      costly += costlyOpcodes(input.unlockingScript)
      if (source !== undefined) costly += costlyOpcodes(source.lockingScript)
      if (costly > MAX_COSTLY_OPCODES)
        throw new MalformedError('too many signatures of unproven transactions')
    }
  }
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

function costlyOpcodes(script: Uint8Array): number {
  if (script.length > MAX_SCRIPT_BYTES)
    throw new MalformedError('a script of an unproven transaction is too long')
  let costly = 0
  let at = 0
  while (at < script.length) {
    const opcode = script[at]!
    at++
    if (opcode < OP_PUSHDATA1) {
      at += opcode
    } else if (opcode <= OP_PUSHDATA1 + 2) {
      at = afterPushData(script, at, opcode)
    } else if (COSTLY_OPCODES.has(opcode)) {
      costly++
    } else if (opcode > OP_16 && !CHEAP_OPCODES.has(opcode)) {
      throw new MalformedError(
        `a script of an unproven transaction contains opcode 0x${opcode.toString(16)}, which is not run here`
      )
    }
  }
  return costly
}

/** @param at index behind OP_PUSHDATA1, 2 or 4; a length that is cut off ends the script, and its run */
function afterPushData(script: Uint8Array, at: number, opcode: number): number {
  const lengthBytes = 1 << (opcode - OP_PUSHDATA1)
  let length = 0
  for (let index = lengthBytes - 1; index >= 0; index--) length = length * 256 + (script[at + index] ?? 0)
  return at + lengthBytes + length
}
