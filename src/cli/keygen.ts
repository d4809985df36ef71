import { type Command, parseArguments, UsageError } from './command.js'
import { createUser, keyFileOf } from './user-key.js'

const OPTIONS = {
  key: { type: 'string', value: '<file>', help: 'write the key to this file instead' }
} as const

export const keygen: Command = {
  usage: 'keygen [name]',
  description: `Makes a key for a user and prints its identity key, which others send to.
The key is kept as ~/.peerserv/<name>.key (mode 0600; another folder: PEERSERV_KEYS).
Whoever has that file is this user; a node never needs it. Without a name it is 'default',
which commands use when they are not told otherwise.`,
  options: OPTIONS,
  async run(args, { output, environment }) {
    const { values, positionals } = parseArguments(OPTIONS, args, 1)
    const [name] = positionals
    if (name !== undefined && values.key !== undefined) throw new UsageError('give a name or --key, not both')
    const keyFile =
      values.key === undefined ? keyFileOf({ as: name ?? 'default' }, environment) : keyFileOf(values, {})
    const { keys } = createUser(keyFile)
    output.event({ identityKey: keys.identityKey, keyFile }, `${keys.identityKey}\nThe key is in ${keyFile}.`)
  }
}
