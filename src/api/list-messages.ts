import type { Caller } from '../auth/caller.js'
import { StaleSession } from '../auth/stale-session.js'
import type { Limits } from '../config.js'
import type { LocalContext } from '../context.js'
import type { AuthenticatedEndpoint, Reply } from '../endpoint.js'
import { badRequest } from '../errors.js'
import { BoxWatch } from '../live/box-watch.js'
import { isObject, parseMessageBox } from '../message.js'
import { listHiddenMessages } from '../storage/hidden-messages.js'
import { messagesBehind } from '../storage/live-messages.js'
import { type Cursor, cursorBehind, type ShownMessage } from '../storage/messages.js'
import { listAnswer } from './list-answer.js'

/** The longest wait for a message, shorter than any proxy's patience. */
const WAIT_SECONDS = 20
/** As many messages may wait for somebody where nothing else is set; to leave them out, they are counted one by one. */
const LARGEST_OFFSET = 10_000

/**
 * POST /listMessages (BRC-33): the messages of one of the caller's boxes, oldest first.
 *
 * Body: `{messageBox, limit?, cursor? | offset? | skip?, waitSeconds?, acknowledged?}`; `limit` 1 to the node's limit (1,000); where there is nothing, the answer
 * waits for something to arrive, for `waitSeconds` (0 to 20) at most. Answers `{status, messages: [{messageId,
 * body, sender, createdAt, created_at, updatedAt, updated_at, envelopeId, origin, proof?}], hasMore, nextCursor?}`; less
 * than `limit` where the bodies reach the node's limit of bytes. With `cursor: nextCursor` the next call goes on behind the
 * last message and misses none; without it the oldest come first, so that a client that lists, acknowledges and lists again
 * gets everything. A box that is not there is empty.
 *
 * `offset` (or `skip`), 0 to 10,000, leaves out so many of the oldest, as deployed servers do; the answer then states `limit`,
 * `offset` and `nextOffset` (null where there is no more). What is acknowledged between two calls moves what follows: a cursor
 * misses nothing.
 *
 * `acknowledged: true` lists instead what one of the caller's hosts says that he has acknowledged there, and what he has
 * not deleted here himself (protocol section 6); each with `acknowledgedBy`, the key of that host.
 *
 * Errors: 400 ERR_MESSAGEBOX_REQUIRED, ERR_INVALID_MESSAGEBOX, ERR_MESSAGEBOX_TOO_LARGE, ERR_INVALID_LIMIT,
 * ERR_INVALID_CURSOR, ERR_INVALID_OFFSET, ERR_INVALID_WAIT, ERR_INVALID_ACKNOWLEDGED; 429 ERR_TOO_MANY_CONNECTIONS.
 */
export const listMessages: AuthenticatedEndpoint<LocalContext> = {
  method: 'POST',
  path: '/listMessages',
  authenticated: true,
  async handler(request, context) {
    const { caller } = request
    const parsed = parseListRequest(context.config.limits, request.json())
    const asked = parsed.offset ? { ...parsed, cursor: await cursorAt(context, caller, parsed) } : parsed
    // Clients of Authrite look for nothing inside a body.
    const isAsSent = caller.scheme === 'authrite'
    const answer = (page: Page) => listReply(asked, page, isAsSent)
    if (asked.waitMilliseconds === 0) return answer(await currentMessages(context, caller, asked))
    // Watched before it is read, so that nothing arrives unseen in between.
    const watch = new BoxWatch(context, caller.identityKey, asked.messageBox)
    request.whenLeft(() => watch.end())
    try {
      const page = await currentMessages(context, caller, asked)
      return answer(page.messages.length > 0 ? page : await newMessages(context, caller, asked, watch))
    } finally {
      watch.stop()
    }
  }
}

interface PageMessage extends ShownMessage {
  readonly box_id: number | null
  readonly position: number
}

interface Page {
  readonly messages: readonly PageMessage[]
  readonly hasMore: boolean
}

/** Where a list goes on that leaves out the oldest. */
async function cursorAt(
  { database, clock }: LocalContext,
  caller: Caller,
  { messageBox, offset = 0 }: ListRequest
): Promise<Cursor | undefined> {
  return cursorBehind(database, caller.identityKeyBytes, messageBox, offset, clock.now())
}

async function currentMessages(
  { config, database, storedMessages, clock }: LocalContext,
  caller: Caller,
  { messageBox, cursor, limit, acknowledged }: ListRequest
): Promise<Page> {
  const request = {
    replay: caller.replay,
    recipient: caller.identityKeyBytes,
    messageBox,
    cursor,
    // One more than is shown tells whether there are more.
    maximum: limit + 1,
    now: clock.now()
  }
  const rows = acknowledged
    ? await listHiddenMessages(database, request, config.limits.listBytes)
    : await storedMessages.list(request)
  const [first] = rows
  if (first!.verdict !== 'fresh') throw new StaleSession(first!.verdict)
  const messages = first!.box_id === null ? [] : rows.slice(0, limit)
  return { messages, hasMore: messages.length > 0 && rows.at(-1)!.candidates > messages.length }
}

/** What arrives while the caller waits; an empty page if nothing does. */
async function newMessages(
  { database, config, clock }: LocalContext,
  caller: Caller,
  { messageBox, cursor, limit, waitMilliseconds }: ListRequest,
  watch: BoxWatch
): Promise<Page> {
  const end = performance.now() + waitMilliseconds
  while (await watch.arrival(end - performance.now())) {
    const found = await messagesBehind(
      database,
      caller.identityKeyBytes,
      messageBox,
      cursor,
      limit + 1,
      config.limits.listBytes,
      clock.now()
    )
    // Bytes may have cut it short, and more may have arrived: whoever asks again learns it.
    if (found.length > 0) return { messages: found.slice(0, limit), hasMore: true }
  }
  return { messages: [], hasMore: false }
}

async function listReply(
  { limit, offset }: ListRequest,
  { messages, hasMore }: Page,
  isAsSent: boolean
): Promise<Reply> {
  const last = messages.at(-1)
  const nextCursor = last && `${last.box_id}.${last.position}`
  const end =
    offset === undefined
      ? { hasMore, nextCursor }
      : { hasMore, nextCursor, limit, offset, nextOffset: hasMore ? offset + messages.length : null }
  return { headers: { 'content-type': 'application/json' }, body: await listAnswer(messages, end, isAsSent) }
}

interface ListRequest {
  readonly messageBox: string
  readonly limit: number
  readonly cursor: Cursor | undefined
  /** Messages left out, the oldest; undefined where none was asked for. */
  readonly offset: number | undefined
  readonly waitMilliseconds: number
  /** What hosts have hidden, instead of what stands in the box; nobody waits for that. */
  readonly acknowledged: boolean
}

function parseListRequest(limits: Limits, body: unknown): ListRequest {
  if (!isObject(body)) throw badRequest('ERR_MESSAGEBOX_REQUIRED', 'The body must be {"messageBox": "…"}.')
  const { limit = limits.listMessages, waitSeconds = 0, acknowledged = false } = body
  if (typeof acknowledged !== 'boolean') {
    throw badRequest('ERR_INVALID_ACKNOWLEDGED', '"acknowledged" must be true or false.')
  }
  if (!isWholeNumber(limit, 1, Number.MAX_SAFE_INTEGER)) {
    throw badRequest('ERR_INVALID_LIMIT', '"limit" must be a positive integer.')
  }
  if (!isWholeNumber(waitSeconds, 0, WAIT_SECONDS)) {
    throw badRequest('ERR_INVALID_WAIT', `"waitSeconds" must be an integer from 0 to ${WAIT_SECONDS}.`)
  }
  return {
    messageBox: parseMessageBox(body.messageBox),
    limit: Math.min(limit, limits.listMessages),
    cursor: parseCursor(body.cursor),
    offset: parseOffset(body, acknowledged),
    waitMilliseconds: acknowledged ? 0 : waitSeconds * 1000,
    acknowledged
  }
}

function parseOffset(
  { offset, skip, cursor }: Record<string, unknown>,
  acknowledged: boolean
): number | undefined {
  const value = offset ?? skip ?? undefined
  if (value === undefined) return undefined
  if (!isWholeNumber(value, 0, LARGEST_OFFSET)) {
    throw badRequest(
      'ERR_INVALID_OFFSET',
      `"offset" must be an integer from 0 to ${LARGEST_OFFSET}; "cursor" goes further.`
    )
  }
  if ((cursor ?? undefined) !== undefined || acknowledged) {
    throw badRequest('ERR_INVALID_OFFSET', '"offset" goes with neither "cursor" nor "acknowledged".')
  }
  return value
}

function isWholeNumber(value: unknown, least: number, most: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most
}

/** A cursor names the box by its number, so that one of a box that was deleted begins the new box from its start. */
function parseCursor(value: unknown): Cursor | undefined {
  if (value === undefined || value === null) return undefined
  const [, boxId, position] = (typeof value === 'string' && /^(\d{1,15})\.(\d{1,15})$/.exec(value)) || []
  if (boxId === undefined || position === undefined) {
    throw badRequest('ERR_INVALID_CURSOR', '"cursor" must be the "nextCursor" of an earlier answer.')
  }
  return { boxId: Number(boxId), position: Number(position) }
}
