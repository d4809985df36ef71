import { StaleSession } from '../../src/auth/stale-session.js'
import type { AuthenticatedEndpoint } from '../../src/endpoint.js'
import { admitRequest } from '../../src/storage/replays.js'
import type { FederationContext } from '../context.js'
import { requireServedDomain } from './served-domain.js'

/**
 * POST /reconcile (protocol section 6): another host compares what both hold for the recipients whom they share.
 *
 * Body: `{timeToLive, ranges?, offers?, wants?}`: seconds; at most 16 ranges `{from, until, count, fingerprint}` of items
 * (recipient ‖ name, hex); at most 1,000 items that the caller holds, and as many that it lacks, of at most 100 recipients
 * each. Answers `{status, timeToLive, ranges, wanted}`: of each range, or its beginning, whether this node has the same,
 * its items, or at most 16 parts with their fingerprints; and which offers it wants. docs/federation.md defines it all.
 *
 * Errors: 400 ERR_INVALID_RECONCILIATION; 403 ERR_NOT_A_HOST where the caller has no live token; 429
 * ERR_RECONCILIATION_BUSY while another call of the same host is being answered.
 */
export const reconcile: AuthenticatedEndpoint<FederationContext> = {
  method: 'POST',
  path: '/reconcile',
  authenticated: true,
  forHosts: true,
  bodyLimit: () => 512 * 1024,
  async handler(request, context) {
    const { caller } = request
    const { database, reconciliation } = context
    const body = request.json()
    await requireServedDomain(context, caller.identityKey)
    const verdict = await admitRequest(database, caller.replay)
    if (verdict !== 'fresh') throw new StaleSession(verdict)
    return { body: await reconciliation.answer(caller.identityKey, body) }
  }
}
