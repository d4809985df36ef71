import { createHash } from 'node:crypto'

/** A message to one recipient, as its sender sent it. */
export interface SentMessage {
  /** Unique in a run. */
  readonly messageId: string
  /** Identity keys. */
  readonly sender: string
  readonly recipient: string
  readonly messageBox: string
  readonly body: string
  /** The host it was sent through, by name. */
  readonly through: string
}

/** What a recipient finds in his boxes at one host, oldest first in each box. */
export interface Holding {
  readonly host: string
  readonly recipient: string
  readonly messages: readonly {
    readonly messageId: string | number
    readonly sender: string
    readonly messageBox: string
    readonly body: string
  }[]
}

/** What stands in the box `delivery_reports` of a sender. */
export interface FoundReport {
  readonly host: string
  readonly sender: string
  readonly messageId: string | number
  readonly recipient: string
  readonly messageBox: string
}

export type ViolationKind =
  /** Accepted, not at a host where it must be, and its sender was told nothing. */
  | 'lost'
  /** More than once at one host. */
  | 'doubled'
  /** Before another of its lane that was accepted earlier. */
  | 'out of order'
  /** Nobody sent it, or not to this recipient and box. */
  | 'invented'
  | 'altered'
  /** At a host that is no home of its recipient, when all should have gone where it belongs. */
  | 'astray'
  /** Its sender was told that no host took it, and one did. */
  | 'wrongly reported'
  | 'reported twice'
  /** The answer to a request which nothing was wrong with. */
  | 'refused'

export interface Violation {
  readonly kind: ViolationKind
  readonly messageId: string
  readonly detail: string
}

export interface Verdict {
  readonly accepted: number
  /** Never answered `success`: these may have been stored, once at most. */
  readonly uncertain: number
  readonly reported: number
  readonly violations: readonly Violation[]
  /** Deliveries that had not ended when it was judged, if there were any. */
  readonly left?: string
}

interface Entry {
  readonly message: SentMessage
  readonly digest: string
  /** Counts the acceptances; undefined while there was none. */
  accepted: number | undefined
}

/**
 * Stands outside the nodes: it knows what was sent and what was answered `success`, and judges by what recipients and
 * senders can read. Bodies are remembered by their digests.
 */
export class Oracle {
  readonly #homes: ReadonlyMap<string, readonly string[]>
  readonly #entries = new Map<string, Entry>()
  readonly #refusals: Violation[] = []
  #acceptances = 0

  /** @param homes of each recipient (identity key), the names of the hosts that serve him */
  constructor(homes: ReadonlyMap<string, readonly string[]>) {
    this.#homes = homes
  }

  get accepted(): number {
    return this.#acceptances
  }

  /** Before the first attempt. */
  sending(message: SentMessage): void {
    const { body, ...rest } = message
    this.#entries.set(keyOf(message), {
      message: { ...rest, body: '' },
      digest: digest(body),
      accepted: undefined
    })
  }

  /** The sender has read `success`. */
  answered(message: SentMessage): void {
    const entry = this.#entries.get(keyOf(message))
    if (entry === undefined) throw new Error(`${message.messageId} was never sent`)
    entry.accepted ??= this.#acceptances++
  }

  /** The sender was told that his request is wrong, for good. */
  refused(message: SentMessage, detail: string): void {
    this.#refusals.push({ kind: 'refused', messageId: message.messageId, detail })
  }

  judge(holdings: readonly Holding[], reports: readonly FoundReport[]): Verdict {
    const violations = [...this.#refusals]
    const copies = new Map<string, Map<string, number>>()
    for (const holding of holdings) violations.push(...this.#judgeHolding(holding, copies))
    const told = new Map<string, number>()
    for (const report of reports) {
      const key = keyOf(report)
      told.set(key, (told.get(key) ?? 0) + 1)
      if (!this.#entries.has(key)) violations.push(violation('invented', report, `report at ${report.host}`))
    }
    for (const [key, entry] of this.#entries) {
      violations.push(...this.#judgeEntry(entry, copies.get(key) ?? new Map(), told.get(key) ?? 0))
    }
    const uncertain = [...this.#entries.values()].filter(({ accepted }) => accepted === undefined).length
    return { accepted: this.#acceptances, uncertain, reported: told.size, violations }
  }

  /** Counts its copies by message and host, and looks at what each is and in which order they stand. */
  *#judgeHolding(holding: Holding, copies: Map<string, Map<string, number>>): Iterable<Violation> {
    const { host, recipient } = holding
    const latest = new Map<string, Entry>()
    for (const found of holding.messages) {
      const key = keyOf({ ...found, recipient })
      const entry = this.#entries.get(key)
      if (entry === undefined) {
        yield violation('invented', found, `at ${host}, in ${found.messageBox}`)
        continue
      }
      const ofMessage = copies.get(key) ?? new Map<string, number>()
      copies.set(key, ofMessage)
      const isCopy = ofMessage.has(host)
      ofMessage.set(host, (ofMessage.get(host) ?? 0) + 1)
      if (digest(found.body) !== entry.digest) yield violation('altered', found, `at ${host}`)
      if (entry.accepted === undefined || isCopy) continue
      const lane = JSON.stringify([found.sender, found.messageBox])
      const before = latest.get(lane)
      if (before !== undefined && before.accepted! > entry.accepted) {
        yield violation('out of order', found, `at ${host}, after ${before.message.messageId}`)
      } else latest.set(lane, entry)
    }
  }

  *#judgeEntry(
    { message, accepted }: Entry,
    copies: ReadonlyMap<string, number>,
    reports: number
  ): Iterable<Violation> {
    const homes = this.#homes.get(message.recipient) ?? []
    for (const [host, count] of copies) {
      if (count > 1) yield violation('doubled', message, `${count} times at ${host}`)
      if (!homes.includes(host)) yield violation('astray', message, `at ${host}`)
    }
    const taken = homes.filter(host => copies.has(host))
    if (reports > 1) yield violation('reported twice', message, `${reports} reports`)
    if (reports > 0 && taken.length > 0) {
      yield violation('wrongly reported', message, `it is at ${taken.join(', ')}`)
    }
    if (accepted === undefined || (reports > 0 && taken.length === 0)) return
    for (const host of homes) {
      if (!copies.has(host)) {
        yield violation(
          'lost',
          message,
          `sent through ${message.through}, not at ${host}, in ${message.messageBox}`
        )
      }
    }
  }
}

/** A few lines for a person: what was found, at most so many violations of each kind. */
export function describeVerdict(verdict: Verdict, most = 5): string {
  const { accepted, uncertain, reported, violations, left } = verdict
  const lines = [
    `${accepted} accepted, ${uncertain} uncertain, ${reported} reported, ${violations.length} violations`
  ]
  for (const kind of new Set(violations.map(({ kind }) => kind))) {
    const ofKind = violations.filter(violation => violation.kind === kind)
    lines.push(`  ${kind}: ${ofKind.length}`)
    for (const { messageId, detail } of ofKind.slice(0, most)) lines.push(`    ${messageId}: ${detail}`)
  }
  if (left !== undefined) lines.push(left)
  return lines.join('\n')
}

type Named = Pick<SentMessage, 'sender' | 'recipient' | 'messageBox'> & {
  readonly messageId: string | number
}

function keyOf({ sender, recipient, messageBox, messageId }: Named): string {
  return JSON.stringify([sender, recipient, messageBox, String(messageId)])
}

function violation(
  kind: ViolationKind,
  { messageId }: { readonly messageId: string | number },
  detail: string
): Violation {
  return { kind, messageId: String(messageId), detail }
}

function digest(body: string): string {
  return createHash('sha256').update(body).digest('base64')
}
