import { isObject } from './message.js'

/** Characters of an identity key, before the dash of a room. */
const KEY_LENGTH = 66

/** `<identity key>-<message box>`, as socket clients name where messages go. */
export interface Room {
  readonly identityKey: string
  readonly messageBox: string
}

/** Box names may contain dashes, so the key's length divides the two. Neither part is checked. */
export function parseRoom(roomId: unknown): Room | undefined {
  if (typeof roomId !== 'string' || roomId[KEY_LENGTH] !== '-') return undefined
  return { identityKey: roomId.slice(0, KEY_LENGTH), messageBox: roomId.slice(KEY_LENGTH + 1) }
}

/**
 * Reads what a live send carries, `{roomId, message}`, as the body of a /sendMessage request: recipient and box come from the
 * room. Every host reads the same signed bytes by these functions.
 *
 * @param data parsed JSON
 * @returns undefined where it is no live send
 */
export function liveSendRequest(data: unknown): { readonly message: object } | undefined {
  if (!isObject(data)) return undefined
  const { roomId, message } = data
  const room = parseRoom(roomId)
  if (room === undefined || !isObject(message)) return undefined
  return { message: { ...message, recipient: room.identityKey, messageBox: room.messageBox } }
}

/**
 * The same of the payload of a general message of BRC-103, `{eventName: "sendMessage", data: {roomId, message}}`.
 *
 * @param payload parsed JSON
 */
export function brc103SendRequest(payload: unknown): { readonly message: object } | undefined {
  if (!isObject(payload) || payload.eventName !== 'sendMessage') return undefined
  return liveSendRequest(payload.data)
}

/**
 * The same of what a sender has signed under Authrite, over HTTP or on a socket: its signature covers neither path nor
 * event, so what has a room is a live send, however it came.
 *
 * @param signed parsed JSON
 * @returns what /sendMessage takes, or refuses
 */
export function authriteSendRequest(signed: unknown): unknown {
  return isObject(signed) && 'roomId' in signed ? liveSendRequest(signed) : signed
}
