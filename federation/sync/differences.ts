import { identityKeyBytes } from '../../src/keys/identity-key.js'
import { judgeOffers, planWanted } from '../storage/reconciliations.js'
import type { SyncContext } from './context.js'
import { type ItemKey, partsOf } from './item-set.js'

/**
 * What is done about items that another host holds and this node does not: those that it never held are wanted; about
 * those that were acknowledged here the host is told again. Items of recipients whom they do not share are passed over.
 *
 * @param host operator key
 */
export async function judgeOffered(
  context: SyncContext,
  host: Buffer,
  items: readonly ItemKey[]
): Promise<ItemKey[]> {
  const { clock, config, database, forwarding, keys } = context
  const wanted: ItemKey[] = []
  for (const [recipient, names] of byRecipient(items)) {
    const judged = await judgeOffers(
      database,
      keys.publicKey,
      host,
      identityKeyBytes(recipient),
      names,
      config.limits.timeToLive,
      clock.now()
    )
    if (judged === undefined) continue
    if (judged.domain !== null) forwarding.nudgeStatements([judged.domain])
    for (const name of judged.wanted) wanted.push(recipient + name.toString('hex'))
  }
  return wanted
}

/** Plans ordinary deliveries of what another host lacks. */
export async function planForHost(
  { clock, database, forwarding, keys }: SyncContext,
  host: Buffer,
  items: readonly ItemKey[]
): Promise<void> {
  for (const [recipient, names] of byRecipient(items)) {
    const key = identityKeyBytes(recipient)
    const domain = await planWanted(database, keys.publicKey, host, key, names, clock.now())
    if (domain !== undefined) forwarding.nudge([domain])
  }
}

function byRecipient(items: readonly ItemKey[]): Map<string, Buffer[]> {
  const names = new Map<string, Buffer[]>()
  for (const item of items) {
    const { recipient, name } = partsOf(item)
    const others = names.get(recipient)
    if (others === undefined) names.set(recipient, [Buffer.from(name, 'hex')])
    else others.push(Buffer.from(name, 'hex'))
  }
  return names
}
