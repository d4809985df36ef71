import { hash } from 'node:crypto'
import { identityKeyFromBytes } from '../../src/keys/identity-key.js'
import { shownMessageId } from '../../src/message.js'
import type { ClaimedDelivery } from '../storage/deliveries.js'

/** The name of the report about a message to a recipient: there is one at most. */
export function reportName(recipient: Buffer, name: Buffer): Buffer {
  return hash('sha256', JSON.stringify(['report', recipient.toString('hex'), name.toString('hex')]), 'buffer')
}

/** What a sender reads in his box `delivery_reports` when no host took his message (protocol section 6). */
export function reportBody(delivery: ClaimedDelivery, state: 'refused' | 'expired', answer: string): Buffer {
  return Buffer.from(
    JSON.stringify({
      messageId: shownMessageId(delivery.message_id),
      recipient: identityKeyFromBytes(delivery.recipient),
      messageBox: delivery.message_box,
      host: delivery.domain,
      state,
      code: /^ERR_/.test(answer) ? answer : 'ERR_UNDELIVERED',
      description:
        state === 'refused'
          ? `No host of the recipient took the message; the last one answered ${answer}.`
          : `No host of the recipient could be reached in time; the last attempt ended with ${answer}.`
    })
  )
}
