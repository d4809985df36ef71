import { hash } from 'node:crypto'
import { identityKeyFromBytes } from '../../src/keys/identity-key.js'
import { shownMessageId } from '../../src/message.js'
import { publicInteger } from '../../src/names.js'
import type { Queryable } from '../../src/storage/database.js'
import { storeReport } from '../storage/reports.js'
import type { DeliveryContext } from './engine.js'

/** A message of this node's own user that no host has taken. */
export interface Undelivered {
  readonly sender: Buffer
  readonly recipient: Buffer
  readonly name: Buffer
  readonly message_id: string
  readonly message_box: string
}

/** Why, as the sender reads it. */
export interface Reason {
  /** Domain of the host that was tried last; null if none was. */
  readonly host: string | null
  readonly state: 'refused' | 'expired'
  readonly code: string
  readonly description: string
}

/**
 * Tells the sender in his box `delivery_reports` that no host took his message (protocol section 6): `{messageId, recipient,
 * messageBox, host, state, code, description}`, from the node's key. Once per message, whoever notices.
 */
export async function report(
  { keys, clock, config }: DeliveryContext,
  tx: Queryable,
  message: Undelivered,
  reason: Reason
): Promise<void> {
  const { sender, recipient, name } = message
  const now = clock.now()
  const reportName = hash(
    'sha256',
    JSON.stringify(['report', recipient.toString('hex'), name.toString('hex')]),
    'buffer'
  )
  const body = {
    messageId: shownMessageId(message.message_id),
    recipient: identityKeyFromBytes(recipient),
    messageBox: message.message_box,
    ...reason
  }
  await storeReport(tx, {
    sender,
    node: keys.publicKey,
    name: reportName,
    integer: publicInteger(reportName, sender),
    body: Buffer.from(JSON.stringify(body)),
    now,
    expiresAt: now + config.limits.timeToLive * 1000
  })
}
