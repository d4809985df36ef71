import type { Caller } from '../auth/caller.js'
import { StaleSession } from '../auth/stale-session.js'
import type { LocalContext } from '../context.js'
import type { AuthenticatedEndpoint } from '../endpoint.js'
import { badRequest } from '../errors.js'
import type { IdentityKey } from '../keys/identity-key.js'
import { parsePermissionKey, parseRuleName } from '../permissions/rule.js'
import { statusOf } from '../permissions/shown.js'
import { recipientFees } from '../storage/permissions.js'

/**
 * GET /permissions/quote: what a message of the caller would cost, satoshis.
 *
 * Query: `messageBox`, `recipient` (once for each of at most `recipientsPerSend`), `sender` (counts only from a host, which
 * asks for one of its users). For one recipient answers `{status, description, quote: {deliveryFee, recipientFee}}`; for
 * several `{status, description, quotesByRecipient: [{recipient, messageBox, deliveryFee, recipientFee, status}], totals:
 * {deliveryFees, recipientFees, totalForPayableRecipients}, blockedRecipients}`. `recipientFee` -1: the recipient takes
 * nothing of the caller. The delivery fee is paid once for all recipients.
 *
 * A recipient at home at other hosts only is asked for there; a host that does not answer within two seconds has what it
 * said last, or 0.
 *
 * Errors: 400 ERR_MISSING_PARAMETERS, ERR_INVALID_MESSAGE_BOX, ERR_INVALID_PUBLIC_KEY, ERR_TOO_MANY_RECIPIENTS.
 */
export const quotePermission: AuthenticatedEndpoint<LocalContext> = {
  method: 'GET',
  path: '/permissions/quote',
  authenticated: true,
  async handler({ caller, query }, context) {
    const asked = parseQuery(context, query)
    const { messageBox, recipients } = asked
    const fees = await feesOf(context, caller, asked)
    const deliveryFee = context.deliveryFees.get(messageBox) ?? 0
    if (recipients.length === 1) {
      const quote = { deliveryFee, recipientFee: fees[0]! }
      return { body: { status: 'success', description: 'This is what a message costs.', quote } }
    }
    const quotes = recipients.map((recipient, i) => ({
      recipient,
      messageBox,
      deliveryFee,
      recipientFee: fees[i]!,
      status: statusOf(fees[i]!)
    }))
    const payable = quotes.filter(({ recipientFee }) => recipientFee >= 0)
    const recipientTotal = payable.reduce((sum, { recipientFee }) => sum + recipientFee, 0)
    const deliveryTotal = payable.length === 0 ? 0 : deliveryFee
    return {
      body: {
        status: 'success',
        description: `This is what a message to ${quotes.length} recipients costs.`,
        quotesByRecipient: quotes,
        totals: {
          deliveryFees: deliveryTotal,
          recipientFees: recipientTotal,
          totalForPayableRecipients: deliveryTotal + recipientTotal
        },
        blockedRecipients: quotes
          .filter(({ recipientFee }) => recipientFee < 0)
          .map(({ recipient }) => recipient)
      }
    }
  }
}

interface Asked {
  readonly messageBox: string
  /** Undefined: the caller himself. */
  readonly sender: IdentityKey | undefined
  readonly recipients: readonly IdentityKey[]
}

function parseQuery({ config, curve }: LocalContext, query: URLSearchParams): Asked {
  const named = query.getAll('recipient')
  const messageBox = query.get('messageBox') ?? query.get('message_box')
  if (messageBox === null || named.length === 0) {
    throw badRequest('ERR_MISSING_PARAMETERS', 'The query needs "recipient" and "messageBox".')
  }
  const most = config.limits.recipientsPerSend
  if (named.length > most) {
    throw badRequest('ERR_TOO_MANY_RECIPIENTS', `At most ${most} recipients in one call.`)
  }
  return {
    ...parseRuleName(curve, { messageBox, sender: query.get('sender') }),
    recipients: named.map(key => parsePermissionKey(curve, 'recipient', key))
  }
}

async function feesOf(
  { database, feesElsewhere }: LocalContext,
  caller: Caller,
  { messageBox, sender, recipients }: Asked
): Promise<number[]> {
  const { verdict, fees } = await recipientFees(
    database,
    caller.replay,
    caller.identityKeyBytes,
    sender ?? caller.identityKey,
    messageBox,
    recipients
  )
  if (verdict !== 'fresh') throw new StaleSession(verdict)
  // A host asks about those who are at home here: what it would be told of others, it can ask there.
  const elsewhere =
    sender === undefined ? await feesElsewhere.of(caller.identityKey, messageBox, recipients) : undefined
  return recipients.map((recipient, i) => elsewhere?.get(recipient) ?? fees[i]!)
}
