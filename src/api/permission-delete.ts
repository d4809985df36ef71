import type { LocalContext } from '../context.js'
import type { AuthenticatedEndpoint } from '../endpoint.js'
import { badRequest } from '../errors.js'
import { isObject } from '../message.js'
import { changePermission, parseOwnSignature } from '../permissions/change.js'
import { parseRuleName } from '../permissions/rule.js'

/**
 * POST /permissions/delete: the caller takes a rule back; the one for everybody holds then, or the default.
 *
 * Body: `{messageBox, sender?, setAt?, signature?}`, as for /permissions/set, signed with null for `recipientFee`. Without
 * `sender` the rule for everybody goes, and `sealed` with it. Answers `{status, description}`, also where there was none.
 *
 * Errors: 400 ERR_INVALID_REQUEST, ERR_INVALID_MESSAGE_BOX, ERR_INVALID_PUBLIC_KEY, ERR_INVALID_SET_AT,
 * ERR_SIGNATURE_INVALID; 409 ERR_PERMISSION_OUTDATED, ERR_TOO_MANY_PERMISSIONS.
 */
export const deletePermission: AuthenticatedEndpoint<LocalContext> = {
  method: 'POST',
  path: '/permissions/delete',
  authenticated: true,
  async handler(request, context) {
    const { caller } = request
    const body = request.json()
    if (!isObject(body) || body.messageBox === undefined || body.messageBox === null) {
      throw badRequest('ERR_INVALID_REQUEST', 'The body must be {"messageBox", "sender"?}.')
    }
    const name = parseRuleName(context.curve, body)
    await changePermission(context, caller, {
      ...name,
      recipientFee: null,
      sealed: true,
      signed: parseOwnSignature(context, caller.identityKey, name, null, body)
    })
    return { body: { status: 'success', description: 'The rule is gone.' } }
  }
}
