import { StaleSession } from '../auth/stale-session.js'
import type { LocalContext } from '../context.js'
import type { AuthenticatedEndpoint } from '../endpoint.js'
import { badRequest } from '../errors.js'
import { formatPosition, parsePosition, STREAM_BOXES } from '../live/stream-position.js'
import { mintTicket, TICKET_LIFE } from '../live/stream-ticket.js'
import { isObject, parseMessageBox } from '../message.js'
import { admitRequest } from '../storage/replays.js'

/**
 * POST /messages/streamTicket: a ticket for one stream of the caller's boxes. EventSource sends no headers, so what proves
 * the reader comes with the URL: `GET /messages/stream?ticket=…`.
 *
 * Body: `{messageBoxes: [1 to 20 names], lastEventId?}`; with the id of the last event of an earlier stream of the same
 * boxes, or for a single box the `nextCursor` of a list, the stream goes on behind it. Answers `{status, ticket, expiresAt}`;
 * the ticket is good once and for 30 seconds.
 *
 * Errors: 400 ERR_MESSAGEBOX_REQUIRED, ERR_INVALID_MESSAGEBOX, ERR_MESSAGEBOX_TOO_LARGE, ERR_TOO_MANY_MESSAGEBOXES,
 * ERR_INVALID_CURSOR.
 */
export const streamTicket: AuthenticatedEndpoint<LocalContext> = {
  method: 'POST',
  path: '/messages/streamTicket',
  authenticated: true,
  async handler(request, { clock, keys, database }) {
    const { caller } = request
    const body = request.json()
    const messageBoxes = parseMessageBoxes(body)
    const lastEventId = isObject(body) ? (body.lastEventId ?? undefined) : undefined
    const position =
      lastEventId === undefined
        ? undefined
        : formatPosition(messageBoxes, parsePosition(messageBoxes, lastEventId))
    const verdict = await admitRequest(database, caller.replay)
    if (verdict !== 'fresh') throw new StaleSession(verdict)
    const issuedAt = clock.now()
    const ticket = mintTicket(keys, {
      identityKey: caller.identityKey,
      messageBoxes,
      lastEventId: position,
      issuedAt
    })
    return { body: { status: 'success', ticket, expiresAt: issuedAt + TICKET_LIFE } }
  }
}

function parseMessageBoxes(body: unknown): string[] {
  const names = isObject(body) ? body.messageBoxes : undefined
  if (!Array.isArray(names) || names.length === 0) {
    throw badRequest('ERR_MESSAGEBOX_REQUIRED', 'The body must be {"messageBoxes": ["…"]}.')
  }
  if (names.length > STREAM_BOXES) {
    throw badRequest('ERR_TOO_MANY_MESSAGEBOXES', `A stream has at most ${STREAM_BOXES} message boxes.`)
  }
  return [...new Set(names.map(parseMessageBox))].sort()
}
