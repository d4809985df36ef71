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
 * Reads the payload of a live send, `{eventName: "sendMessage", data: {roomId, message}}`, as the body of a /sendMessage
 * request: recipient and box come from the room. Every host reads the same signed bytes by this function.
 *
 * @param payload the parsed JSON
 * @returns undefined where it is no live send
 */
export function liveSendRequest(payload: unknown): { readonly message: object } | undefined {
  if (!isObject(payload) || payload.eventName !== 'sendMessage' || !isObject(payload.data)) return undefined
  const { roomId, message } = payload.data
  const room = parseRoom(roomId)
  if (room === undefined || !isObject(message)) return undefined
  return { message: { ...message, recipient: room.identityKey, messageBox: room.messageBox } }
}
