import { LRUCache } from 'lru-cache'
import type { Clock } from '../context.js'
import type { Lender } from './lender.js'

/** What limits are counted in, ms. */
export const WINDOW_MILLISECONDS = 60_000

/** All processes together let through at most this part of a limit too much … */
const OVERSHOOT = 1 / 10
/** … as long as they are no more than this. Each further one adds its advance. */
const PROCESSES = 10
/** A process leases at most this part of a limit at once: so much may lie unused where nobody asks for it. */
const LARGEST_SLICE = 1 / 10
/** As a budget runs out, slices get smaller: this part of what is left. */
const PART_OF_REST = 1 / 4

/** The part of the lender that a budget needs. */
export type SliceLender = Pick<Lender, 'add' | 'isAway' | 'mayAsk'>

export interface BudgetOptions {
  /** Distinguishes budgets in the store. */
  readonly name: string
  /** Whole number; for each key in each window. */
  readonly limit: number
  /** Most keys remembered here. */
  readonly keys: number
  readonly clock: Clock
  readonly lender: SliceLender
}

/** One key in this process. */
interface Account {
  /** Where in the minute its windows begin, ms. */
  readonly offset: number
  /** Of the current window, ms. */
  endsAt: number
  /** Let through here. */
  used: number
  /** Leased for this window, what was let through on credit included. */
  leased: number
  /** Size of the last slice, credit not included. */
  slice: number
  /** Of the limit when the store was last asked. */
  rest: number
  /** Requests that wait for a slice. */
  waiting: number
  lease: Promise<void> | undefined
}

/**
 * A limit per key and minute that any number of processes share without asking each other for every request. A process
 * leases slices from the store, the next one in the background before the last is used up, and lends itself an advance
 * that it pays back with the next slice. All that the store gives out is within the limit; what exceeds it is at most
 * one advance per process, so the advance is `limit * OVERSHOOT / PROCESSES`, rounded down. Slices grow with what is
 * used here, from 1 to a tenth of the limit. Whoever stays within half of the advance leaves nothing in the store.
 *
 * A request waits only where the advance is used up before the first slice has come. While the store is away, the whole
 * limit holds for each process by itself.
 *
 * The minutes of different keys begin at different times, so that the load on the store is even.
 */
export class Budget {
  readonly limit: number
  readonly #name: string
  readonly #clock: Clock
  readonly #lender: SliceLender
  readonly #advance: number
  readonly #largestSlice: number
  /** A key that falls out loses its unpaid advance and its unused slice. */
  readonly #accounts: LRUCache<string, Account>

  constructor({ name, limit, keys, clock, lender }: BudgetOptions) {
    this.limit = limit
    this.#name = name
    this.#clock = clock
    this.#lender = lender
    this.#advance = Math.floor((limit * OVERSHOOT) / PROCESSES)
    this.#largestSlice = Math.ceil(limit * LARGEST_SLICE)
    this.#accounts = new LRUCache({ max: keys })
  }

  /**
   * Counts one request of a key, if it is within the limit.
   *
   * @returns 0 if it was counted, otherwise the time after which there is a new budget, ms
   */
  take(key: string): number | Promise<number> {
    const now = this.#clock.now()
    let account = this.#accounts.get(key)
    if (account === undefined) {
      account = newAccount(key, this.limit, now)
      this.#accounts.set(key, account)
    }
    return this.#takeNow(key, account, now) ?? this.#takeLater(key, account)
  }

  /** Makes a request that was counted undone. */
  giveBack(key: string): void {
    const account = this.#accounts.peek(key)
    if (account !== undefined && account.used > 0 && isCurrent(account, this.#clock.now())) account.used--
  }

  /** Undefined: only the store can tell. */
  #takeNow(key: string, account: Account, now: number): number | undefined {
    if (!isCurrent(account, now)) beginWindow(account, this.limit, now)
    const { isAway } = this.#lender
    const isTaken = account.used < this.#ceiling(account, isAway)
    if (isTaken) account.used++
    if (this.#isLow(account) && this.#lender.mayAsk(now)) void this.#lease(key, account)
    if (isTaken) return 0
    return isAway || account.rest === 0 ? account.endsAt - now : undefined
  }

  /** Keeps the account even if it falls out meanwhile: what was leased for it must serve those who wait. */
  async #takeLater(key: string, account: Account): Promise<number> {
    for (;;) {
      account.waiting++
      await this.#lease(key, account)
      account.waiting--
      const outcome = this.#takeNow(key, account, this.#clock.now())
      if (outcome !== undefined) return outcome
    }
  }

  #ceiling(account: Account, isAway: boolean): number {
    if (account.rest === 0) return account.leased
    if (isAway) return this.limit
    return Math.min(account.leased + this.#advance, this.limit)
  }

  /** The next slice should be on its way, and is not. */
  #isLow({ leased, used, slice, rest, lease }: Account): boolean {
    if (rest === 0 || lease !== undefined) return false
    return leased + this.#advance - used <= Math.floor(Math.max(this.#advance, slice) / 2)
  }

  #lease(key: string, account: Account): Promise<void> {
    account.lease ??= this.#borrow(key, account)
    return account.lease
  }

  async #borrow(key: string, account: Account): Promise<void> {
    const { endsAt } = account
    const slice = this.#nextSlice(account)
    const asked = Math.max(0, account.used - account.leased) + slice
    const sum = await this.#lender.add(`${this.#name} ${key} ${endsAt}`, asked)
    // A new minute has begun with a lease of its own.
    if (account.endsAt !== endsAt) return
    account.lease = undefined
    if (sum === undefined) return
    account.leased += Math.min(asked, Math.max(0, this.limit - (sum - asked)))
    account.slice = slice
    account.rest = Math.max(0, this.limit - sum)
  }

  /** No larger than what was used so far, so that whoever asks many processes a little does not run out early. */
  #nextSlice({ used, waiting, rest }: Account): number {
    const wanted = Math.max(used, waiting, 1)
    return Math.min(wanted, this.#largestSlice, Math.ceil(rest * PART_OF_REST))
  }
}

function newAccount(key: string, limit: number, now: number): Account {
  const offset = offsetOf(key)
  const endsAt = endOfWindow(offset, now)
  return { offset, endsAt, used: 0, leased: 0, slice: 0, rest: limit, waiting: 0, lease: undefined }
}

function beginWindow(account: Account, limit: number, now: number): void {
  account.endsAt = endOfWindow(account.offset, now)
  account.used = account.leased = account.slice = 0
  account.rest = limit
  account.lease = undefined
}

/** False also where the clock was set back. */
function isCurrent({ endsAt }: Account, now: number): boolean {
  return now < endsAt && now >= endsAt - WINDOW_MILLISECONDS
}

function endOfWindow(offset: number, now: number): number {
  return now - ((now + offset) % WINDOW_MILLISECONDS) + WINDOW_MILLISECONDS
}

/** The same in every process: FNV-1a of the key, as a time within a window. */
function offsetOf(key: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
  return (hash >>> 0) % WINDOW_MILLISECONDS
}
