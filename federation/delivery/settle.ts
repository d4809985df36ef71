import { identityKeyFromBytes } from '../../src/keys/identity-key.js'
import type { OperatorLists } from '../../src/operator-lists.js'
import type { Queryable } from '../../src/storage/database.js'
import { type QuotaName, quotaReason } from '../../src/storage/quotas.js'
import { readSignedMessage } from '../origin/signed-message.js'
import {
  type ClaimedDelivery,
  finishDeliveries,
  liveHosts,
  lockClaim,
  lockMessage,
  planNextHost,
  siblingDeliveries,
  triedHosts
} from '../storage/deliveries.js'
import { findEnvelopes } from '../storage/envelopes.js'
import { parkMessage } from '../storage/parked.js'
import type { DeliveryContext } from './engine.js'
import { report } from './report.js'

/** Hosts that are tried for one message; a host that refuses gives its place to the next (protocol section 5). */
const HOSTS_TRIED_AT_MOST = 8
export const NOT_HOME = 'ERR_NOT_HOME'

/**
 * Ends a delivery that its host will never take: the next host gets its place; where there is none and no other host took
 * the message, it is parked if nobody was at home, or its sender is told. One transaction.
 */
export async function settleUndelivered(
  context: DeliveryContext,
  delivery: ClaimedDelivery,
  state: 'refused' | 'expired',
  answer: string
): Promise<void> {
  const nudged = await context.database.transaction(async tx => {
    await lockMessage(tx, delivery.recipient, delivery.name)
    // Of a late worker nothing counts: neither its ending, nor the next host, the parking or the report.
    if (!(await lockClaim(tx, delivery))) return undefined
    const next = state === 'refused' ? await nextHost(context, tx, delivery) : undefined
    if (next !== undefined) await planNextHost(tx, delivery.id, next, context.clock.now())
    else await settleLast(context, tx, delivery, state, answer)
    await finishDeliveries(tx, [{ delivery, state, answer }], context.clock.now())
    return next?.domain
  })
  if (nudged !== undefined) context.forwarding.nudge([nudged])
}

/** Whether the operator lets this node hand anything to a host. */
export function servesHost(lists: OperatorLists, operatorKey: Buffer, domain: string): boolean {
  return lists.servesHost(identityKeyFromBytes(operatorKey)) && lists.servesDomain(domain)
}

async function nextHost(context: DeliveryContext, tx: Queryable, delivery: ClaimedDelivery) {
  const tried = await triedHosts(tx, delivery.recipient, delivery.name)
  if (tried.length >= HOSTS_TRIED_AT_MOST) return undefined
  const hosts = await liveHosts(tx, delivery.recipient)
  return hosts.find(
    host =>
      !host.operator_key.equals(context.keys.publicKey) &&
      !tried.some(key => key.equals(host.operator_key)) &&
      servesHost(context.operatorLists, host.operator_key, host.domain) &&
      (host.box_expression === null || context.forwarding.matches(host.box_expression, delivery.message_box))
  )
}

async function settleLast(
  context: DeliveryContext,
  tx: Queryable,
  delivery: ClaimedDelivery,
  state: 'refused' | 'expired',
  answer: string
): Promise<void> {
  if (!delivery.first_hand) return
  const siblings = await siblingDeliveries(tx, delivery.recipient, delivery.name)
  // This delivery itself is still pending.
  if (siblings.pending > 1 || siblings.delivered > 0 || siblings.held) return
  const notHome = siblings.not_home + (answer === NOT_HOME ? 1 : 0)
  const nobodyHome = state === 'refused' && notHome === siblings.total
  const parked = nobodyHome ? await park(context, tx, delivery) : undefined
  if (parked === 'parked') return
  if (parked !== undefined) {
    await report(context, tx, delivery, {
      host: delivery.domain,
      state,
      code: 'ERR_INBOX_QUOTA_EXCEEDED',
      description: `No host of the recipient took the message, and it cannot be kept for him here: ${quotaReason(parked)}.`
    })
    return
  }
  await report(context, tx, delivery, {
    host: delivery.domain,
    state,
    code: answer.startsWith('ERR_') ? answer : 'ERR_UNDELIVERED',
    description:
      state === 'refused'
        ? `No host of the recipient took the message; the last delivery ended with: ${answer}.`
        : `No host of the recipient could be reached in time; the last attempt ended with ${answer}.`
  })
}

/** The limit that is in the way; undefined if there is nothing to park any more: its envelope is gone or has expired. */
async function park(
  context: DeliveryContext,
  tx: Queryable,
  delivery: ClaimedDelivery
): Promise<QuotaName | 'parked' | undefined> {
  const envelopes = await findEnvelopes(tx, [delivery.envelope_id])
  const envelope = envelopes.get(delivery.envelope_id.toString('hex'))
  if (envelope === undefined) return undefined
  const signed = readSignedMessage(
    context.curve,
    context.config.limits,
    envelope.signed_bytes,
    envelope.format
  )
  if (signed === undefined) return undefined
  const { message } = signed
  const recipient = identityKeyFromBytes(delivery.recipient)
  const proof = message.recipients.find(other => other.recipient === recipient)
  const exceeded = await parkMessage(tx, {
    deliveryId: delivery.id,
    body: Buffer.from(message.body),
    wrapped: message.wrapped,
    proof:
      proof?.signature === undefined
        ? undefined
        : {
            signature: proof.signature,
            createdAt: message.createdAt!,
            messageId: proof.messageId ?? null
          },
    sealed: message.ciphertext !== undefined,
    quotas: context.config.limits,
    now: context.clock.now()
  })
  return exceeded ?? 'parked'
}
