import type { LocalContext } from '../context.js'
import type { PublicEndpoint } from '../endpoint.js'
import { ApiError } from '../errors.js'
import { signPortably } from '../keys/portable-signature.js'
import { EventStream } from '../live/event-stream.js'
import { LiveReader } from '../live/live-reader.js'
import { formatPosition, parsePosition } from '../live/stream-position.js'
import { parseTicket, type StreamTicket } from '../live/stream-ticket.js'
import type { Cursor } from '../storage/messages.js'
import { admitRequest } from '../storage/replays.js'
import { messageJson } from './list-answer.js'

/** What the node's portable signature under an event speaks of. */
export function eventText(recipient: string, id: string, data: string): string {
  return JSON.stringify(['peerserv event', 1, recipient, id, data])
}

/**
 * GET /messages/stream?ticket=…: the messages of the ticket's boxes as they arrive, as Server-Sent Events.
 *
 * Each `message` event has as `data` `{"data": "<JSON>", "signature": "<base64>"}`: `data` is a message as /listMessages shows
 * it with its `messageBox`, and `signature` the node's portable signature over
 * `JSON.stringify(["peerserv event", 1, <recipient>, <event id>, <data>])`. The first event is `ready`, of the same form with the
 * data `{}`: whatever arrives after it is in the stream. A stream that breaks is continued with a new ticket and the last id.
 *
 * Errors: 401 ERR_INVALID_TICKET for one that is not this node's, expired, or was used before; 403 ERR_BLOCKED; 429 ERR_TOO_MANY_CONNECTIONS.
 */
export const messageStream: PublicEndpoint<LocalContext> = {
  method: 'GET',
  path: '/messages/stream',
  authenticated: false,
  async handler(request, context) {
    const { clock, database, keys } = context
    const parsed = parseTicket(keys, request.query.get('ticket') ?? '', clock.now())
    if (parsed === undefined) throw invalidTicket()
    const { ticket, digest } = parsed
    const { issuedAt } = ticket
    const verdict = await admitRequest(database, { digest, issuedAt, expiresAt: issuedAt + 2 * 60_000 })
    if (verdict !== 'fresh') throw invalidTicket()
    return { body: openStream(context, ticket), headers: { 'content-type': 'text/event-stream' } }
  }
}

function openStream(context: LocalContext, ticket: StreamTicket): EventStream {
  const { identityKey, messageBoxes, lastEventId } = ticket
  // First, for it may refuse: a stream that nobody gets would never end.
  const forget = context.connections.add(identityKey, () => {
    reader.stop()
    stream.end()
  })
  const stream = new EventStream()
  const send = async (event: string, cursors: ReadonlyMap<string, Cursor>, data: string): Promise<void> => {
    const id = formatPosition(messageBoxes, cursors)
    const signature = signPortably(context.keys, eventText(identityKey, id, data))
    await stream.send(event, id, JSON.stringify({ data, signature }))
  }
  const reader = new LiveReader(context, {
    recipient: identityKey,
    messageBoxes: new Set(messageBoxes),
    ...(lastEventId === undefined ? {} : { cursors: parsePosition(messageBoxes, lastEventId) }),
    ready: cursors => send('ready', cursors, '{}'),
    deliver: async (messageBox, messages) => {
      const cursors = new Map(reader.cursors)
      for (const message of messages) {
        cursors.set(messageBox, { boxId: message.box_id, position: message.position })
        await send(
          'message',
          cursors,
          `{"messageBox":${JSON.stringify(messageBox)},${messageJson(message).slice(1)}`
        )
      }
    }
  })
  stream.once('close', () => {
    forget()
    reader.stop()
  })
  return stream
}

function invalidTicket(): ApiError {
  return new ApiError(
    401,
    'ERR_INVALID_TICKET',
    'The ticket is not of this node, older than 30 seconds, or was used. Ask for a new one (POST /messages/streamTicket).'
  )
}
