import type { AuthContext } from '../auth/brc104.js'
import { SocketAuthentication } from '../auth/socket-authentication.js'
import { badRequest } from '../errors.js'
import { parseJson } from '../json.js'
import type { IdentityKey } from '../keys/identity-key.js'
import { isObject } from '../message.js'
import type { Frame, LiveProtocol, ProvenEvent } from './live-protocol.js'

/** The one event that @bsv/authsocket-client emits and hears. */
export const BRC103_EVENT = 'authMessage'

/** BRC-103 as @bsv/authsocket-client speaks it: what is said is inside general messages, `{eventName, data}`. */
export class Brc103Protocol implements LiveProtocol {
  readonly #authentication: SocketAuthentication
  readonly #countStranger: () => Promise<void> | void

  /** @param countStranger throws where the address has begun too many handshakes */
  constructor(auth: AuthContext, countStranger: () => Promise<void> | void) {
    this.#authentication = new SocketAuthentication(auth)
    this.#countStranger = countStranger
  }

  get identityKey(): IdentityKey | undefined {
    return this.#authentication.identityKey
  }

  async receive(name: string, message: unknown): Promise<Frame | ProvenEvent | undefined> {
    if (name !== BRC103_EVENT) return undefined
    if (!isObject(message)) throw badRequest('ERR_INVALID_JSON', 'A message of BRC-103 is an object.')
    if (message.messageType !== 'general') {
      await this.#countStranger()
      const content = this.#authentication.shakeHands(message)
      return { eventName: BRC103_EVENT, content, bytes: JSON.stringify(content).length }
    }
    const { caller, payload } = this.#authentication.verify(message)
    const event = parseJson(payload)
    const { eventName, data } = isObject(event) ? event : {}
    return {
      caller,
      eventName: typeof eventName === 'string' ? eventName : '',
      data,
      isOfThisSocket: true
    }
  }

  frame(eventName: string, data: unknown): Frame | undefined {
    const payload = Buffer.from(JSON.stringify({ eventName, data }))
    const content = this.#authentication.sign(payload)
    // A byte is some four characters in an array of numbers.
    return content && { eventName: BRC103_EVENT, content, bytes: 4 * payload.length }
  }

  shownBody(body: string): string {
    return body
  }

  /** BRC-103 has no message for "no". A client that shakes hands again is served again. */
  refusal(): undefined {
    return undefined
  }
}
