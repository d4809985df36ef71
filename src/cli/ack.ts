import { asUser, CLIENT_OPTIONS } from './as-user.js'
import { type Command, parseArguments, UsageError } from './command.js'
import { acknowledgeMessages, listMessages } from './messages.js'
import type { NodeClient } from './node-client.js'

const OPTIONS = {
  all: { type: 'boolean', help: 'all messages that wait in the box' },
  box: { type: 'string', value: '<name>', help: 'the message box, for --all (default: inbox)' },
  ...CLIENT_OPTIONS
} as const

export const ack: Command = {
  usage: 'ack <id>… | ack --all',
  description: `Acknowledges messages: you have them, and the node deletes them.`,
  options: OPTIONS,
  async run(args, surroundings) {
    const { values, positionals: ids } = parseArguments(OPTIONS, args, Number.POSITIVE_INFINITY)
    if ((values.all === true) === ids.length > 0) throw new UsageError('give either ids, or --all')
    await asUser(values, surroundings, async client => {
      const acknowledged = values.all
        ? await acknowledgeBox(client, values.box ?? 'inbox')
        : await acknowledgeMessages(client, ids)
      surroundings.output.event({ status: 'success', acknowledged }, `${acknowledged} acknowledged.`)
    })
  }
}

/** What is in the box now: what arrives meanwhile has not been seen by anybody. */
async function acknowledgeBox(client: NodeClient, messageBox: string): Promise<number> {
  let acknowledged = 0
  let cursor: string | undefined
  for (;;) {
    const page = await listMessages(client, messageBox, { cursor })
    const ids = page.messages.map(({ messageId }) => messageId)
    acknowledged += await acknowledgeMessages(client, ids)
    if (!page.hasMore || page.nextCursor === undefined) return acknowledged
    cursor = page.nextCursor
  }
}
