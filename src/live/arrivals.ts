import { randomUUID } from 'node:crypto'
import type { IdentityKey } from '../keys/identity-key.js'
import type { Logger } from '../logger.js'
import { isObject } from '../message.js'
import { type Notifications, type OpenNotifications, PAYLOAD_BYTES } from './notifications.js'

/** A message has been put into this box, and committed. */
export interface Arrival {
  readonly recipient: IdentityKey
  readonly messageBox: string
}

export interface ArrivalListener {
  /** Something new is in this box. */
  arrived(messageBox: string): void
  /** Something may have arrived anywhere: look. */
  missed(): void
}

/** What tells live readers that there is something to read. */
export interface Announcer {
  /** To be called after the commit. Never waits and never fails. */
  announce(arrivals: readonly Arrival[]): void
}

/** How long announcements are collected, ms: one notification for all that arrive together. */
const COLLECT_MILLISECONDS = 5
/** How often a process says that it is there, and for how long others believe it, ms. */
const PRESENCE_MILLISECONDS = 20_000
const ABSENCE_MILLISECONDS = 3 * PRESENCE_MILLISECONDS
/** Announcements kept while the channel is away; beyond these everybody is told to look everywhere. */
const WAITING_AT_MOST = 10_000

/** What travels between processes: who speaks, and what arrived; `all`: anything may have; nothing: only presence. */
interface Word {
  readonly from: string
  readonly arrivals?: readonly (readonly [recipient: string, messageBox: string])[]
  readonly all?: true
}

/**
 * Tells the live readers of all processes of a node what has arrived, whichever process took it. It says "look", not
 * what there is to see: readers go on from where they were, so what is said twice, late or never costs only time. While
 * no other process is there, nothing leaves this one.
 */
export class Arrivals implements Announcer {
  readonly #id = randomUUID()
  readonly #listeners = new Map<IdentityKey, Set<ArrivalListener>>()
  readonly #followers = new Set<(arrivals: readonly Arrival[]) => void>()
  readonly #logger: Logger
  readonly #notifications: Notifications
  readonly #presence: NodeJS.Timeout
  /** By recipient and box, so that what is announced twice is told once. */
  #waiting = new Map<string, Arrival>()
  #hasOverflown = false
  #flush: NodeJS.Timeout | undefined
  #othersUntil = 0

  constructor(open: OpenNotifications, logger: Logger) {
    this.#logger = logger
    this.#notifications = open({
      heard: payload => this.#heard(payload),
      connected: () => this.#connected()
    })
    this.#presence = setInterval(() => this.#say({}), PRESENCE_MILLISECONDS)
    this.#presence.unref()
  }

  announce(arrivals: readonly Arrival[]): void {
    for (const follower of this.#followers) follower(arrivals)
    const hasOthers = performance.now() < this.#othersUntil
    for (const arrival of arrivals) {
      this.#tell(arrival)
      if (!hasOthers) continue
      if (this.#waiting.size >= WAITING_AT_MOST) this.#hasOverflown = true
      else this.#waiting.set(arrival.recipient + arrival.messageBox, arrival)
    }
    if (this.#waiting.size > 0) this.#schedule(COLLECT_MILLISECONDS)
  }

  /** @returns ends it */
  listen(recipient: IdentityKey, listener: ArrivalListener): () => void {
    const listeners = this.#listeners.get(recipient) ?? new Set()
    this.#listeners.set(recipient, listeners.add(listener))
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0) this.#listeners.delete(recipient)
    }
  }

  /**
   * Calls somebody for everything that this process takes, for anybody, and for nothing that another process does: so that of
   * all processes of a node one acts on it.
   *
   * @param follower must return at once and not throw
   * @returns ends it
   */
  follow(follower: (arrivals: readonly Arrival[]) => void): () => void {
    this.#followers.add(follower)
    return () => this.#followers.delete(follower)
  }

  async close(): Promise<void> {
    clearInterval(this.#presence)
    clearTimeout(this.#flush)
    await this.#publishWaiting()
    await this.#notifications.close()
  }

  #tell({ recipient, messageBox }: Arrival): void {
    for (const listener of this.#listeners.get(recipient) ?? []) listener.arrived(messageBox)
  }

  #tellAll(): void {
    for (const listeners of this.#listeners.values()) for (const listener of listeners) listener.missed()
  }

  #heard(payload: string): void {
    const word = parseWord(payload)
    if (word === undefined || word.from === this.#id) return
    const wasAlone = performance.now() >= this.#othersUntil
    this.#othersUntil = performance.now() + ABSENCE_MILLISECONDS
    // Whoever has just come must learn that this process is here, too; and what came since it did, it may not know of.
    if (wasAlone) this.#say({ all: true })
    if (word.all === true) this.#tellAll()
    for (const [recipient, messageBox] of word.arrivals ?? []) this.#tell({ recipient, messageBox })
  }

  #connected(): void {
    this.#say({})
    this.#tellAll()
    this.#schedule(0)
  }

  #schedule(milliseconds: number): void {
    this.#flush ??= setTimeout(() => {
      this.#flush = undefined
      void this.#publishWaiting()
    }, milliseconds)
  }

  async #publishWaiting(): Promise<void> {
    const waiting = this.#waiting
    const hasOverflown = this.#hasOverflown
    if (waiting.size === 0) return
    this.#waiting = new Map()
    this.#hasOverflown = false
    try {
      if (hasOverflown) await this.#publish({ all: true })
      else for (const arrivals of portions([...waiting.values()])) await this.#publish({ arrivals })
    } catch (error) {
      this.#logger.debug({ err: error }, 'arrivals are announced later')
      for (const [key, arrival] of waiting) this.#waiting.set(key, arrival)
      this.#hasOverflown ||= hasOverflown || this.#waiting.size > WAITING_AT_MOST
      // Said again as soon as the channel is back.
    }
  }

  #say(word: Omit<Word, 'from'>): void {
    this.#publish(word).catch(error => this.#logger.debug({ err: error }, 'a notification was not published'))
  }

  async #publish(word: Omit<Word, 'from'>): Promise<void> {
    await this.#notifications.publish(JSON.stringify({ from: this.#id, ...word }))
  }
}

/** As many arrivals together as fit into one notification. */
function* portions(arrivals: readonly Arrival[]): Generator<[string, string][]> {
  let portion: [string, string][] = []
  let bytes = 0
  for (const { recipient, messageBox } of arrivals) {
    const pair: [string, string] = [recipient, messageBox]
    const size = Buffer.byteLength(JSON.stringify(pair)) + 1
    if (bytes + size > PAYLOAD_BYTES - 100) {
      yield portion
      portion = []
      bytes = 0
    }
    portion.push(pair)
    bytes += size
  }
  if (portion.length > 0) yield portion
}

/** Other versions of this program may share the channel: what is not understood is passed over. */
function parseWord(payload: string): Word | undefined {
  try {
    const word: unknown = JSON.parse(payload)
    if (!isObject(word) || typeof word.from !== 'string') return undefined
    const arrivals = Array.isArray(word.arrivals) ? word.arrivals.filter(isPair) : []
    return { from: word.from, arrivals, ...(word.all === true ? { all: true } : {}) }
  } catch {
    return undefined
  }
}

function isPair(value: unknown): value is [string, string] {
  return Array.isArray(value) && typeof value[0] === 'string' && typeof value[1] === 'string'
}
