import type { LocalContext } from '../context.js'
import type { AuthenticatedEndpoint } from '../endpoint.js'
import { badRequest } from '../errors.js'
import { isObject } from '../message.js'
import { changePermission, parseOwnSignature } from '../permissions/change.js'
import { parseFee, parseRuleName } from '../permissions/rule.js'

/**
 * POST /permissions/set: the caller says who may write to him, and for how much.
 *
 * Body: `{messageBox, recipientFee, sender?, sealed?, setAt?, signature?}`. `recipientFee` is in satoshis; 0: free; -1:
 * blocked. Without `sender` the rule is for everybody who has none of his own. `sealed: false`, for the whole box, refuses
 * messages of other hosts that nothing but their encryption proves (protocol section 4); with it `recipientFee` may be left
 * out. With the caller's portable `signature` over `JSON.stringify(["peerserv permission", 1, caller, messageBox, sender or
 * null, recipientFee, setAt])` the rule holds at his other hosts, too; the latest `setAt` (ms) counts. Answers `{status,
 * description}`.
 *
 * Errors: 400 ERR_INVALID_REQUEST, ERR_INVALID_MESSAGE_BOX, ERR_INVALID_PUBLIC_KEY, ERR_INVALID_FEE_VALUE,
 * ERR_INVALID_SET_AT, ERR_SIGNATURE_INVALID; 409 ERR_PERMISSION_OUTDATED, ERR_TOO_MANY_PERMISSIONS.
 */
export const setPermission: AuthenticatedEndpoint<LocalContext> = {
  method: 'POST',
  path: '/permissions/set',
  authenticated: true,
  async handler(request, context) {
    const { caller } = request
    const body = request.json()
    if (!isObject(body) || body.messageBox === undefined || body.messageBox === null) {
      throw badRequest('ERR_INVALID_REQUEST', 'The body must be {"messageBox", "recipientFee", "sender"?}.')
    }
    const { recipientFee, sealed } = body
    const name = parseRuleName(context.curve, body)
    const isSealedGiven = sealed !== undefined && sealed !== null
    if (isSealedGiven && (typeof sealed !== 'boolean' || name.sender !== undefined)) {
      throw badRequest('ERR_INVALID_REQUEST', '"sealed" must be true or false, and is of the whole box.')
    }
    if (recipientFee === undefined && !isSealedGiven) {
      throw badRequest('ERR_INVALID_REQUEST', 'What is to be set is missing: "recipientFee".')
    }
    const fee = recipientFee === undefined ? undefined : parseFee(recipientFee)
    await changePermission(context, caller, {
      ...name,
      recipientFee: fee,
      sealed: isSealedGiven ? sealed : undefined,
      signed: parseOwnSignature(context, caller.identityKey, name, fee, body)
    })
    return { body: { status: 'success', description: 'The rule is set.' } }
  }
}
