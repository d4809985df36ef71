import { asUser, CLIENT_OPTIONS } from './as-user.js'
import { revokeRouting, withdrawRouting } from './authorizations.js'
import { type Command, CommandError, parseArguments, UsageError } from './command.js'
import type { NodeClient } from './node-client.js'
import { findHosts } from './recipient-hosts.js'

const OPTIONS = {
  withdraw: { type: 'boolean', help: 'publish a signed withdrawal, which voids the authorization for good' },
  host: {
    type: 'string',
    value: '<text>',
    help: "the authorization: '<host key> <domain> <boxes or ALL>' (default: this node's, as it is advertised)"
  },
  ...CLIENT_OPTIONS
} as const

export const revoke: Command = {
  usage: 'revoke | revoke --withdraw [--host <text>]',
  description: `Takes your routing authorization back from a node: it stops to advertise and takes no more
messages for you. With --withdraw any node publishes your word that an authorization is void,
also for a host that no longer obeys. To come back to that host later, authorize another text,
for instance with --boxes '.*'.`,
  options: OPTIONS,
  async run(args, surroundings) {
    const { output } = surroundings
    const { values } = parseArguments(OPTIONS, args)
    if (values.host !== undefined && !values.withdraw) throw new UsageError('--host is for --withdraw')
    await asUser(values, surroundings, async client => {
      if (values.withdraw) {
        const text = values.host ?? (await advertisedText(client))
        const { txid } = await withdrawRouting(client, text)
        const how = txid === null ? 'Nothing was to be published' : 'The withdrawal is published'
        output.event({ status: 'success', withdrawn: text, txid }, `${how}:\n  ${text}`)
      } else {
        const { revoked } = await revokeRouting(client)
        const what = revoked === true ? 'takes no more messages for you' : 'held no authorization of yours'
        output.event({ status: 'success', revoked }, `${client.url} ${what}.`)
      }
    })
  }
}

async function advertisedText(client: NodeClient): Promise<string> {
  const { identityKey } = await client.document()
  const { hosts } = await findHosts(client, client.keys.identityKey)
  const host = hosts.find(({ operatorKey }) => operatorKey === identityKey)
  if (host !== undefined) return host.text
  throw new CommandError(
    'ERR_NOT_ADVERTISED',
    `${client.url} does not advertise for you; say which one with --host.`
  )
}
