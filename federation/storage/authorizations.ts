import type { ReplayTicket } from '../../src/auth/caller.js'
import { type Queryable, statement } from '../../src/storage/database.js'
import type { SenderAuthorization } from '../origin/propagated-message.js'

/** What a recipient signed so that this host may take his messages (BRC-34). */
export interface RoutingAuthorization {
  readonly recipient: Buffer
  /** `<host key> <host domain> <box expression or ALL>` */
  readonly text: string
  /** DER. */
  readonly signature: Buffer
  readonly boxExpression: string | undefined
}

const FIND_ROUTING = statement(
  'find-routing-authorization',
  `select text, signature, box_expression, authorized_at, revoked_at is null as in_force
    from routing_authorizations where recipient = $1::bytea for update`
)

export interface KnownAuthorization extends RoutingAuthorization {
  /** Milliseconds. */
  readonly authorizedAt: number
  /** False once the recipient took it back. */
  readonly inForce: boolean
}

/** The last authorization that the recipient gave this host. */
export async function findRoutingAuthorization(
  database: Queryable,
  recipient: Buffer
): Promise<KnownAuthorization | undefined> {
  const [row] = await database.query<{
    text: string
    signature: Buffer
    box_expression: string | null
    authorized_at: number
    in_force: boolean
  }>(FIND_ROUTING, [recipient])
  if (row === undefined) return undefined
  return {
    recipient,
    text: row.text,
    signature: row.signature,
    boxExpression: row.box_expression ?? undefined,
    authorizedAt: row.authorized_at,
    inForce: row.in_force
  }
}

const SAVE_ROUTING = statement(
  'save-routing-authorization',
  `insert into routing_authorizations (recipient, text, signature, box_expression, authorized_at)
    values ($1::bytea, $2::text, $3::bytea, $4::text, $5::bigint)
    on conflict (recipient) do update set text = excluded.text, signature = excluded.signature,
      box_expression = excluded.box_expression, authorized_at = excluded.authorized_at, revoked_at = null`
)

export async function saveRoutingAuthorization(
  database: Queryable,
  authorization: RoutingAuthorization,
  now: number
): Promise<void> {
  const { recipient, text, signature, boxExpression } = authorization
  await database.query(SAVE_ROUTING, [recipient, text, signature, boxExpression ?? null, now])
}

const REVOKE_ROUTING = statement(
  'revoke-routing-authorization',
  'update routing_authorizations set revoked_at = $2::bigint where recipient = $1::bytea'
)

/** This host is no home of the recipient any more. */
export async function revokeRoutingAuthorization(
  database: Queryable,
  recipient: Buffer,
  now: number
): Promise<void> {
  await database.query(REVOKE_ROUTING, [recipient, now])
}

const SAVE_SENDER = statement(
  'save-sender-authorization',
  `with request as materialized (select admit_request($1::uuid, $2::bigint, $3::bigint) as verdict),
  saved as (
    insert into sender_authorizations (sender, given, expires, signature)
    select $4::bytea, $5::bigint, $6::bigint, $7::text from request where verdict = 'fresh'
    on conflict (sender, given) do update set expires = excluded.expires, signature = excluded.signature
  ),
  -- the newest few are enough: each says more than those before it
  pruned as (
    delete from sender_authorizations where sender = $4::bytea and given in (
      select given from sender_authorizations where sender = $4::bytea order by expires desc offset 7
    )
  )
  select verdict from request`
)

/** Remembers that a sender lets this host vouch for his requests, in one statement with the replay check. */
export async function saveSenderAuthorization(
  database: Queryable,
  replay: ReplayTicket,
  sender: Buffer,
  { given, expires, signature }: Pick<SenderAuthorization, 'given' | 'expires' | 'signature'>
): Promise<'fresh' | 'replayed' | 'unknown'> {
  const [row] = await database.query<{ verdict: 'fresh' | 'replayed' | 'unknown' }>(SAVE_SENDER, [
    replay.digest.toString('hex'),
    replay.issuedAt,
    replay.expiresAt,
    sender,
    given,
    expires,
    signature
  ])
  return row!.verdict
}
