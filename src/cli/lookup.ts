import { type Command, parseArguments, required } from './command.js'
import { NODE_OPTION, NodeClient, nodeUrl } from './node-client.js'
import { findHosts } from './recipient-hosts.js'
import { createAnonymous, resolveIdentityKey } from './user-key.js'

export const lookup: Command = {
  usage: 'lookup <recipient>',
  description: `Prints the hosts that take messages for a recipient (an identity key, or the name of a key kept
here), as the index of a node knows them. The signatures of each are verified here.`,
  options: NODE_OPTION,
  async run(args, { output, environment }) {
    const { values, positionals } = parseArguments(NODE_OPTION, args, 1)
    const recipient = resolveIdentityKey(required(positionals[0], '<recipient>'), environment)
    const client = new NodeClient(nodeUrl(values.node, environment), createAnonymous())
    try {
      const { hosts, rejected } = await findHosts(client, recipient)
      for (const host of hosts) {
        const { domain, operatorKey, boxExpression, outpoint } = host
        output.event(
          host,
          `${domain}\n  operator ${operatorKey}\n  boxes    ${boxExpression ?? 'all'}\n  token    ${outpoint}`
        )
      }
      if (hosts.length === 0) output.say(`${client.url} knows no host of this recipient.`)
      if (rejected > 0) output.complain(`${rejected} of the answers are not valid, and not shown.`)
    } finally {
      client.close()
    }
  }
}
