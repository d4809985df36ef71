import { LRUCache } from 'lru-cache'
import type { Clock } from '../context.js'
import { ApiError } from '../errors.js'
import type { IdentityKey } from '../keys/identity-key.js'
import type { Logger } from '../logger.js'
import { addressBlock } from './address-block.js'
import { Budget } from './budget.js'
import { KnownHosts } from './known-hosts.js'
import { Lender } from './lender.js'
import type { RateStore } from './store.js'
import { CountedVisit, type Visit } from './visit.js'

/** What has a rate of its own. */
export type Resource = 'address' | 'identity' | 'peer' | 'pair'

/** Requests a minute; for a pair: messages of one sender to one recipient. */
export type RateLimits = Readonly<Record<Resource, number>>

export interface RatesOptions {
  readonly limits: RateLimits
  readonly clock: Clock
  readonly logger: Logger
  /** Is told of everything that was refused. */
  readonly onRefused: (resource: Resource) => void
  readonly store: RateStore
  /** Whether an identity is the operator of a live PHIP token. */
  readonly isHost: (identityKey: IdentityKey) => Promise<boolean>
}

/** Most keys of each resource that this process remembers; each needs some 300 bytes. */
const KEYS = 10_000

const WHAT: Readonly<Record<Resource, string>> = {
  address: 'requests without proof of who sends them, from one address',
  identity: 'requests of one identity',
  peer: 'requests of one host',
  pair: 'messages of one sender to one recipient'
}

/** How often anybody may ask; every method that refuses throws ApiError 429 ERR_RATE_LIMITED. */
export interface Rates {
  /** Counts a request that is answered to anybody, or refused. */
  stranger(address: string): Promise<void> | void
  /** Counts a request that is to prove its sender, if it does not. */
  visit(address: string): Visit
  /** Counts a request of a proven caller: as a peer host, if he calls as one and is one, otherwise as an identity. */
  caller(identityKey: IdentityKey, callsAsHost: boolean): Promise<void> | void
  /** Makes undone what `caller` counted: whoever plays a request of his again must not spend what he may ask. */
  undoCaller(identityKey: IdentityKey, callsAsHost: boolean): void
  /** Counts a message to each of these recipients, or to none of them. */
  sends(sender: IdentityKey, recipients: readonly IdentityKey[]): Promise<void>
  /** Makes undone what `sends` or `handover` counted. */
  undoSends(sender: IdentityKey, recipients: readonly IdentityKey[]): void
  /**
   * Counts a message that a host has handed on.
   *
   * @returns 0 if it was counted, otherwise seconds after which it may be sent again
   */
  handover(sender: IdentityKey, recipient: IdentityKey): Promise<number>
}

/** For what the operator's own machines ask: nothing is counted. */
export const UNLIMITED: Rates = {
  stranger() {},
  visit: () => ({ show() {}, proven() {}, refused() {} }),
  caller() {},
  undoCaller() {},
  async sends() {},
  undoSends() {},
  handover: async () => 0
}

/** The rates of a node; all processes that share the store share them. */
export function createRates(options: RatesOptions): Rates {
  return new SharedRates(options)
}

class SharedRates implements Rates {
  readonly #suspects = new LRUCache<string, true>({ max: KEYS })
  readonly #budgets: Readonly<Record<Resource, Budget>>
  readonly #hosts: KnownHosts
  readonly #onRefused: RatesOptions['onRefused']

  constructor({ limits, clock, logger, onRefused, store, isHost }: RatesOptions) {
    const lender = new Lender(store, clock, logger)
    const budget = (name: Resource) => new Budget({ name, limit: limits[name], keys: KEYS, clock, lender })
    this.#budgets = {
      address: budget('address'),
      identity: budget('identity'),
      peer: budget('peer'),
      pair: budget('pair')
    }
    this.#hosts = new KnownHosts(isHost, clock, KEYS)
    this.#onRefused = onRefused
  }

  stranger(address: string): Promise<void> | void {
    return this.#spend('address', addressBlock(address))
  }

  visit(address: string): Visit {
    return new CountedVisit(() => this.stranger(address), this.#suspects)
  }

  caller(identityKey: IdentityKey, callsAsHost: boolean): Promise<void> | void {
    return this.#spend(this.#resourceOf(identityKey, callsAsHost), identityKey)
  }

  undoCaller(identityKey: IdentityKey, callsAsHost: boolean): void {
    this.#budgets[this.#resourceOf(identityKey, callsAsHost)].giveBack(identityKey)
  }

  async sends(sender: IdentityKey, recipients: readonly IdentityKey[]): Promise<void> {
    const waits = await Promise.all(
      recipients.map(recipient => this.#budgets.pair.take(pair(sender, recipient)))
    )
    const longest = Math.max(...waits)
    if (longest === 0) return
    const counted = recipients.filter((_, i) => waits[i] === 0)
    this.undoSends(sender, counted)
    const exceeded = recipients.filter((_, i) => waits[i] !== 0)
    throw this.#refusal('pair', longest, {
      recipients: exceeded.map(recipient => ({ recipient, code: 'ERR_RATE_LIMITED' }))
    })
  }

  undoSends(sender: IdentityKey, recipients: readonly IdentityKey[]): void {
    for (const recipient of recipients) this.#budgets.pair.giveBack(pair(sender, recipient))
  }

  async handover(sender: IdentityKey, recipient: IdentityKey): Promise<number> {
    const wait = await this.#budgets.pair.take(pair(sender, recipient))
    if (wait > 0) this.#onRefused('pair')
    return seconds(wait)
  }

  #resourceOf(identityKey: IdentityKey, callsAsHost: boolean): Resource {
    return callsAsHost && this.#hosts.has(identityKey) ? 'peer' : 'identity'
  }

  #spend(resource: Resource, key: string): Promise<void> | void {
    const wait = this.#budgets[resource].take(key)
    if (typeof wait !== 'number') return this.#spendLater(resource, wait)
    if (wait > 0) throw this.#refusal(resource, wait)
  }

  async #spendLater(resource: Resource, outcome: Promise<number>): Promise<void> {
    const wait = await outcome
    if (wait > 0) throw this.#refusal(resource, wait)
  }

  #refusal(resource: Resource, wait: number, details: Readonly<Record<string, unknown>> = {}): ApiError {
    this.#onRefused(resource)
    const { limit } = this.#budgets[resource]
    const retryAfter = seconds(wait)
    return new ApiError(
      429,
      'ERR_RATE_LIMITED',
      `This node takes ${limit} ${WHAT[resource]} a minute. Try again in ${retryAfter} s.`,
      { retryAfter, resource, limit, ...details },
      { 'Retry-After': String(retryAfter) }
    )
  }
}

function pair(sender: IdentityKey, recipient: IdentityKey): string {
  return `${sender} ${recipient}`
}

function seconds(milliseconds: number): number {
  return Math.ceil(milliseconds / 1000)
}
