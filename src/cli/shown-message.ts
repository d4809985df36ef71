import type { ReceivedMessage } from './messages.js'
import { indented, shortKey } from './output.js'
import { openBody } from './sealed-body.js'
import type { User } from './user-key.js'

const UNREADABLE = '(encrypted; not for this key)'

/**
 * A message as commands print it, opened where it is sealed and this user can open it.
 *
 * @param names of identity keys, to show instead of them
 */
export async function showMessage(
  message: ReceivedMessage,
  user: User,
  names: ReadonlyMap<string, string>
): Promise<{ readonly json: object; readonly text: string }> {
  const { sender, messageId, origin, createdAt, body } = message
  const opened = await openBody(user, sender, body)
  const name = names.get(sender)
  const from = name === undefined ? sender : `${name} (${shortKey(sender)})`
  const how = opened === undefined ? origin : `${origin}, encrypted`
  const said = opened === false ? UNREADABLE : (opened ?? body)
  return {
    json: { ...message, ...(typeof opened === 'string' ? { plaintext: opened } : {}) },
    text: `from ${from}\n${indented(`at ${createdAt}   origin ${how}   id ${messageId}`, 2)}\n${indented(said)}`
  }
}
