import { ApiError } from './errors.js'
import type { IdentityKey } from './keys/identity-key.js'

export const LIST_NAMES = ['block', 'allow'] as const
export type ListName = (typeof LIST_NAMES)[number]

/** `identity`: a user; `host`: the identity key of another node; `domain`: where other nodes are reached. */
export const LIST_KINDS = ['identity', 'host', 'domain'] as const
export type ListKind = (typeof LIST_KINDS)[number]

export interface ListEntry {
  readonly list: ListName
  readonly kind: ListKind
  readonly value: string
}

/** Entries of all lists together; they are held in memory by every process, some 150 bytes each. */
export const MOST_ENTRIES = 100_000

/** Whom the API serves; every method throws ApiError 403 ERR_BLOCKED for the others. */
export interface Admission {
  /** A caller of what users call. */
  user(caller: IdentityKey): void
  /** A caller of what other hosts call. */
  host(caller: IdentityKey): void
  /** A caller of what anybody may call, who chose to prove who he is. */
  anybody(caller: IdentityKey): void
}

/** For the operator's own port, which a list must not close to him. */
export const EVERYBODY: Admission = { user() {}, host() {}, anybody() {} }

export interface OperatorListsOptions {
  /** Never refused: a list that this node itself were on would stop it. */
  readonly own: { readonly identityKey: IdentityKey; readonly domain: string }
  /** Is told of every refusal. */
  readonly onRefused: (kind: ListKind) => void
}

type Sets = Readonly<Record<ListName, Readonly<Record<ListKind, Set<string>>>>>

const WHAT: Readonly<Record<ListKind, string>> = {
  identity: 'identity',
  host: 'host',
  domain: 'domain of the calling host'
}

/**
 * Whom the operator has blocked, and to whom he has limited the node: the one check for all that comes in, goes out or is
 * stored. Where an allow list of a kind has entries, who is not on it is not served; a block wins over an allow. In memory,
 * the same in every process of the node (storage/operator-lists-watch.ts keeps it so).
 */
export class OperatorLists implements Admission {
  readonly #own: OperatorListsOptions['own']
  readonly #onRefused: OperatorListsOptions['onRefused']
  #sets: Sets = emptySets()
  readonly #listeners: (() => void)[] = []

  constructor({ own, onRefused }: OperatorListsOptions) {
    this.#own = own
    this.#onRefused = onRefused
  }

  /** Takes these entries in the place of all there were. */
  replace(entries: Iterable<ListEntry>): void {
    const sets = emptySets()
    for (const { list, kind, value } of entries) sets[list][kind].add(value)
    this.#sets = sets
    for (const listener of this.#listeners) listener()
  }

  /** Calls back after every change that reached this process. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /** Whether somebody may use this node: call it, or get mail from other hosts into a box here. */
  servesIdentity(identityKey: IdentityKey): boolean {
    return this.#serves('identity', identityKey)
  }

  /** Whether somebody is blocked: he neither uses this node nor is written to or heard through it. */
  blocksIdentity(identityKey: IdentityKey): boolean {
    return identityKey !== this.#own.identityKey && this.#sets.block.identity.has(identityKey)
  }

  /** Whether this node deals with another one, as far as that depends on its key. */
  servesHost(operatorKey: IdentityKey): boolean {
    return this.#serves('host', operatorKey)
  }

  /**
   * Whether this node deals with whoever is reached there. An entry speaks of its domain, of all that end in it, and on
   * network `local` of all ports unless it names one.
   *
   * @param domain as tokens name it: lower case, a port on `local` only
   */
  servesDomain(domain: string): boolean {
    if (domain === this.#own.domain) return true
    const { block, allow } = this.#sets
    if (block.domain.size > 0 && isOn(block.domain, domain)) return false
    return allow.domain.size === 0 || isOn(allow.domain, domain)
  }

  /** False while no list names a domain: nobody needs to find out which one a caller has. */
  get judgesDomains(): boolean {
    return this.#sets.block.domain.size > 0 || this.#sets.allow.domain.size > 0
  }

  /** Whether only some domains are served. */
  get limitsDomains(): boolean {
    return this.#sets.allow.domain.size > 0
  }

  /** Why a PHIP token is of no use here; undefined if it is. */
  refusalOfToken(operatorKey: IdentityKey, domain: string, recipient: IdentityKey): ListKind | undefined {
    if (!this.servesHost(operatorKey)) return 'host'
    if (!this.servesDomain(domain)) return 'domain'
    return this.blocksIdentity(recipient) ? 'identity' : undefined
  }

  user(caller: IdentityKey): void {
    if (!this.servesIdentity(caller)) throw this.refusal('identity')
  }

  host(caller: IdentityKey): void {
    if (this.blocksIdentity(caller)) throw this.refusal('identity')
    if (!this.servesHost(caller)) throw this.refusal('host')
  }

  anybody(caller: IdentityKey): void {
    if (this.blocksIdentity(caller)) throw this.refusal('identity')
    if (caller !== this.#own.identityKey && this.#sets.block.host.has(caller)) throw this.refusal('host')
  }

  /** Counts a refusal, and gives what the caller is told. */
  refusal(kind: ListKind): ApiError {
    this.#onRefused(kind)
    return new ApiError(
      403,
      'ERR_BLOCKED',
      `The operator of this node does not serve this ${WHAT[kind]}. Ask him, or use another node.`,
      { blocked: kind }
    )
  }

  /**
   * What the sender is told of recipients who are blocked here.
   *
   * @param blocked one at least
   */
  refusalOfRecipients(blocked: readonly IdentityKey[]): ApiError {
    this.#onRefused('identity')
    return new ApiError(
      403,
      'ERR_BLOCKED',
      'The operator of this node takes no mail for some of the recipients. Send without them, or through another node.',
      {
        blocked: 'recipient',
        recipients: blocked.map(recipient => ({ recipient, code: 'ERR_BLOCKED' })),
        blockedRecipients: blocked
      }
    )
  }

  #serves(kind: 'identity' | 'host', key: IdentityKey): boolean {
    if (key === this.#own.identityKey) return true
    const { block, allow } = this.#sets
    if (block[kind].has(key)) return false
    return allow[kind].size === 0 || allow[kind].has(key)
  }
}

function isOn(list: ReadonlySet<string>, domain: string): boolean {
  if (list.has(domain)) return true
  const colon = domain.indexOf(':')
  for (let name = colon === -1 ? domain : domain.slice(0, colon); ; ) {
    if (list.has(name)) return true
    const dot = name.indexOf('.')
    if (dot === -1) return false
    name = name.slice(dot + 1)
  }
}

function emptySets(): Sets {
  const kinds = () => ({ identity: new Set<string>(), host: new Set<string>(), domain: new Set<string>() })
  return { block: kinds(), allow: kinds() }
}
