import type { ReplayTicket } from '../auth/caller.js'
import type { IdentityKey } from '../keys/identity-key.js'
import { identityKeyBytes, identityKeyFromBytes } from '../keys/identity-key.js'
import type { RuleName } from '../permissions/rule.js'
import { RULES_AT_MOST } from '../permissions/rule.js'
import { type Queryable, statement } from './database.js'

/** A rule as it holds at this host. */
export interface Permission extends RuleName {
  /** Satoshis; 0: free; -1: blocked. */
  readonly recipientFee: number
  /** Whether sealed messages without further proof are taken from other hosts into the box. */
  readonly sealed: boolean
  /** Milliseconds since 1970. */
  readonly createdAt: number
  readonly updatedAt: number
}

/** What becomes of a rule; undefined leaves as it is. */
export interface PermissionChange extends RuleName {
  /** Null: no rule any more. */
  readonly recipientFee: number | null | undefined
  readonly sealed: boolean | undefined
  /** Where the recipient has signed it, for his other hosts, too. */
  readonly signed: { readonly setAt: number; readonly signature: string } | undefined
}

export interface ChangeOutcome {
  readonly outcome: 'set' | 'known' | 'outdated' | 'full' | 'replayed' | 'unknown'
  /** To nudge. */
  readonly domains: string[] | null
}

type Verdict = 'fresh' | 'replayed' | 'unknown'

const SET = statement(
  'set-permission',
  `select * from set_permission($1::uuid, $2::bigint, $3::bigint, $4::bigint, $5::bytea, $6::bytea, $7::text, $8::bytea,
    $9::boolean, $10::bigint, $11::boolean, $12::bigint, $13::text, $14::integer)`
)

/** Sets or deletes a rule; see `set_permission` in the migrations. @param self this node's identity key, 33 bytes */
export async function setPermission(
  database: Queryable,
  replay: ReplayTicket,
  self: Uint8Array,
  recipient: Buffer,
  { messageBox, sender, recipientFee, sealed, signed }: PermissionChange,
  now: number
): Promise<ChangeOutcome> {
  const [row] = await database.query<ChangeOutcome>(SET, [
    ...replayValues(replay),
    now,
    self,
    recipient,
    messageBox,
    senderValue(sender),
    recipientFee === undefined,
    recipientFee ?? null,
    sealed ?? null,
    signed?.setAt ?? null,
    signed?.signature ?? null,
    RULES_AT_MOST
  ])
  return row!
}

const RULE = `message_box, sender, coalesce(recipient_fee, default_recipient_fee(message_box)) as fee, takes_sealed,
    created_at, updated_at`

interface RuleRow {
  readonly message_box: string
  readonly sender: Buffer
  readonly fee: number
  readonly takes_sealed: boolean
  readonly created_at: number
  readonly updated_at: number
}

const FIND = statement(
  'find-permission',
  `with request as materialized (select admit_request($1::uuid, $2::bigint, $3::bigint) as verdict)
  select r.verdict, p.* from request r left join (
    select ${RULE} from permissions where recipient = $4::bytea and message_box = $5::text and sender = $6::bytea
      and (recipient_fee is not null or not takes_sealed)
  ) p on r.verdict = 'fresh'`
)

/** The rule of this very name; undefined if there is none. */
export async function findPermission(
  database: Queryable,
  replay: ReplayTicket,
  recipient: Buffer,
  { messageBox, sender }: RuleName
): Promise<{ readonly verdict: Verdict; readonly permission: Permission | undefined }> {
  const [row] = await database.query<{ verdict: Verdict } & (RuleRow | { message_box: null })>(FIND, [
    ...replayValues(replay),
    recipient,
    messageBox,
    senderValue(sender)
  ])
  return {
    verdict: row!.verdict,
    permission: row!.message_box === null ? undefined : toPermission(row as RuleRow)
  }
}

/** Which rules are listed. */
export interface PermissionPage {
  /** Undefined: of all boxes. */
  readonly messageBox: string | undefined
  readonly limit: number
  readonly offset: number
  /** By creation. */
  readonly oldestFirst: boolean
}

const LIST = statement(
  'list-permissions',
  `with request as materialized (select admit_request($1::uuid, $2::bigint, $3::bigint) as verdict),
  rules as materialized (select ${RULE} from rules_of($4::bytea, $5::text))
  select r.verdict, (select count(*) from rules) as total, p.* from request r left join lateral (
    select * from rules order by case when $8::boolean then created_at else -created_at end, message_box, sender
    limit $6::integer offset $7::integer
  ) p on r.verdict = 'fresh'`
)

export async function listPermissions(
  database: Queryable,
  replay: ReplayTicket,
  recipient: Buffer,
  { messageBox, limit, offset, oldestFirst }: PermissionPage
): Promise<{
  readonly verdict: Verdict
  readonly total: number
  readonly permissions: readonly Permission[]
}> {
  const rows = await database.query<{ verdict: Verdict; total: number } & (RuleRow | { message_box: null })>(
    LIST,
    [...replayValues(replay), recipient, messageBox ?? null, limit, offset, oldestFirst]
  )
  const { verdict, total } = rows[0]!
  const permissions = rows.flatMap(row => (row.message_box === null ? [] : [toPermission(row as RuleRow)]))
  return { verdict, total, permissions }
}

const FEES = statement(
  'recipient-fees',
  `with request as materialized (select admit_request($1::uuid, $2::bigint, $3::bigint) as verdict),
  asked as materialized (
    -- Whoever is no host asks for himself alone: nobody else is to learn whom somebody blocks.
    select case when exists (select from phip_hosts where operator_key = $4::bytea and live) then $5::bytea else $4::bytea end
      as sender
  )
  select r.verdict, u.recipient, recipient_fee(u.recipient, $6::text, a.sender) as fee
  from request r cross join asked a cross join unnest($7::bytea[]) with ordinality u (recipient, place)
  order by u.place`
)

/**
 * What recipients want of a sender by their rules at this host.
 *
 * @param caller who asks: the sender, or a host that has a live token of somebody
 * @returns satoshis, 0 or -1 for each, in their order
 */
export async function recipientFees(
  database: Queryable,
  replay: ReplayTicket,
  caller: Buffer,
  sender: IdentityKey,
  messageBox: string,
  recipients: readonly IdentityKey[]
): Promise<{ readonly verdict: Verdict; readonly fees: readonly number[] }> {
  const rows = await database.query<{ verdict: Verdict; fee: number }>(FEES, [
    ...replayValues(replay),
    caller,
    identityKeyBytes(sender),
    messageBox,
    recipients.map(identityKeyBytes)
  ])
  return { verdict: rows[0]!.verdict, fees: rows.map(({ fee }) => fee) }
}

function replayValues({ digest, issuedAt, expiresAt }: ReplayTicket): unknown[] {
  return [digest.toString('hex'), issuedAt, expiresAt]
}

/** Everybody is empty. */
export function senderValue(sender: IdentityKey | undefined): Buffer {
  return sender === undefined ? Buffer.alloc(0) : identityKeyBytes(sender)
}

function toPermission({
  message_box,
  sender,
  fee,
  takes_sealed,
  created_at,
  updated_at
}: RuleRow): Permission {
  return {
    messageBox: message_box,
    sender: sender.length === 0 ? undefined : identityKeyFromBytes(sender),
    recipientFee: fee,
    sealed: takes_sealed,
    createdAt: created_at,
    updatedAt: updated_at
  }
}
