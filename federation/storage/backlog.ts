import type { Backlog } from '../../src/metrics.js'
import { type Queryable, statement } from '../../src/storage/database.js'

/** Rows that are counted at most. */
const COUNTED = 100_000

const BACKLOG = statement(
  'delivery-backlog',
  `select count(*) filter (where skipped_at is null) as queued, count(*) filter (where skipped_at is not null) as skipped,
    coalesce(min(created_at), $1::bigint) as oldest,
    (select count(*) from (select from destinations limit ${COUNTED}) b) as failing
  from (select skipped_at, created_at from deliveries where state = 'pending' limit ${COUNTED}) d`
)

/** What waits for other hosts now. */
export async function readBacklog(database: Queryable, now: number): Promise<Backlog> {
  const [row] = await database.query<{ queued: number; skipped: number; oldest: number; failing: number }>(
    BACKLOG,
    [now]
  )
  const { queued, skipped, oldest, failing } = row!
  return { queued, skipped, oldestSeconds: Math.max(0, now - oldest) / 1000, failingDomains: failing }
}
