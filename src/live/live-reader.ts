import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../context.js'
import { type IdentityKey, identityKeyBytes } from '../keys/identity-key.js'
import type { Logger } from '../logger.js'
import type { Database } from '../storage/database.js'
import { boxHeads, type LiveMessage, messagesBehind } from '../storage/live-messages.js'
import type { Cursor } from '../storage/messages.js'
import type { Arrivals } from './arrivals.js'

/** A page that one reader holds in memory. */
const PAGE_MESSAGES = 100
const PAGE_BYTES = 1024 * 1024
/** After the database could not be read, ms. */
const PAUSE_MILLISECONDS = 1_000

export interface LiveReaderContext {
  readonly arrivals: Arrivals
  readonly database: Database
  readonly clock: Clock
  readonly logger: Logger
}

export interface LiveReaderOptions {
  readonly recipient: IdentityKey
  /** Undefined: all boxes, also those to come. */
  readonly messageBoxes?: ReadonlySet<string>
  /** Where each box was read to; undefined: everything until now counts as read. */
  readonly cursors?: ReadonlyMap<string, Cursor>
  /** Where the reader begins; nothing is delivered before it resolves. */
  readonly ready?: (cursors: ReadonlyMap<string, Cursor>) => Promise<void>
  /** Gets what is new in the order of the box; the next page is read when it resolves. A rejection ends the reader. */
  readonly deliver: (messageBox: string, messages: readonly LiveMessage[]) => Promise<void>
}

/**
 * Follows the boxes of one recipient: what arrives is read out of the database behind where the reader was, so nothing
 * is missed or repeated whatever is announced, and a slow reader costs one page of memory.
 */
export class LiveReader {
  readonly #context: LiveReaderContext
  readonly #options: LiveReaderOptions
  readonly #recipient: Buffer
  readonly #cursors: Map<string, Cursor>
  readonly #dirty = new Set<string>()
  readonly #stopping = new AbortController()
  readonly #forget: () => void
  #isBehindEverywhere: boolean
  #hasCursors: boolean
  #isReady = false
  #running: Promise<void> | undefined

  constructor(context: LiveReaderContext, options: LiveReaderOptions) {
    this.#context = context
    this.#options = options
    this.#recipient = identityKeyBytes(options.recipient)
    this.#hasCursors = options.cursors !== undefined
    this.#cursors = new Map(options.cursors)
    // With cursors: what came since then is read at once. Without: where the boxes end is looked up first.
    this.#isBehindEverywhere = true
    this.#forget = context.arrivals.listen(options.recipient, {
      arrived: messageBox => this.#arrived(messageBox),
      missed: () => {
        this.#isBehindEverywhere = true
        this.#run()
      }
    })
    this.#run()
  }

  /** Where each box was read to: a reader that begins with it goes on without gap or repeat. */
  get cursors(): ReadonlyMap<string, Cursor> {
    return this.#cursors
  }

  /** Resolves when nothing that was announced is unread. */
  async caughtUp(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  stop(): void {
    this.#forget()
    this.#stopping.abort()
  }

  #arrived(messageBox: string): void {
    if (this.#options.messageBoxes?.has(messageBox) === false) return
    this.#dirty.add(messageBox)
    this.#run()
  }

  #run(): void {
    if (this.#running !== undefined || this.#stopping.signal.aborted) return
    this.#running = this.#readAll().finally(() => {
      this.#running = undefined
      // What was announced between the last look and now.
      if (this.#isBehindEverywhere || this.#dirty.size > 0) this.#run()
    })
  }

  async #readAll(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        if (this.#isBehindEverywhere) await this.#compareHeads()
        if (!this.#isReady) {
          this.#isReady = true
          await this.#options.ready?.(this.#cursors)
        }
        const [messageBox] = this.#dirty
        if (messageBox === undefined) return
        this.#dirty.delete(messageBox)
        await this.#read(messageBox).catch(error => {
          this.#dirty.add(messageBox)
          throw error
        })
      } catch (error) {
        if (this.#stopping.signal.aborted) return
        this.#context.logger.debug({ err: error }, 'a live reader waits for the database')
        await delay(PAUSE_MILLISECONDS, undefined, { signal: this.#stopping.signal }).catch(() => undefined)
      }
    }
  }

  async #compareHeads(): Promise<void> {
    this.#isBehindEverywhere = false
    const heads = await boxHeads(this.#context.database, this.#recipient).catch(error => {
      this.#isBehindEverywhere = true
      throw error
    })
    for (const { name, box_id: boxId, last_position: position, newest } of heads) {
      if (this.#options.messageBoxes?.has(name) === false) continue
      const cursor = this.#cursors.get(name)
      if (!this.#hasCursors) this.#cursors.set(name, { boxId, position })
      else if (newest > 0 && (cursor?.boxId !== boxId || cursor.position < newest)) this.#dirty.add(name)
    }
    this.#hasCursors = true
  }

  async #read(messageBox: string): Promise<void> {
    const { database, clock } = this.#context
    const messages = await messagesBehind(
      database,
      this.#recipient,
      messageBox,
      this.#cursors.get(messageBox),
      PAGE_MESSAGES,
      PAGE_BYTES,
      clock.now()
    )
    const last = messages.at(-1)
    if (last === undefined || this.#stopping.signal.aborted) return
    try {
      await this.#options.deliver(messageBox, messages)
    } catch {
      return this.stop()
    }
    this.#cursors.set(messageBox, { boxId: last.box_id, position: last.position })
    if (mayBeCut(messages)) this.#dirty.add(messageBox)
  }
}

/** Whether the page may have ended before the box did. */
function mayBeCut(messages: readonly LiveMessage[]): boolean {
  let bytes = 0
  for (const { body, payment } of messages) bytes += body.length + (payment?.length ?? 0)
  return messages.length === PAGE_MESSAGES || bytes > PAGE_BYTES / 2
}
