import {
  LONGEST_AUTHORIZATION,
  senderAuthorizationText
} from '../../federation/origin/sender-authorization.js'
import { formatRoutingText, signRoutingText } from '../../federation/phip/routing-authorization.js'
import { signWithdrawalText } from '../../federation/phip/withdrawal.js'
import { systemClock } from '../context.js'
import { signPortably } from '../keys/portable-signature.js'
import type { JsonObject, NodeClient } from './node-client.js'

/**
 * POST /authorizeRouting: the user takes his messages at this node, which advertises that (BRC-34).
 *
 * @param boxExpression undefined: every box
 * @returns the text that was signed; it names the authorization when it is withdrawn
 */
export async function authorizeRouting(
  client: NodeClient,
  boxExpression: string | undefined
): Promise<string> {
  const { identityKey, domain } = await client.document()
  const message = formatRoutingText({ hostKey: identityKey, domain, boxExpression })
  const signature = signRoutingText(client.keys, message).toString('hex')
  await client.post('/authorizeRouting', { message, signature })
  return message
}

/**
 * POST /authorizeSending: the node may vouch towards other hosts for what the user sends through it, for 90 days
 * (protocol section 4, 2).
 *
 * @returns when that ends, ms
 */
export async function authorizeSending(client: NodeClient): Promise<number> {
  const { identityKey } = await client.document()
  const given = systemClock.now()
  const expires = given + LONGEST_AUTHORIZATION
  const signature = signPortably(client.keys, senderAuthorizationText(identityKey, given, expires))
  await client.post('/authorizeSending', { given, expires, signature })
  return expires
}

/** POST /revokeRouting: the node stops to advertise and spends its token. */
export function revokeRouting(client: NodeClient): Promise<JsonObject> {
  return client.post('/revokeRouting', {})
}

/**
 * POST /revokeRouting with a signed withdrawal: the node publishes that an authorization is void, whichever host it
 * names (protocol section 5).
 *
 * @param text `<host key> <host domain> <box expression or ALL>`
 */
export function withdrawRouting(client: NodeClient, text: string): Promise<JsonObject> {
  const signature = signWithdrawalText(client.keys, text).toString('hex')
  return client.post('/revokeRouting', { message: text, signature })
}
