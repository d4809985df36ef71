import type { Surroundings } from './command.js'
import { NODE_OPTION, NodeClient, nodeUrl } from './node-client.js'
import { loadUser, USER_OPTIONS, type User } from './user-key.js'

/** Options of every command that calls a node for a user. */
export const CLIENT_OPTIONS = { ...USER_OPTIONS, ...NODE_OPTION }

/** Does something at the node that the options name, as the user that they name. */
export async function asUser<T>(
  values: { readonly [Name in keyof typeof CLIENT_OPTIONS]?: string | undefined },
  { environment }: Surroundings,
  work: (client: NodeClient, user: User) => Promise<T>
): Promise<T> {
  const url = nodeUrl(values.node, environment)
  const user = loadUser(values, environment)
  const client = new NodeClient(url, user.keys)
  try {
    return await work(client, user)
  } finally {
    client.close()
  }
}
