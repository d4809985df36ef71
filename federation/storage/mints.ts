import { type Queryable, statement } from '../../src/storage/database.js'

/** What a node pays for on behalf of others. */
export type MintKind = 'token' | 'withdrawal'

const RESERVE = statement(
  'reserve-overlay-mint',
  `with past as (delete from overlay_mints where day < $2::integer)
  insert into overlay_mints as m (kind, day, count) values ($1::text, $2::integer, 1)
    on conflict (kind, day) do update set count = m.count + 1 where m.count < $3::integer
    returning true as reserved`
)

/**
 * Counts one more of this day, in one statement, so that no number of processes makes more than the ceiling.
 *
 * @param day since 1970, UTC
 * @param ceiling 1 or more
 * @returns false if the ceiling is reached
 */
export async function reserveMint(
  database: Queryable,
  kind: MintKind,
  day: number,
  ceiling: number
): Promise<boolean> {
  return (await database.query(RESERVE, [kind, day, ceiling])).length > 0
}

const RELEASE = statement(
  'release-overlay-mint',
  'update overlay_mints set count = count - 1 where kind = $1::text and day = $2::integer and count > 0'
)

/** Nothing came of what was counted. */
export async function releaseMint(database: Queryable, kind: MintKind, day: number): Promise<void> {
  await database.query(RELEASE, [kind, day])
}
