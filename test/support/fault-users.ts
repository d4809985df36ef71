import { TestUser } from './client.js'
import type { FaultHost } from './fault-host.js'
import { authorizeRouting, authorizeSending, until } from './nodes.js'

export interface FaultSender {
  readonly user: TestUser
  /** The one he sends through. */
  readonly host: FaultHost
}

export interface FaultRecipient {
  readonly user: TestUser
  readonly homes: readonly FaultHost[]
}

export interface FaultUsers {
  readonly senders: readonly FaultSender[]
  readonly recipients: readonly FaultRecipient[]
}

/** By position: the hosts that senders send through, and the homes of the recipients. */
const SENDERS = [0, 0, 0, 0, 1, 2]
const HOMES = [[1], [2], [1, 2], [0], [0, 1], [2]]

/** How long ago senders gave their authorizations, ms: hosts whose clocks are behind take them, too. */
const GIVEN_AGO = 12 * 60 * 60_000

/** Users at home at these hosts, which vouch for their senders; all hosts know of it. */
export async function prepareUsers(mesh: string, hosts: readonly FaultHost[]): Promise<FaultUsers> {
  const senders = SENDERS.map((host, i) => ({
    user: new TestUser(`sender ${i} of ${mesh}`),
    host: hosts[host]!
  }))
  const recipients = HOMES.map((homes, i) => ({
    user: new TestUser(`recipient ${i} of ${mesh}`),
    homes: homes.map(home => hosts[home]!)
  }))
  await Promise.all([
    ...senders.map(({ user, host }) => authorizeSending(user, host, Date.now() - GIVEN_AGO)),
    ...recipients.flatMap(({ user, homes }) => homes.map(home => authorizeRouting(user, home)))
  ])
  for (const host of hosts) {
    for (const { user, homes } of recipients) {
      await until(
        () => host.count('select count(*) as n from live_hosts($1)', Buffer.from(user.identityKey, 'hex')),
        n => n === homes.length
      )
    }
  }
  return { senders, recipients }
}
