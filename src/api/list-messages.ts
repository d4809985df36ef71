import { StaleSession } from '../auth/stale-session.js'
import type { Limits } from '../config.js'
import type { LocalContext } from '../context.js'
import type { AuthenticatedEndpoint } from '../endpoint.js'
import { badRequest } from '../errors.js'
import { isObject, parseMessageBox } from '../message.js'
import type { Cursor, ListedMessage } from '../storage/messages.js'
import { listAnswer } from './list-answer.js'

/**
 * POST /listMessages (BRC-33): the messages of one of the caller's boxes, oldest first.
 *
 * Body: `{messageBox, limit?, cursor?}`; `limit` 1 to the node's limit (1,000). Answers `{status, messages: [{messageId,
 * body, sender, createdAt, created_at, updatedAt, updated_at, envelopeId, origin, proof?}], hasMore, nextCursor?}`; less
 * than `limit` where the bodies reach the node's limit of bytes. With `cursor: nextCursor` the next call goes on behind the
 * last message and misses none; without it the oldest come first, so that a client that lists, acknowledges and lists again
 * gets everything. A box that is not there is empty.
 *
 * Errors: 400 ERR_MESSAGEBOX_REQUIRED, ERR_INVALID_MESSAGEBOX, ERR_MESSAGEBOX_TOO_LARGE, ERR_INVALID_LIMIT,
 * ERR_INVALID_CURSOR.
 */
export const listMessages: AuthenticatedEndpoint<LocalContext> = {
  method: 'POST',
  path: '/listMessages',
  authenticated: true,
  async handler(request, { clock, config, storedMessages }) {
    const { caller } = request
    const { messageBox, limit, cursor } = parseListRequest(config.limits, request.json())
    const rows = await storedMessages.list({
      replay: caller.replay,
      recipient: caller.identityKeyBytes,
      messageBox,
      cursor,
      // One more than is shown tells whether there are more.
      maximum: limit + 1,
      now: clock.now()
    })
    const { verdict } = rows[0]!
    if (verdict !== 'fresh') throw new StaleSession(verdict)
    const found = rows[0]!.box_id === null ? [] : rows
    const shown = found.slice(0, limit)
    const last = shown.at(-1)
    const hasMore = last !== undefined && last.candidates > shown.length
    return {
      headers: { 'content-type': 'application/json' },
      body: await listAnswer(shown, hasMore, last && formatCursor(last))
    }
  }
}

interface ListRequest {
  readonly messageBox: string
  readonly limit: number
  readonly cursor: Cursor | undefined
}

function parseListRequest(limits: Limits, body: unknown): ListRequest {
  if (!isObject(body)) throw badRequest('ERR_MESSAGEBOX_REQUIRED', 'The body must be {"messageBox": "…"}.')
  const { limit = limits.listMessages } = body
  if (!Number.isSafeInteger(limit) || (limit as number) < 1) {
    throw badRequest('ERR_INVALID_LIMIT', '"limit" must be a positive integer.')
  }
  return {
    messageBox: parseMessageBox(body.messageBox),
    limit: Math.min(limit as number, limits.listMessages),
    cursor: parseCursor(body.cursor)
  }
}

/** A cursor names the box by its number, so that one of a box that was deleted begins the new box from its start. */
function formatCursor(message: ListedMessage): string {
  return `${message.box_id}.${message.position}`
}

function parseCursor(value: unknown): Cursor | undefined {
  if (value === undefined || value === null) return undefined
  const [, boxId, position] = (typeof value === 'string' && /^(\d{1,15})\.(\d{1,15})$/.exec(value)) || []
  if (boxId === undefined || position === undefined) {
    throw badRequest('ERR_INVALID_CURSOR', '"cursor" must be the "nextCursor" of an earlier answer.')
  }
  return { boxId: Number(boxId), position: Number(position) }
}
