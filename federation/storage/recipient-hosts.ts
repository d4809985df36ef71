import { type Queryable, statement } from '../../src/storage/database.js'

/** A host that a live token names for a recipient. */
export interface RecipientHost {
  readonly recipient: Buffer
  readonly operator_key: Buffer
  readonly domain: string
  readonly box_expression: string | null
}

const HOSTS = statement(
  'hosts-of-recipients',
  `select u.recipient, h.operator_key, h.domain, h.box_expression
  from unnest($1::bytea[]) as u (recipient) cross join lateral live_hosts(u.recipient) h
  order by u.recipient, h.first_seen desc, h.operator_key`
)

/** The hosts of each recipient, newest first, this node among them. */
export function hostsOfRecipients(
  database: Queryable,
  recipients: readonly Buffer[]
): Promise<RecipientHost[]> {
  return database.query(HOSTS, [recipients])
}
