import type { SignedMessageFormat } from '../../src/names.js'
import { type Queryable, statement } from '../../src/storage/database.js'
import type { HostAttestation, SenderAuthorization } from '../origin/propagated-message.js'

/** What came with an envelope from another host, passed on unchanged. */
export interface ReceivedProof {
  readonly senderAuthorization: SenderAuthorization
  readonly hostAttestation: HostAttestation
}

export interface EnvelopeRow {
  readonly id: Buffer
  readonly sender: Buffer
  readonly format: SignedMessageFormat
  readonly key_id: string
  readonly signed_bytes: Buffer
  readonly signature: Buffer
  /** Null where this node authenticated the sender. */
  readonly key_linkage: Buffer | null
  readonly proof: ReceivedProof | null
  readonly received_at: number
  /** By which the sender lets this node vouch for this request; null where another host authenticated it. */
  readonly authorization: Pick<SenderAuthorization, 'given' | 'expires' | 'signature'> | null
}

const FIND = statement(
  'find-envelopes',
  `select e.id, e.sender, e.format, e.key_id, e.signed_bytes, e.signature, e.key_linkage, e.proof, e.received_at,
    (
      select jsonb_build_object('given', a.given, 'expires', a.expires, 'signature', a.signature)
      from sender_authorizations a
      where e.key_linkage is null and a.sender = e.sender
        and a.given - 600000 <= e.received_at and a.expires >= e.received_at
      order by a.expires desc limit 1
    ) as authorization
  from envelopes e where e.id = any ($1::bytea[])`
)

/** The envelopes with these ids, by id in hex. */
export async function findEnvelopes(
  database: Queryable,
  ids: readonly Buffer[]
): Promise<Map<string, EnvelopeRow>> {
  const rows = await database.query<EnvelopeRow>(FIND, [ids])
  return new Map(rows.map(row => [row.id.toString('hex'), row]))
}
