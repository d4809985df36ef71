import { setTimeout as delay } from 'node:timers/promises'
import type { AuthContext } from '../auth/brc104.js'
import { type ProvenMessage, SocketAuthentication } from '../auth/socket-authentication.js'
import { StaleSession } from '../auth/stale-session.js'
import type { Limits } from '../config.js'
import type { LocalContext } from '../context.js'
import { ApiError, badRequest } from '../errors.js'
import { isObject, shownMessageId } from '../message.js'
import { STRANGER_BODY_LIMIT } from '../request-body.js'
import type { LiveMessage } from '../storage/live-messages.js'
import { LiveReader } from './live-reader.js'
import { handleEvent } from './socket-events.js'

/** One connection, as the transport shows it. */
export interface Connection {
  /** As the trusted proxies tell it. */
  readonly address: string
  /** Bytes that wait for the client to read. */
  readonly waitingBytes: number
  send(message: object, bytes: number): void
  /** Ends it when what was sent has left; a client may connect again at once. */
  close(): void
  /** Ends it now, whatever is on the way. */
  cut(): void
}

export interface LiveSocketContext {
  readonly context: LocalContext
  readonly auth: AuthContext
}

/** The longest frame that a client may send, characters: bytes are arrays of numbers in BRC-103 on a socket. */
export function longestFrame({ messageBodyBytes }: Limits): number {
  return 4 * messageBodyBytes + 64 * 1024
}

/** Frames of a client that wait for the one before them; honest clients have one or two under way. */
const WAITING_FRAMES = 64
/** All of them together, in frames of the greatest length. */
const WAITING_LENGTHS = 2
/** A client that has this much unread is given time, and then up. */
const WAITING_BYTES = 8 * 1024 * 1024
const SLOW_MILLISECONDS = 20_000
const LOOK_MILLISECONDS = 50
/** Boxes that a client has left and does not want to hear of. */
const LEFT_BOXES = 1_000

/**
 * A live client: BRC-103 messages in, one after the other, events and arrivals out. It hears its own boxes only, and
 * whose they are is what its signatures prove.
 */
export class LiveSocket {
  readonly #live: LiveSocketContext
  readonly #connection: Connection
  readonly #authentication: SocketAuthentication
  readonly #left = new Set<string>()
  readonly #stopping = new AbortController()
  #reader: LiveReader | undefined
  #forget: (() => void) | undefined
  #waitingFrames = 0
  #waitingLength = 0
  #last: Promise<void> = Promise.resolve()

  constructor(live: LiveSocketContext, connection: Connection) {
    this.#live = live
    this.#connection = connection
    this.#authentication = new SocketAuthentication(live.auth)
  }

  /** Whether the client has proven who it is. */
  get isProven(): boolean {
    return this.#reader !== undefined
  }

  /**
   * Something comes in, before it is looked at.
   *
   * @param length characters
   */
  arriving(length: number): void {
    const isStranger = this.#authentication.identityKey === undefined
    const most = isStranger
      ? STRANGER_BODY_LIMIT
      : WAITING_LENGTHS * longestFrame(this.#live.context.config.limits)
    this.#waitingLength = length + (this.#waitingFrames === 0 ? 0 : this.#waitingLength)
    if (this.#waitingLength > most) this.#connection.cut()
  }

  /** Takes one `authMessage` of the client. */
  receive(message: unknown): void {
    if (++this.#waitingFrames > WAITING_FRAMES) {
      this.#connection.cut()
      return
    }
    this.#last = this.#last.then(async () => {
      try {
        await this.#handle(message)
      } catch (error) {
        this.#refuse(error)
      } finally {
        this.#waitingFrames--
      }
    })
  }

  stop(): void {
    this.#stopping.abort()
    this.#forget?.()
    this.#reader?.stop()
  }

  async #handle(message: unknown): Promise<void> {
    if (this.#stopping.signal.aborted) return
    if (!isObject(message)) throw badRequest('ERR_INVALID_JSON', 'A message of BRC-103 is an object.')
    const { rates, operatorLists } = this.#live.context
    if (message.messageType !== 'general') {
      await rates.stranger(this.#connection.address)
      const answer = this.#authentication.shakeHands(message)
      this.#connection.send(answer, JSON.stringify(answer).length)
      return
    }
    const proven = this.#authentication.verify(message)
    operatorLists.user(proven.caller.identityKey)
    await rates.caller(proven.caller.identityKey, false)
    this.#listen(proven)
    const answer = await handleEvent(this.#live.context, proven, {
      start: async () => this.#reader?.caughtUp(),
      join: messageBox => this.#left.delete(messageBox),
      leave: messageBox => {
        if (this.#left.size < LEFT_BOXES) this.#left.add(messageBox)
      }
    })
    if (answer !== undefined) this.#emit(answer.eventName, answer.data)
  }

  #listen({ caller }: ProvenMessage): void {
    // Whoever is gone by now would be waited for without end.
    if (this.#reader !== undefined || this.#stopping.signal.aborted) return
    this.#forget = this.#live.context.connections.add(caller.identityKey, () => this.#connection.cut())
    this.#reader = new LiveReader(this.#live.context, {
      recipient: caller.identityKey,
      deliver: (messageBox, messages) => this.#deliver(messageBox, messages)
    })
  }

  async #deliver(messageBox: string, messages: readonly LiveMessage[]): Promise<void> {
    if (this.#left.has(messageBox)) return
    const owner = this.#authentication.identityKey
    // Whom the operator blocks hears nothing from that moment on.
    if (owner === undefined || !this.#live.context.operatorLists.servesIdentity(owner)) {
      this.#connection.cut()
      throw new Error('the operator does not serve this identity')
    }
    const eventName = `sendMessage-${owner}-${messageBox}`
    for (const { sender, shown_id, body } of messages) {
      await this.#hasRoom()
      this.#emit(eventName, {
        sender,
        messageId: shownMessageId(shown_id),
        body
      })
    }
  }

  /** Waits while the client does not read; rejects, and ends the connection, when it has not for too long. */
  async #hasRoom(): Promise<void> {
    for (let waited = 0; this.#connection.waitingBytes > WAITING_BYTES; waited += LOOK_MILLISECONDS) {
      if (waited >= SLOW_MILLISECONDS) {
        this.#connection.cut()
        throw new Error('the client does not read')
      }
      await delay(LOOK_MILLISECONDS, undefined, { signal: this.#stopping.signal })
    }
  }

  #emit(eventName: string, data: unknown): void {
    const payload = Buffer.from(JSON.stringify({ eventName, data }))
    const message = this.#authentication.sign(payload)
    // A byte is some four characters in an array of numbers.
    if (message !== undefined) this.#connection.send(message, 4 * payload.length)
  }

  /** BRC-103 has no message for "no". A client that shakes hands again is served again. */
  #refuse(error: unknown): void {
    const { logger } = this.#live.context
    if (error instanceof StaleSession && error.reason === 'unknown') {
      void this.#live.auth.epoch.renew()
    } else if (!(error instanceof ApiError) && !(error instanceof StaleSession)) {
      logger.error({ err: error }, 'an event of a socket failed')
    }
    this.#connection.close()
  }
}
