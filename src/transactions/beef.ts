import { hash } from 'node:crypto'
import { ByteReader, MalformedError, varInt } from './byte-reader.js'
import { type ParsedTransaction, readTransaction, shownTxid, storedTxid } from './transaction.js'

/** A transaction with the ancestry needed to check it (BRC-62, BRC-95, BRC-96). */
export interface Beef {
  /** Ancestors first: every source of an unproven transaction stands before it. */
  readonly transactions: readonly BeefTransaction[]
  /** What the BEEF is about: the transaction that BRC-95 names, otherwise the last one. */
  readonly subject: BeefTransaction
}

export interface BeefTransaction extends ParsedTransaction {
  /** The BUMP that claims that it is in a block (BRC-74); nobody has compared that with a chain yet. */
  readonly proof: Bump | undefined
}

/** A Merkle path, as far as it is read without checking it. */
export interface Bump {
  readonly bytes: Uint8Array
  readonly blockHeight: number
  /** What it proves: the leaves of the lowest level, as ids are shown. */
  readonly txids: readonly string[]
}

const BEEF_V1 = 0xefbe0001
const BEEF_V2 = 0xefbe0002
const ATOMIC_BEEF = 0x01010101

const RAW = 0
const RAW_WITH_PROOF = 1

const MAX_TRANSACTIONS = 128
/** Of all transactions together. */
const MAX_INPUTS = 4_096
const MAX_BUMPS = 64
const MAX_TREE_HEIGHT = 64
/** Leaves of the lowest level: from each of them @bsv/sdk walks up the tree, past all others of the BUMP. */
const MAX_LOWEST_LEAVES = 32
/** Of all BUMPs together: of the lowest level, and of every level. */
const MAX_LEAVES = { lowest: 128, all: 4_096 }

/**
 * Parses a BEEF of either version, atomic or not, and checks its shape: no id without its transaction, nothing
 * twice, ancestors first, every input of an unproven transaction present.
 *
 * Whatever BUMP names a transaction counts as its proof, as for @bsv/sdk where it merges, not only the one its index
 * names; but that one must name it, too.
 *
 * @throws MalformedError also for bytes behind the end
 */
export function parseBeef(bytes: Uint8Array): Beef {
  const reader = new ByteReader(bytes)
  let version = reader.uint32()
  let atomicTxid: string | undefined
  if (version === ATOMIC_BEEF) {
    atomicTxid = shownTxid(reader.bytes(32))
    version = reader.uint32()
  }
  if (version !== BEEF_V1 && version !== BEEF_V2) throw new MalformedError('this is not BEEF')
  const bumps = readBumps(reader)
  const proofs = proofsByTxid(bumps)
  const transactions = new Map<string, BeefTransaction>()
  let inputs = 0
  for (let left = reader.count(MAX_TRANSACTIONS, 'transactions'); left > 0; left--) {
    const { transaction, bumpIndex } = version === BEEF_V1 ? readVersion1(reader) : readVersion2(reader)
    inputs += transaction.inputs.length
    if (inputs > MAX_INPUTS) throw new MalformedError(`more than ${MAX_INPUTS} inputs`)
    if (transactions.has(transaction.txid)) throw new MalformedError('a transaction stands twice in the BEEF')
    const proof = proofs.get(transaction.txid)
    // @bsv/sdk would take the BUMP for its proof all the same.
    if (bumpIndex !== undefined && bumps[bumpIndex]?.txids.includes(transaction.txid) !== true) {
      throw new MalformedError('a transaction is not in the BUMP that its index names')
    }
    if (proof === undefined) requireSources(transaction, transactions)
    transactions.set(transaction.txid, { ...transaction, proof })
  }
  if (reader.remaining > 0) throw new MalformedError('the BEEF is followed by other data')
  const list = [...transactions.values()]
  const subject = atomicTxid === undefined ? list.at(-1) : transactions.get(atomicTxid)
  if (subject === undefined) throw new MalformedError('the BEEF does not contain its transaction')
  return { transactions: list, subject }
}

/** The BEEF of one transaction of another BEEF: itself, and the ancestors that it needs. */
export function extractBeef(beef: Beef, subject: BeefTransaction): Uint8Array {
  const needed = new Set([subject.txid])
  const taken: BeefTransaction[] = []
  for (const transaction of beef.transactions.toReversed()) {
    if (!needed.has(transaction.txid)) continue
    taken.push(transaction)
    if (transaction.proof !== undefined) continue
    for (const { sourceTxid } of transaction.inputs) needed.add(sourceTxid)
  }
  return writeBeef(taken.reverse())
}

/** The same as atomic BEEF (BRC-95), which wallets take for payments. */
export function extractAtomicBeef(beef: Beef, subject: BeefTransaction): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt32LE(ATOMIC_BEEF)
  return Buffer.concat([head, storedTxid(subject.txid), extractBeef(beef, subject)])
}

/** One BEEF with the transactions of all, each once. The last one of the last BEEF is its subject. */
export function mergeBeefs(beefs: readonly Beef[]): Uint8Array {
  const merged = new Map<string, BeefTransaction>()
  for (const { transactions } of beefs) {
    for (const transaction of transactions) {
      if (!merged.has(transaction.txid)) merged.set(transaction.txid, transaction)
    }
  }
  return writeBeef([...merged.values()])
}

/** Version 1 (BRC-62), which every reader knows. @param transactions ancestors first, the subject last */
export function writeBeef(transactions: readonly Pick<BeefTransaction, 'bytes' | 'proof'>[]): Buffer {
  const bumps = new Map<string, { index: number; bytes: Uint8Array }>()
  const written = transactions.map(({ bytes, proof }) => {
    if (proof === undefined) return Buffer.concat([bytes, Buffer.of(0)])
    const digest = hash('sha256', proof.bytes, 'base64')
    const bump = bumps.get(digest) ?? { index: bumps.size, bytes: proof.bytes }
    bumps.set(digest, bump)
    return Buffer.concat([bytes, Buffer.of(1), varInt(bump.index)])
  })
  const version = Buffer.alloc(4)
  version.writeUInt32LE(BEEF_V1)
  return Buffer.concat([
    version,
    varInt(bumps.size),
    ...[...bumps.values()].map(bump => bump.bytes),
    varInt(transactions.length),
    ...written
  ])
}

/** @throws MalformedError also for bytes behind the end */
export function parseBump(bytes: Uint8Array): Bump {
  const reader = new ByteReader(bytes)
  const bump = readBump(reader, { ...MAX_LEAVES })
  if (reader.remaining > 0) throw new MalformedError('a BUMP is followed by other data')
  return bump
}

function readBumps(reader: ByteReader): Bump[] {
  const bumps: Bump[] = []
  const left = { ...MAX_LEAVES }
  for (let count = reader.count(MAX_BUMPS, 'BUMPs'); count > 0; count--) bumps.push(readBump(reader, left))
  return bumps
}

/** @param left leaves that may still be read; counted down */
function readBump(reader: ByteReader, left: { lowest: number; all: number }): Bump {
  const start = reader.position
  const blockHeight = reader.varInt()
  const treeHeight = reader.uint8()
  if (treeHeight === 0 || treeHeight > MAX_TREE_HEIGHT)
    throw new MalformedError('a BUMP has an impossible height')
  const txids: string[] = []
  for (let level = 0; level < treeHeight; level++) {
    const most = level === 0 ? Math.min(MAX_LOWEST_LEAVES, left.lowest) : left.all
    const leaves = reader.count(most, 'leaves in BUMPs')
    if (level === 0) left.lowest -= leaves
    left.all -= leaves
    for (let leaf = 0; leaf < leaves; leaf++) {
      reader.varInt() // offset
      const isDuplicate = (reader.uint8() & 1) === 1
      if (isDuplicate) continue
      const leafHash = reader.bytes(32)
      if (level === 0) txids.push(shownTxid(leafHash))
    }
  }
  return { bytes: reader.since(start), blockHeight, txids }
}

function proofsByTxid(bumps: readonly Bump[]): Map<string, Bump> {
  const proofs = new Map<string, Bump>()
  for (const bump of bumps) {
    for (const txid of bump.txids) if (!proofs.has(txid)) proofs.set(txid, bump)
  }
  return proofs
}

interface Entry {
  readonly transaction: ParsedTransaction
  /** Of the BUMP that is said to prove it. */
  readonly bumpIndex: number | undefined
}

function readVersion1(reader: ByteReader): Entry {
  const transaction = readTransaction(reader)
  return { transaction, bumpIndex: reader.uint8() === 0 ? undefined : reader.varInt() }
}

function readVersion2(reader: ByteReader): Entry {
  const format = reader.uint8()
  if (format !== RAW && format !== RAW_WITH_PROOF)
    throw new MalformedError('a transaction is missing, only its id is there')
  const bumpIndex = format === RAW_WITH_PROOF ? reader.varInt() : undefined
  return { transaction: readTransaction(reader), bumpIndex }
}

function requireSources(transaction: ParsedTransaction, known: ReadonlyMap<string, BeefTransaction>): void {
  if (transaction.inputs.length === 0)
    throw new MalformedError('a transaction without inputs and without a proof')
  for (const { sourceTxid, sourceOutputIndex } of transaction.inputs) {
    const source = known.get(sourceTxid)
    if (source === undefined)
      throw new MalformedError('the source of an unproven transaction is missing before it')
    if (source.outputs[sourceOutputIndex] === undefined) throw new MalformedError('an input spends no output')
  }
}
