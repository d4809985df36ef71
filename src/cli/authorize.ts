import { asUser, CLIENT_OPTIONS } from './as-user.js'
import { authorizeRouting, authorizeSending } from './authorizations.js'
import { type Command, parseArguments, UsageError } from './command.js'

const OPTIONS = {
  routing: { type: 'boolean', help: 'only: the node takes your messages and advertises that' },
  sending: { type: 'boolean', help: 'only: the node vouches for what you send through it, for 90 days' },
  boxes: { type: 'string', value: '<regex>', help: 'only message boxes that this matches (default: all)' },
  ...CLIENT_OPTIONS
} as const

export const authorize: Command = {
  usage: 'authorize',
  description: `Makes the node a home host of yours: it advertises that it takes messages for you, so that
other nodes forward to it, and may vouch for what you send. The regular expression is matched
anywhere in a box's name; '^inbox$' is that box alone.`,
  options: OPTIONS,
  async run(args, surroundings) {
    const { output } = surroundings
    const { values } = parseArguments(OPTIONS, args)
    const isEither = values.routing === true || values.sending === true
    const routing = values.routing ?? !isEither
    const sending = values.sending ?? !isEither
    if (values.boxes !== undefined && !routing) throw new UsageError('--boxes is for --routing')
    await asUser(values, surroundings, async client => {
      if (sending) {
        const expires = new Date(await authorizeSending(client)).toISOString()
        output.event(
          { authorized: 'sending', expires },
          `${client.url} may vouch for what you send until ${expires}.`
        )
      }
      if (routing) {
        const authorization = await authorizeRouting(client, values.boxes)
        output.event(
          { authorized: 'routing', text: authorization },
          `${client.url} takes your messages and advertises that:\n  ${authorization}`
        )
      }
    })
  }
}
