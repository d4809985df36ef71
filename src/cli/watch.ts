import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { onSignals } from '../lifecycle.js'
import { asUser, CLIENT_OPTIONS } from './as-user.js'
import { type Command, CommandError, parseArguments } from './command.js'
import { listMessages } from './messages.js'
import { showMessage } from './shown-message.js'
import { knownNames } from './user-key.js'

const OPTIONS = {
  box: { type: 'string', value: '<name>', help: 'the message box (default: inbox)' },
  ...CLIENT_OPTIONS
} as const

/** The longest that a node waits. */
const WAIT_SECONDS = 20
/** After the node could not be reached. */
const PAUSE_MILLISECONDS = 1_000

export const watch: Command = {
  usage: 'watch',
  description: `Prints the messages of a box, then every new one as it comes, until ctrl-c. It acknowledges
nothing. The node answers as soon as something arrives; if it is away, watching goes on when it is back.`,
  options: OPTIONS,
  async run(args, surroundings) {
    const { output, environment } = surroundings
    const { values } = parseArguments(OPTIONS, args)
    const messageBox = values.box ?? 'inbox'
    const stopping = new AbortController()
    const forget = onSignals(() => stopping.abort())
    const stopped = once(stopping.signal, 'abort').then(() => undefined)
    process.stdout.once('error', () => stopping.abort())
    try {
      await asUser(values, surroundings, async (client, user) => {
        let cursor: string | undefined
        let isAway = false
        // A node that is not there at all is a mistake to be told, not waited for.
        await client.document()
        output.say(`Watching '${messageBox}' at ${client.url}; ctrl-c ends it.`)
        while (!stopping.signal.aborted) {
          try {
            const page = await Promise.race([
              listMessages(client, messageBox, { cursor, waitSeconds: WAIT_SECONDS }),
              stopped
            ])
            if (page === undefined) break
            if (isAway) output.complain('The node is back.')
            isAway = false
            for (const message of page.messages) {
              const { json, text } = await showMessage(message, user, knownNames(environment))
              output.event(json, text)
            }
            cursor = page.nextCursor ?? cursor
            continue
          } catch (error) {
            if (!(error instanceof CommandError)) throw error
            if (!isAway) output.complain(error.message)
            isAway = true
          }
          await delay(PAUSE_MILLISECONDS, undefined, { signal: stopping.signal }).catch(() => undefined)
        }
      })
    } finally {
      forget()
    }
  }
}
