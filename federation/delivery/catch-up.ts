import { identityKeyBytes } from '../../src/keys/identity-key.js'
import {
  type BoxToPlan,
  boxesToPlan,
  endCatchUp,
  findCatchUp,
  planBox,
  unprovableParked
} from '../storage/catch-ups.js'
import { liveHosts } from '../storage/deliveries.js'
import { beginLookup, endLookups } from '../storage/parked.js'
import type { DeliveryContext } from './engine.js'
import { report } from './report.js'

const PAGE = 200

/**
 * Plans what is held here for a recipient whose hosts have changed: parked messages for the hosts that there are now, the
 * others for hosts that came after them (protocol section 6). The one place where a stored message is planned again, and
 * so the one place where a loop could begin.
 */
export async function catchUp(context: DeliveryContext, recipient: string): Promise<void> {
  const key = identityKeyBytes(recipient)
  const requestedAt = await findCatchUp(context.database, key)
  if (requestedAt === undefined) return
  const hosts = await liveHosts(context.database, key)
  const hasOthers = hosts.some(host => !host.operator_key.equals(context.keys.publicKey))
  for (const box of await boxesToPlan(context.database, key)) {
    const matches = new Map<string, boolean>()
    for (const { box_expression: expression } of hosts) {
      if (expression !== null) matches.set(expression, context.forwarding.matches(expression, box.name))
    }
    for (let after: number | undefined = 0; after !== undefined; ) {
      const page: Awaited<ReturnType<typeof planBox>> = await planBox(
        context.database,
        box,
        after,
        PAGE,
        context.clock.now(),
        context.keys.publicKey,
        matches
      )
      context.forwarding.nudge(page.domains)
      if (page.lastPosition !== undefined && hasOthers) {
        await reportUnprovable(context, key, box, after, page.lastPosition)
      }
      after = page.lastPosition
    }
  }
  // A new token may have ended the wait of its host.
  context.forwarding.nudge(hosts.map(({ domain }) => domain))
  await endCatchUp(context.database, key, requestedAt)
  await endLookups(context.database, key)
}

/** What was parked without a proof stays here although there is a host now; its sender can send it anew. */
async function reportUnprovable(
  context: DeliveryContext,
  recipient: Buffer,
  box: BoxToPlan,
  after: number,
  until: number
): Promise<void> {
  for (const message of await unprovableParked(context.database, box, after, until)) {
    await report(
      context,
      context.database,
      { ...message, recipient, message_box: box.name },
      {
        host: null,
        state: 'refused',
        code: 'ERR_ORIGIN_UNPROVABLE',
        description:
          'The recipient has a host now, but nothing would prove there who sent this message. It stays at this node; authorize it to send for you, sign the message or encrypt the body, and send it again.'
      }
    )
  }
}

/** Asks other overlay hosts about a recipient for whom mail is parked here, if it is time and nobody else does. */
export async function lookUp(context: DeliveryContext, recipient: string): Promise<void> {
  const key = identityKeyBytes(recipient)
  await endLookups(context.database, key)
  if (!(await beginLookup(context.database, key, context.clock.now()))) return
  // What is found is admitted to the index, and that requests the catch-up.
  await context.overlay.lookUpRecipient(recipient)
}
