import { asUser, CLIENT_OPTIONS } from './as-user.js'
import { type Command, parseArguments, UsageError } from './command.js'
import { listMessages } from './messages.js'
import { showMessage } from './shown-message.js'
import { knownNames } from './user-key.js'

const OPTIONS = {
  box: { type: 'string', value: '<name>', help: 'the message box (default: inbox)' },
  limit: { type: 'string', value: '<n>', help: 'messages at most (default: 100)' },
  ...CLIENT_OPTIONS
} as const

export const list: Command = {
  usage: 'list',
  description: `Lists the messages that wait in one of your boxes, oldest first. They stay until you
acknowledge them. 'origin' says what shows that a message is its sender's: 'local' the node
authenticated him itself, 'signature' his own, 'home-host' his host's word under his
authorization, 'sealed' that it is encrypted under a key of you two.`,
  options: OPTIONS,
  async run(args, surroundings) {
    const { output, environment } = surroundings
    const { values } = parseArguments(OPTIONS, args)
    const limit = Number(values.limit ?? 100)
    if (!Number.isSafeInteger(limit) || limit < 1) throw new UsageError('--limit is a positive number')
    const messageBox = values.box ?? 'inbox'
    await asUser(values, surroundings, async (client, user) => {
      const { messages, hasMore } = await listMessages(client, messageBox, { limit })
      const names = output.isJson ? new Map() : knownNames(environment)
      for (const message of messages) {
        const { json, text } = await showMessage(message, user, names)
        output.event(json, text)
      }
      if (messages.length === 0) output.say(`The box '${messageBox}' is empty.`)
      if (hasMore) output.complain('There are more; acknowledge these, or give a higher --limit.')
    })
  }
}
