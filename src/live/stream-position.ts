import { badRequest } from '../errors.js'
import type { Cursor } from '../storage/messages.js'

/** Boxes in one stream. */
export const STREAM_BOXES = 20

/**
 * Writes where a stream is: for each of its boxes, in the order of their names, the box's number and the position, as in
 * a cursor of /listMessages; one after the other with `~` between. So for one box it *is* that cursor.
 */
export function formatPosition(
  messageBoxes: readonly string[],
  cursors: ReadonlyMap<string, Cursor>
): string {
  return messageBoxes
    .map(messageBox => {
      const { boxId, position } = cursors.get(messageBox) ?? { boxId: 0, position: 0 }
      return `${boxId}.${position}`
    })
    .join('~')
}

/**
 * @param messageBoxes in the order of their names
 * @throws ApiError 400 ERR_INVALID_CURSOR
 */
export function parsePosition(messageBoxes: readonly string[], text: unknown): Map<string, Cursor> {
  const parts = typeof text === 'string' && text.length <= 32 * STREAM_BOXES ? text.split('~') : []
  const cursors = parts.map(part => /^(\d{1,15})\.(\d{1,15})$/.exec(part))
  if (cursors.length !== messageBoxes.length || cursors.includes(null)) {
    throw badRequest(
      'ERR_INVALID_CURSOR',
      '"lastEventId" must be the id of an event of a stream of these boxes.'
    )
  }
  return new Map(
    messageBoxes.map((messageBox, i) => {
      const [, boxId, position] = cursors[i]!
      return [messageBox, { boxId: Number(boxId), position: Number(position) }]
    })
  )
}
