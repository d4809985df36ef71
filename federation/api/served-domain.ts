import { type IdentityKey, identityKeyBytes } from '../../src/keys/identity-key.js'
import type { FederationContext } from '../context.js'
import { domainsOfOperators } from '../storage/operators.js'

/** Of one host's domains. */
const DOMAINS_OF_ONE = 100

/**
 * Refuses a host whose domain the operator does not serve. A host is where its own tokens say that it is; one without a
 * token is nowhere that anybody allowed.
 *
 * @throws ApiError 403 ERR_BLOCKED
 */
export async function requireServedDomain(
  { database, operatorLists }: FederationContext,
  host: IdentityKey
): Promise<void> {
  if (!operatorLists.judgesDomains) return
  const domains = await domainsOfOperators(database, [identityKeyBytes(host)], DOMAINS_OF_ONE)
  const isServed =
    domains.length > 0
      ? domains.every(domain => operatorLists.servesDomain(domain))
      : !operatorLists.limitsDomains
  if (!isServed) throw operatorLists.refusal('domain')
}
