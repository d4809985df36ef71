import type { Caller } from '../auth/caller.js'
import type { LocalContext } from '../context.js'
import { ApiError, badRequest } from '../errors.js'
import { liveSendRequest, parseRoom } from '../live-send.js'
import { isObject, parseMessageBox } from '../message.js'
import { takeMessage } from '../sending.js'
import type { ProvenEvent } from './live-protocol.js'

/** What an event changes about the socket it came by. */
export interface Listening {
  /** Resolves when from now on nothing that arrives is missed. */
  start(): Promise<void>
  join(messageBox: string): void
  leave(messageBox: string): void
}

export interface Answer {
  readonly eventName: string
  readonly data: unknown
}

/**
 * What deployed socket clients send (@bsv/message-box-client over @bsv/authsocket-client), and what they wait for:
 *
 * - `authenticated {identityKey}`: `authenticationSuccess`, or `authenticationFailed {reason}`
 * - `joinRoom`, `leaveRoom` `"<own key>-<box>"`: `joinedRoom`, `leftRoom` `{roomId}`; or `joinFailed`, `leaveFailed`
 *   `{reason, code}`
 * - `sendMessage {roomId: "<recipient>-<box>", message: {messageId, body, …}}`: `sendMessageAck-<roomId>` with
 *   `{status: "success", messageId, delivery}` after the commit, or the error that /sendMessage would have answered
 *
 * @returns the answer; undefined for an event that is not known
 * @throws StaleSession where the event cannot be checked for replays; anything that is no ApiError
 */
export async function handleEvent(
  context: LocalContext,
  { caller, eventName, data }: ProvenEvent,
  listening: Listening
): Promise<Answer | undefined> {
  switch (eventName) {
    case 'authenticated': {
      if (isObject(data) && data.identityKey !== undefined && data.identityKey !== caller.identityKey) {
        const reason = 'The identity key named is not the one that signed.'
        return { eventName: 'authenticationFailed', data: { reason } }
      }
      await listening.start()
      return { eventName: 'authenticationSuccess', data: { status: 'success' } }
    }
    case 'joinRoom':
      // Clients of Authrite say nothing before it.
      await listening.start()
      return changeRoom(caller.identityKey, data, 'join', messageBox => listening.join(messageBox))
    case 'leaveRoom':
      return changeRoom(caller.identityKey, data, 'leave', messageBox => listening.leave(messageBox))
    case 'sendMessage':
      return send(context, caller, data)
    default:
      return undefined
  }
}

function changeRoom(
  identityKey: string,
  roomId: unknown,
  verb: 'join' | 'leave',
  change: (messageBox: string) => void
): Answer {
  try {
    const room = parseRoom(roomId)
    if (room === undefined)
      throw badRequest('ERR_INVALID_ROOM', 'A room is "<your identity key>-<message box>".')
    if (room.identityKey !== identityKey) {
      throw new ApiError(403, 'ERR_FOREIGN_ROOM', 'Only the owner of a message box may listen to it.')
    }
    change(parseMessageBox(room.messageBox))
    return { eventName: verb === 'join' ? 'joinedRoom' : 'leftRoom', data: { roomId } }
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    return { eventName: `${verb}Failed`, data: { reason: error.message, code: error.code } }
  }
}

async function send(context: LocalContext, caller: Caller, data: unknown): Promise<Answer> {
  const roomId = isObject(data) ? data.roomId : undefined
  const eventName = `sendMessageAck-${typeof roomId === 'string' ? roomId : ''}`
  try {
    const [result] = await takeMessage(context, caller, liveSendRequest(data))
    const { messageId, delivery } = result!
    return { eventName, data: { status: 'success', messageId, delivery } }
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    return { eventName, data: error.toBody() }
  }
}
