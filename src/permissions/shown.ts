import type { Permission } from '../storage/permissions.js'

/** A rule as answers show it, in every spelling that clients read. */
export function shownPermission(permission: Permission): Record<string, unknown> {
  const { messageBox, sender = null, recipientFee, sealed } = permission
  const createdAt = new Date(permission.createdAt).toISOString()
  const updatedAt = new Date(permission.updatedAt).toISOString()
  return {
    sender,
    messageBox,
    message_box: messageBox,
    recipientFee,
    recipient_fee: recipientFee,
    status: statusOf(recipientFee),
    ...(sender === null ? { sealed } : {}),
    createdAt,
    created_at: createdAt,
    updatedAt,
    updated_at: updatedAt
  }
}

/** What a fee means, in the words of deployed servers. */
export function statusOf(recipientFee: number): 'always_allow' | 'blocked' | 'payment_required' {
  if (recipientFee === 0) return 'always_allow'
  return recipientFee < 0 ? 'blocked' : 'payment_required'
}
