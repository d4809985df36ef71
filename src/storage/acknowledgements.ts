import type { ReplayTicket } from '../auth/caller.js'
import { type Queryable, statement } from './database.js'
import { type Acknowledged, FORGET_AFTER, IDS_FORGET_AFTER } from './messages.js'

/** What a recipient says in his own words, for his other hosts too, that he has received; the signature holds. */
export interface SignedAcknowledgement {
  readonly recipient: Buffer
  /** Shown ids, of which he does not say so in his own words. */
  readonly messageIds: readonly string[]
  readonly names: readonly Buffer[]
  readonly signature: string
}

export interface AcknowledgingNode {
  /** Its identity key, 33 bytes. */
  readonly self: Uint8Array
  /** Seconds. */
  readonly timeToLive: number
  readonly now: number
}

const ACKNOWLEDGE = statement(
  'acknowledge-in-own-words',
  `select * from acknowledge_in_own_words($1::uuid, $2::bigint, $3::bigint, $4::bigint, $5::bytea, $6::bytea, $7::text[],
    $8::bytea[], $9::text, $10::bigint, $11::bigint, $12::bigint)`
)

/** Deletes the recipient's messages of these names and plans that his other hosts are told, in one statement. */
export async function acknowledgeInOwnWords(
  database: Queryable,
  replay: ReplayTicket,
  { recipient, messageIds, names, signature }: SignedAcknowledgement,
  { self, timeToLive, now }: AcknowledgingNode
): Promise<Acknowledged> {
  const [row] = await database.query<Acknowledged>(ACKNOWLEDGE, [
    replay.digest.toString('hex'),
    replay.issuedAt,
    replay.expiresAt,
    now,
    self,
    recipient,
    messageIds,
    names,
    signature,
    FORGET_AFTER,
    now + IDS_FORGET_AFTER,
    now + timeToLive * 1000 + FORGET_AFTER
  ])
  return row!
}
