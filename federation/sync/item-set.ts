import { hash } from 'node:crypto'

/*
 * What two hosts compare: items of 65 bytes, recipient ‖ name, in the order of their bytes. Keys are items in lower-case
 * hex, which have the same order. docs/federation.md defines the fingerprint.
 */

/** An item in hex, 130 characters; the empty text lies before all items. */
export type ItemKey = string

/** Some of the names of one recipient, ascending. */
export interface Slice {
  /** 33 bytes. */
  readonly recipient: Buffer
  /** 32 bytes each. */
  readonly names: Buffer
  /** SHA-256(recipient ‖ name) of each name. */
  readonly digests: Buffer
  /** Of all digests. */
  readonly sum: Sum
}

/** Eight digits of 32 bits, the least significant one first. */
export type Sum = Float64Array

export interface Fingerprint {
  readonly count: number
  /** 64 hex characters. */
  readonly fingerprint: string
}

export interface Part extends Fingerprint {
  /** Where it ends, excluded; undefined: where the range ends. */
  readonly until: ItemKey | undefined
}

const NAME_BYTES = 32
const RECIPIENT_CHARACTERS = 66
const DIGITS = 8

/** Makes a slice of names and their digests. */
export function sliceOf(recipient: Buffer, names: Buffer, digests: Buffer): Slice {
  return { recipient, names, digests, sum: sumOf(digests, 0, digests.length / NAME_BYTES) }
}

/** A sorted set of items, in memory. */
export class ItemSet {
  readonly #slices: readonly Slice[]
  /** How many items lie before each slice. */
  readonly #offsets: number[] = []
  readonly size: number

  /** @param slices ascending by recipient, each recipient once */
  constructor(slices: readonly Slice[]) {
    this.#slices = slices
    let size = 0
    for (const { names } of slices) {
      this.#offsets.push(size)
      size += names.length / NAME_BYTES
    }
    this.size = size
  }

  /** Of the items from `from` (included) to `until` (excluded; undefined: to the end). */
  fingerprint(from: ItemKey, until: ItemKey | undefined): Fingerprint {
    return this.#fingerprint(...this.#positions(from, until))
  }

  /** The items of a range. */
  items(from: ItemKey, until: ItemKey | undefined): ItemKey[] {
    const [first, end] = this.#positions(from, until)
    const keys: ItemKey[] = []
    for (let position = first; position < end; position++) keys.push(this.#key(position))
    return keys
  }

  /** Cuts a range into so many parts of about the same number of items. */
  split(from: ItemKey, until: ItemKey | undefined, parts: number): Part[] {
    const [first, end] = this.#positions(from, until)
    const cuts = new Set<number>()
    for (let part = 1; part < parts; part++) {
      const cut = first + Math.floor(((end - first) * part) / parts)
      if (cut > first && cut < end) cuts.add(cut)
    }
    const ends = [...cuts, end]
    return ends.map((cut, i) => ({
      until: cut === end ? undefined : this.#key(cut),
      ...this.#fingerprint(i === 0 ? first : ends[i - 1]!, cut)
    }))
  }

  #positions(from: ItemKey, until: ItemKey | undefined): [first: number, end: number] {
    const first = this.#position(from)
    return [first, until === undefined ? this.size : Math.max(first, this.#position(until))]
  }

  /** How many items lie before a key. */
  #position(key: ItemKey): number {
    let [low, high] = [0, this.size]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#key(middle) < key) low = middle + 1
      else high = middle
    }
    return low
  }

  #key(position: number): ItemKey {
    const i = this.#sliceAt(position)
    const { recipient, names } = this.#slices[i]!
    const at = (position - this.#offsets[i]!) * NAME_BYTES
    return recipient.toString('hex') + names.toString('hex', at, at + NAME_BYTES)
  }

  /** The slice in which a position lies. */
  #sliceAt(position: number): number {
    let [low, high] = [0, this.#slices.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (this.#offsets[middle]! <= position) low = middle
      else high = middle - 1
    }
    return low
  }

  #fingerprint(first: number, end: number): Fingerprint {
    const total = new Float64Array(DIGITS)
    for (let position = first; position < end; ) {
      const i = this.#sliceAt(position)
      const slice = this.#slices[i]!
      const offset = this.#offsets[i]!
      const count = slice.names.length / NAME_BYTES
      const last = Math.min(end - offset, count)
      const isWhole = position === offset && last === count
      add(total, isWhole ? slice.sum : sumOf(slice.digests, position - offset, last))
      position = offset + last
    }
    return { count: end - first, fingerprint: fingerprintOf(end - first, total) }
  }
}

/** The recipient of an item, and its name. */
export function partsOf(key: ItemKey): { recipient: string; name: string } {
  return { recipient: key.slice(0, RECIPIENT_CHARACTERS), name: key.slice(RECIPIENT_CHARACTERS) }
}

function sumOf(digests: Buffer, first: number, end: number): Sum {
  const sum = new Float64Array(DIGITS)
  for (let i = first; i < end; i++) {
    const at = i * NAME_BYTES
    for (let digit = 0; digit < DIGITS; digit++) {
      sum[digit]! += digests.readUInt32BE(at + NAME_BYTES - 4 - digit * 4)
    }
    // Digits stay exact: 2^53 is a million times more than one adds.
    if ((i - first) % 100_000 === 99_999) carry(sum)
  }
  carry(sum)
  return sum
}

function add(total: Sum, sum: Sum): void {
  for (let digit = 0; digit < DIGITS; digit++) total[digit]! += sum[digit]!
  carry(total)
}

/** Makes every digit less than 2^32; what is carried out of the last one is dropped. */
function carry(sum: Sum): void {
  let carried = 0
  for (let digit = 0; digit < DIGITS; digit++) {
    const value = sum[digit]! + carried
    carried = Math.floor(value / 2 ** 32)
    sum[digit] = value - carried * 2 ** 32
  }
}

/** SHA-256(count, 8 bytes ‖ sum, 32 bytes), both big endian. */
function fingerprintOf(count: number, sum: Sum): string {
  const bytes = Buffer.alloc(8 + NAME_BYTES)
  bytes.writeBigUInt64BE(BigInt(count))
  for (let digit = 0; digit < DIGITS; digit++) {
    bytes.writeUInt32BE(sum[digit]!, 8 + NAME_BYTES - 4 - digit * 4)
  }
  return hash('sha256', bytes, 'hex')
}
