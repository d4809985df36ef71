import { type Command, parseArguments } from './command.js'
import { loadUser, USER_OPTIONS } from './user-key.js'

export const whoami: Command = {
  usage: 'whoami',
  description: 'Prints the identity key of a user, and where the key is kept.',
  options: USER_OPTIONS,
  async run(args, { output, environment }) {
    const { values } = parseArguments(USER_OPTIONS, args)
    const { keys, keyFile } = loadUser(values, environment)
    output.event({ identityKey: keys.identityKey, keyFile }, `${keys.identityKey}\nThe key is in ${keyFile}.`)
  }
}
