import { type Queryable, statement } from '../../src/storage/database.js'

export interface DeliveryReport {
  /** Who is told. */
  readonly sender: Buffer
  /** Who tells: this node's identity key. */
  readonly node: Uint8Array
  readonly name: Buffer
  readonly integer: number
  readonly body: Buffer
  readonly now: number
  readonly expiresAt: number
}

const STORE = statement(
  'store-report',
  `select store_report($1::bytea, $2::bytea, $3::bytea, $4::bigint, $5::bytea, $6::bigint, $7::bigint)`
)

/** Puts a report into its sender's box `delivery_reports`, unless it has been there before. */
export async function storeReport(database: Queryable, report: DeliveryReport): Promise<void> {
  const { sender, node, name, integer, body, now, expiresAt } = report
  await database.query(STORE, [sender, node, name, integer, body, now, expiresAt])
}
