import type { Limits } from '../config.js'

/** What may wait for one recipient. */
export type Quotas = Pick<Limits, QuotaName>

/** A limit by its name in the node document, as the migrations know it too. */
export type QuotaName =
  | 'messagesPerRecipient'
  | 'bytesPerRecipient'
  | 'messagesPerSender'
  | 'boxesPerRecipient'
  | 'sealedMessagesPerRecipient'
  | 'sealedMessagesPerHost'

const REASONS: Readonly<Record<QuotaName, string>> = {
  messagesPerRecipient: 'as many messages wait for this recipient as may',
  bytesPerRecipient: 'as many bytes wait for this recipient as may',
  messagesPerSender: 'as many messages of this sender wait for this recipient as may',
  boxesPerRecipient: 'this recipient has as many message boxes as he may',
  sealedMessagesPerRecipient:
    'as many encrypted messages without further proof wait for this recipient as may',
  sealedMessagesPerHost:
    'as many encrypted messages without further proof that this host handed on wait for this recipient as may'
}

/** Which limit was reached, as a person reads it; without a full stop. */
export function quotaReason(name: QuotaName): string {
  return `${REASONS[name]} (${name})`
}

/** A value of the type `quotas` of the migrations. */
export function quotasValue(quotas: Quotas): string {
  const values = [
    quotas.messagesPerRecipient,
    quotas.bytesPerRecipient,
    quotas.messagesPerSender,
    quotas.boxesPerRecipient,
    quotas.sealedMessagesPerRecipient,
    quotas.sealedMessagesPerHost
  ]
  return `(${values.join(',')})`
}
