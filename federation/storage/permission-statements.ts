import type { Caller } from '../../src/auth/caller.js'
import { RULES_AT_MOST, type SignedRule } from '../../src/permissions/rule.js'
import { type Queryable, statement } from '../../src/storage/database.js'
import { senderValue } from '../../src/storage/permissions.js'

export interface ReceivedPermissionsOutcome {
  readonly outcome: 'accepted' | 'not-home' | 'replayed' | 'unknown'
  /** Rules that are others now. */
  readonly changed: number
  /** To nudge. */
  readonly domains: string[] | null
}

const ACCEPT = statement(
  'accept-permissions',
  `select * from accept_permissions($1::uuid, $2::bigint, $3::bigint, $4::bigint, $5::bytea, $6::bytea, $7::bytea,
    $8::text[], $9::bytea[], $10::bigint[], $11::bigint[], $12::text[], $13::integer)`
)

/**
 * Takes what a recipient has signed about his rules, in one statement; see `accept_permissions` in the migrations.
 *
 * @param caller who passes it on
 * @param self this node's identity key, 33 bytes
 * @param rules whose signatures hold
 */
export async function acceptPermissions(
  database: Queryable,
  { replay, identityKeyBytes }: Caller,
  self: Uint8Array,
  recipient: Buffer,
  rules: readonly SignedRule[],
  now: number
): Promise<ReceivedPermissionsOutcome> {
  const [row] = await database.query<ReceivedPermissionsOutcome>(ACCEPT, [
    replay.digest.toString('hex'),
    replay.issuedAt,
    replay.expiresAt,
    now,
    self,
    identityKeyBytes,
    recipient,
    rules.map(({ messageBox }) => messageBox),
    rules.map(({ sender }) => senderValue(sender)),
    rules.map(({ recipientFee }) => recipientFee),
    rules.map(({ setAt }) => setAt),
    rules.map(({ signature }) => signature),
    RULES_AT_MOST
  ])
  return row!
}
