import { setTimeout as delay } from 'node:timers/promises'
import type { AuthContext } from '../auth/brc104.js'
import type { Caller } from '../auth/caller.js'
import { StaleSession } from '../auth/stale-session.js'
import type { Limits } from '../config.js'
import type { LocalContext } from '../context.js'
import { ApiError } from '../errors.js'
import { shownMessageId } from '../message.js'
import { STRANGER_BODY_LIMIT } from '../request-body.js'
import type { LiveMessage } from '../storage/live-messages.js'
import { admitRequest } from '../storage/replays.js'
import { type Frame, isProvenEvent, type LiveProtocol, type ProvenEvent } from './live-protocol.js'
import { LiveReader } from './live-reader.js'
import { handleEvent } from './socket-events.js'

/** One connection, as the transport shows it. */
export interface Connection {
  /** Bytes that wait for the client to read. */
  readonly waitingBytes: number
  send(frame: Frame): void
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
 * A live client: what it says comes in, one after the other, events and arrivals go out. It hears its own boxes only, and
 * whose they are is what its signatures prove.
 */
export class LiveSocket {
  readonly #live: LiveSocketContext
  readonly #connection: Connection
  readonly #protocol: LiveProtocol
  readonly #left = new Set<string>()
  readonly #stopping = new AbortController()
  #reader: LiveReader | undefined
  #forget: (() => void) | undefined
  #waitingFrames = 0
  #waitingLength = 0
  #last: Promise<void> = Promise.resolve()

  constructor(live: LiveSocketContext, connection: Connection, protocol: LiveProtocol) {
    this.#live = live
    this.#connection = connection
    this.#protocol = protocol
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
    const isStranger = this.#protocol.identityKey === undefined
    const most = isStranger
      ? STRANGER_BODY_LIMIT
      : WAITING_LENGTHS * longestFrame(this.#live.context.config.limits)
    this.#waitingLength = length + (this.#waitingFrames === 0 ? 0 : this.#waitingLength)
    if (this.#waitingLength > most) this.#connection.cut()
  }

  /** Takes one event as the client has emitted it. */
  receive(eventName: string, content: unknown): void {
    if (++this.#waitingFrames > WAITING_FRAMES) {
      this.#connection.cut()
      return
    }
    this.#last = this.#last.then(async () => {
      try {
        await this.#handle(eventName, content)
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

  async #handle(eventName: string, content: unknown): Promise<void> {
    if (this.#stopping.signal.aborted) return
    const received = await this.#protocol.receive(eventName, content)
    if (received === undefined) return
    if (!isProvenEvent(received)) {
      this.#connection.send(received)
      return
    }
    const { rates, operatorLists } = this.#live.context
    const { caller } = received
    operatorLists.user(caller.identityKey)
    await rates.caller(caller.identityKey, false)
    if (await this.#isHis(received)) this.#listen(caller)
    const answer = await handleEvent(this.#live.context, received, {
      start: async () => this.#reader?.caughtUp(),
      join: messageBox => this.#left.delete(messageBox),
      leave: messageBox => {
        if (this.#left.size < LEFT_BOXES) this.#left.add(messageBox)
      }
    })
    if (answer !== undefined) this.#emit(answer.eventName, answer.data)
  }

  /**
   * Whether an event shows that this connection is its sender's, from when on it hears what arrives for him. A copy of what
   * he said elsewhere does not; what is sent is remembered with the message.
   */
  async #isHis({ isOfThisSocket, eventName, caller }: ProvenEvent): Promise<boolean> {
    if (isOfThisSocket) return true
    if (eventName === 'sendMessage') return false
    const verdict = await admitRequest(this.#live.context.database, caller.replay)
    if (verdict !== 'fresh') throw new StaleSession(verdict)
    return true
  }

  #listen({ identityKey }: Caller): void {
    // Whoever is gone by now would be waited for without end.
    if (this.#reader !== undefined || this.#stopping.signal.aborted) return
    this.#forget = this.#live.context.connections.add(identityKey, () => this.#connection.cut())
    this.#reader = new LiveReader(this.#live.context, {
      recipient: identityKey,
      deliver: (messageBox, messages) => this.#deliver(messageBox, messages)
    })
  }

  async #deliver(messageBox: string, messages: readonly LiveMessage[]): Promise<void> {
    if (this.#left.has(messageBox)) return
    const owner = this.#protocol.identityKey
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
        body: this.#protocol.shownBody(body)
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
    const frame = this.#protocol.frame(eventName, data)
    if (frame !== undefined) this.#connection.send(frame)
  }

  #refuse(error: unknown): void {
    const { logger } = this.#live.context
    if (error instanceof StaleSession && error.reason === 'unknown') {
      void this.#live.auth.epoch.renew()
    } else if (!(error instanceof ApiError) && !(error instanceof StaleSession)) {
      logger.error({ err: error }, 'an event of a socket failed')
    }
    const frame = this.#protocol.refusal(error)
    if (frame !== undefined) this.#connection.send(frame)
    this.#connection.close()
  }
}
