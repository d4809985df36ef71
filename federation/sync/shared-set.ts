import { LRUCache } from 'lru-cache'
import { boxNames, type RecipientOfHost, recipientsOfHost, sharedNames } from '../storage/reconciliations.js'
import type { SyncContext } from './context.js'
import { type ItemKey, ItemSet, type Slice, sliceOf } from './item-set.js'

/** Names in memory for one range at most, about 64 bytes each. */
const NAMES_AT_ONCE = 50_000
/** Recipients of the other host looked at for one range, shared or not. */
const RECIPIENTS_AT_ONCE = 2_000
/** Boxes of one recipient that are matched against box expressions. */
const BOXES_AT_MOST = 10_000
const CACHE_BYTES = 32 * 1024 * 1024
/** Of an entry, beside its names. */
const ENTRY_BYTES = 500
const RECIPIENT_CHARACTERS = 66
const FIRST_NAME = '00'.repeat(32)

/** A range of what this node shares with a host, as far as it was loaded. */
export interface LoadedRange {
  readonly items: ItemSet
  /** Where it ends, excluded; undefined: the end of everything. */
  readonly until: ItemKey | undefined
}

interface Cached {
  readonly version: string
  readonly slice: Slice
}

/**
 * What this node shares with other hosts. Reads the names of a recipient only if a message of his has come or gone since
 * they were read last, so that comparing what has not changed costs one row for each recipient.
 */
export class SharedSets {
  readonly #context: SyncContext
  readonly #slices = new LRUCache<string, Cached>({
    maxSize: CACHE_BYTES,
    sizeCalculation: ({ slice }) => ENTRY_BYTES + slice.names.length + slice.digests.length
  })

  constructor(context: SyncContext) {
    this.#context = context
  }

  /**
   * Loads a range, or the beginning of it where it is too large.
   *
   * @param host operator key
   * @param lag ms; what expires so soon is left out, as it has expired at the other host
   */
  async load(host: Buffer, from: ItemKey, until: ItemKey | undefined, lag: number): Promise<LoadedRange> {
    const { database, keys } = this.#context
    const recipients = await recipientsOfHost(
      database,
      keys.publicKey,
      host,
      recipientIn(from),
      until === undefined ? undefined : recipientIn(until),
      RECIPIENTS_AT_ONCE + 1
    )
    const slices: Slice[] = []
    const loaded = (end: ItemKey | undefined): LoadedRange => ({ items: new ItemSet(slices), until: end })
    let size = 0
    for (const [i, candidate] of recipients.entries()) {
      const recipient = candidate.recipient.toString('hex')
      if (i === RECIPIENTS_AT_ONCE) return loaded(recipient + FIRST_NAME)
      if (!candidate.shared || candidate.messages === 0) continue
      if (size > 0 && size + candidate.messages > NAMES_AT_ONCE) return loaded(recipient + FIRST_NAME)
      if (candidate.messages > NAMES_AT_ONCE) {
        // By himself, and not kept in memory.
        const slice = await this.#read(candidate, from, until, lag)
        const names = slice.names.length / 32
        if (names <= NAMES_AT_ONCE) {
          slices.push(slice)
          size += names
          continue
        }
        const end = NAMES_AT_ONCE * 32
        slices.push(
          sliceOf(candidate.recipient, slice.names.subarray(0, end), slice.digests.subarray(0, end))
        )
        return loaded(recipient + slice.names.toString('hex', end, end + 32))
      }
      const slice = await this.#whole(candidate, lag)
      slices.push(slice)
      size += slice.names.length / 32
    }
    return loaded(until)
  }

  async #whole(candidate: RecipientOfHost, lag: number): Promise<Slice> {
    const { recipient, version, expressions } = candidate
    const key = JSON.stringify([recipient.toString('hex'), expressions, lag])
    const cached = this.#slices.get(key)
    if (cached?.version === version) return cached.slice
    const slice = await this.#read(candidate, '', undefined, lag)
    this.#slices.set(key, { version, slice })
    return slice
  }

  async #read(
    { recipient, expressions }: RecipientOfHost,
    from: ItemKey,
    until: ItemKey | undefined,
    lag: number
  ): Promise<Slice> {
    const { clock, database, forwarding } = this.#context
    const key = recipient.toString('hex')
    let boxes: string[] | undefined
    if (expressions.length > 0) {
      const names = await boxNames(database, recipient, BOXES_AT_MOST)
      boxes = names.filter(name => expressions.every(expression => forwarding.matches(expression, name)))
    }
    const { names, digests } = await sharedNames(
      database,
      recipient,
      from.startsWith(key) ? nameIn(from) : Buffer.alloc(0),
      until?.startsWith(key) ? nameIn(until) : undefined,
      boxes,
      clock.now() + lag,
      NAMES_AT_ONCE + 1
    )
    return sliceOf(recipient, names, digests)
  }
}

function recipientIn(key: ItemKey): Buffer {
  return Buffer.from(key.slice(0, RECIPIENT_CHARACTERS), 'hex')
}

function nameIn(key: ItemKey): Buffer {
  return Buffer.from(key.slice(RECIPIENT_CHARACTERS), 'hex')
}
