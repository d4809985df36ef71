import { StaleSession } from '../auth/stale-session.js'
import type { LocalContext } from '../context.js'
import type { AuthenticatedEndpoint } from '../endpoint.js'
import { badRequest } from '../errors.js'
import { parseRuleName } from '../permissions/rule.js'
import { shownPermission } from '../permissions/shown.js'
import { listPermissions } from '../storage/permissions.js'

const MOST_LISTED = 1_000
const LISTED = '100'
const MOST_OFFSET = 1_000_000

/**
 * GET /permissions/list: the caller's rules.
 *
 * Query: `messageBox` or `message_box` (absent: all boxes), `limit` 1 to 1,000 (default 100), `offset`, `createdAtOrder`
 * `asc` or `desc` (default). Answers `{status, permissions, totalCount}`, each rule in both spellings that clients read.
 *
 * Errors: 400 ERR_INVALID_LIMIT, ERR_INVALID_OFFSET, ERR_INVALID_MESSAGE_BOX.
 */
export const listPermissionsOfCaller: AuthenticatedEndpoint<LocalContext> = {
  method: 'GET',
  path: '/permissions/list',
  authenticated: true,
  async handler({ caller, query }, { curve, database }) {
    const messageBox = query.get('messageBox') ?? query.get('message_box')
    const limit = parseNumber(query.get('limit') ?? LISTED)
    if (limit === undefined || limit < 1 || limit > MOST_LISTED) {
      throw badRequest('ERR_INVALID_LIMIT', `"limit" must be an integer from 1 to ${MOST_LISTED}.`)
    }
    const offset = parseNumber(query.get('offset') ?? '0')
    if (offset === undefined || offset > MOST_OFFSET) {
      throw badRequest('ERR_INVALID_OFFSET', `"offset" must be an integer from 0 to ${MOST_OFFSET}.`)
    }
    const page = {
      messageBox: messageBox === null ? undefined : parseRuleName(curve, { messageBox }).messageBox,
      limit,
      offset,
      oldestFirst: query.get('createdAtOrder') === 'asc'
    }
    const { verdict, total, permissions } = await listPermissions(
      database,
      caller.replay,
      caller.identityKeyBytes,
      page
    )
    if (verdict !== 'fresh') throw new StaleSession(verdict)
    return {
      body: { status: 'success', permissions: permissions.map(shownPermission), totalCount: total }
    }
  }
}

function parseNumber(text: string): number | undefined {
  return /^\d{1,7}$/.test(text) ? Number(text) : undefined
}
