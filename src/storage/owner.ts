import { StartError } from '../start-error.js'
import { type Database, statement } from './database.js'

const CLAIM = statement(
  'claim-database',
  `with claimed as (
    insert into node (identity_key, created_at) values ($1::bytea, $2::bigint) on conflict do nothing
    returning identity_key
  )
  select identity_key from claimed union all select identity_key from node limit 1`
)

/**
 * Makes this node the owner of its database, or finds that it is.
 *
 * @throws StartError if the database belongs to a node with another identity key: its users are known under that one
 */
export async function claimDatabase(database: Database, identityKey: Buffer, now: number): Promise<void> {
  const claim = () => database.query<{ identity_key: Buffer }>(CLAIM, [identityKey, now])
  // A statement that loses against another process does not see yet what that one inserted; the next one does.
  const [row = (await claim())[0]] = await claim()
  const owner = row!.identity_key
  if (owner.equals(identityKey)) return
  throw new StartError(
    `The database belongs to the node ${owner.toString('hex')}, but this node's identity key is ${identityKey.toString('hex')}; give the right key, or another database.`
  )
}

const PING = statement('ping', 'select 1')

/** Rejects while the database is away. */
export async function checkDatabase(database: Database): Promise<void> {
  await database.query(PING)
}
