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
}

const FIND = statement(
  'find-envelopes',
  `select id, sender, format, key_id, signed_bytes, signature, key_linkage, proof, received_at
   from envelopes where id = any ($1::bytea[])`
)

/** The envelopes with these ids, by id in hex. */
export async function findEnvelopes(
  database: Queryable,
  ids: readonly Buffer[]
): Promise<Map<string, EnvelopeRow>> {
  const rows = await database.query<EnvelopeRow>(FIND, [ids])
  return new Map(rows.map(row => [row.id.toString('hex'), row]))
}
