import { type ChainTracker, Beef as LibraryBeef } from '@bsv/sdk'
import type { Network } from '../config.js'
import type { Beef } from './beef.js'
import { MalformedError } from './byte-reader.js'

/** Whoever knows the headers of the chain: Merkle roots by height. */
export type { ChainTracker }

/** True where tokens are funded by made-up transactions, and no chain is asked. */
export function isMadeUp(network: Network): boolean {
  return network === 'local' || network === 'private'
}

/** What a coinbase transaction has for an input. */
const NO_TXID = '00'.repeat(32)

/**
 * Without a chain, a Merkle path is believed, and a transaction that has one is not looked into. So only a transaction
 * that spends nothing, as coinbase transactions do, may have one: otherwise anybody could spend anybody's token by
 * claiming that it happened in a block.
 *
 * @throws MalformedError
 */
export function requireMadeUpProofs({ transactions }: Beef): void {
  for (const { proof, inputs } of transactions) {
    if (proof !== undefined && inputs.some(({ sourceTxid }) => sourceTxid !== NO_TXID)) {
      throw new MalformedError(
        'on this network only a transaction that spends nothing can have a Merkle path'
      )
    }
  }
}

/**
 * Parses the bytes as the library will. That it sees the same transactions is what every other check here rests on,
 * so it is not taken for granted.
 *
 * @throws MalformedError
 */
export function readAsLibrary(beef: Beef, bytes: Uint8Array): LibraryBeef {
  // A copy: the library reverses hashes where they stand, and slices of a Buffer share its memory.
  const copy = new Uint8Array(bytes)
  const library = readable(() => LibraryBeef.fromBinary(copy))
  const isSame =
    library.txs.length === beef.transactions.length &&
    library.txs.every(({ txid }, index) => txid === beef.transactions[index]?.txid)
  if (!isSame) throw new MalformedError('the BEEF can be read in two ways')
  return library
}

/**
 * Compares the Merkle paths of a BEEF with the chain, and remembers the answers: what verifies the BEEF afterwards,
 * inside a database transaction, must not wait for the network.
 *
 * @returns a tracker that knows what this BEEF needs, and nothing else
 * @throws MalformedError if a path leads to no block; whatever `tracker` throws
 */
export async function askChain(
  tracker: ChainTracker,
  beef: Beef,
  library: LibraryBeef
): Promise<ChainTracker> {
  const roots = new Set<string>()
  const height = await tracker.currentHeight()
  for (const { txid, proof } of beef.transactions) {
    if (proof === undefined) continue
    const root = readable(() => library.findBump(txid)?.computeRoot(txid))
    const name = `${root} ${proof.blockHeight}`
    if (
      root === undefined ||
      (!roots.has(name) && !(await tracker.isValidRootForHeight(root, proof.blockHeight)))
    ) {
      throw new MalformedError('a Merkle path leads to no block of this chain')
    }
    roots.add(name)
  }
  return {
    currentHeight: async () => height,
    isValidRootForHeight: async (root, blockHeight) => roots.has(`${root} ${blockHeight}`)
  }
}

function readable<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw new MalformedError(`a Merkle path makes no sense: ${cause instanceof Error ? cause.message : ''}`)
  }
}
