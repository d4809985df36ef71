import { type Queryable, statement } from '../../src/storage/database.js'
import type { DueDelivery } from './deliveries.js'
import type { DueStatement } from './statements.js'

const RENEW_DELIVERIES = statement(
  'renew-delivery-claims',
  `with renewed as (
    update deliveries d set claimed_until = $4::bigint
    from unnest($1::bigint[], $2::bigint[], $3::boolean[]) as c (id, claim, failing)
    where d.id = c.id and d.claim = c.claim and d.state = 'pending' and d.claimed_until is not null
    returning d.domain, c.failing
  )
  update destinations set probe_until = $4::bigint
  where probe_until > 0 and domain in (select domain from renewed where failing)`
)

/**
 * Claims of calls that are still under way last until then, and the probes among them too. A claim that another worker has
 * taken over stays with that one.
 *
 * @param until ms
 */
export async function renewDeliveryClaims(
  database: Queryable,
  claimed: readonly Pick<DueDelivery, 'id' | 'claim' | 'failing'>[],
  until: number
): Promise<void> {
  await database.query(RENEW_DELIVERIES, [
    claimed.map(({ id }) => id),
    claimed.map(({ claim }) => claim),
    claimed.map(({ failing }) => failing),
    until
  ])
}

const RENEW_STATEMENTS = statement(
  'renew-statement-claims',
  `update statement_deliveries d set claimed_until = $3::bigint
   from unnest($1::bigint[], $2::bigint[]) as c (id, claim)
   where d.id = c.id and d.claim = c.claim and d.claimed_until is not null`
)

/** As `renewDeliveryClaims`. */
export async function renewStatementClaims(
  database: Queryable,
  claimed: readonly Pick<DueStatement, 'id' | 'claim'>[],
  until: number
): Promise<void> {
  await database.query(RENEW_STATEMENTS, [
    claimed.map(({ id }) => id),
    claimed.map(({ claim }) => claim),
    until
  ])
}
