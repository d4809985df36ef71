import type { ReplayTicket } from '../auth/caller.js'
import type { SessionEpoch } from '../auth/session-epoch.js'
import type { Clock } from '../context.js'
import type { Logger } from '../logger.js'
import { type Queryable, statement } from './database.js'

const ENSURE_BIRTH = statement('ensure-birth', 'select ensure_birth($1::bigint) as born_at')

/**
 * Makes sure that the memory of requests seen has a beginning: written anew where it is missing (Postgres crashed and
 * emptied it) or belongs to the cluster that this database was restored from.
 *
 * @param now ms
 * @returns the time before which no session counts, ms
 */
async function ensureBirth(database: Queryable, now: number): Promise<number> {
  const [row] = await database.query<{ born_at: number }>(ENSURE_BIRTH, [now])
  return row!.born_at
}

/** Clocks of two processes, or of the database, differ, ms. */
const CLOCK_TOLERANCE = 300_000

/** The beginning of that memory, as handshakes need it. */
export async function createSessionEpoch(
  database: Queryable,
  clock: Clock,
  logger: Logger
): Promise<SessionEpoch> {
  const ahead = (await ensureBirth(database, clock.now())) - clock.now()
  if (ahead > CLOCK_TOLERANCE) {
    logger.warn(
      { seconds: Math.round(ahead / 1000) },
      'the memory of requests began in the future, by this clock: until then no session ends. Set the clock by NTP; if it was ahead before and is right now, empty seen_requests_birth'
    )
  }
  const epoch = {
    bornAt: await ensureBirth(database, clock.now()),
    async renew() {
      try {
        epoch.bornAt = await ensureBirth(database, clock.now())
      } catch (error) {
        logger.warn({ err: error }, 'cannot read when the memory of requests began')
      }
    }
  }
  return epoch
}

const ADMIT = statement('admit-request', 'select admit_request($1::uuid, $2::bigint, $3::bigint) as verdict')

/**
 * Remembers a request where the statement that does its work does not: because there are several, or because it is
 * refused before, though it would be taken later. Whoever was told no must not find it done after all.
 */
export async function admitRequest(
  database: Queryable,
  replay: ReplayTicket
): Promise<'fresh' | 'replayed' | 'unknown'> {
  const [row] = await database.query<{ verdict: 'fresh' | 'replayed' | 'unknown' }>(ADMIT, [
    replay.digest.toString('hex'),
    replay.issuedAt,
    replay.expiresAt
  ])
  return row!.verdict
}
