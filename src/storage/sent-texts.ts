import { type Queryable, statement } from './database.js'

export interface SentText {
  readonly delivery: 'local' | 'parked' | 'forwarding'
  readonly forwardable: boolean
}

const FIND_SENT_TEXT = statement(
  'find-sent-text',
  `select case when parked then 'parked' else 'local' end as delivery, forwardable
   from messages where id_key = $1::uuid and body = $2::bytea
   union all
   select delivery, delivery = 'forwarding'
   from client_message_ids where id_key = $1::uuid and body_digest = digest_of($2::bytea)
   limit 1`
)

/**
 * What became of the message that a sender has sent under this id, if this was its body, for as long as ids are remembered.
 *
 * @param idKey as from `clientMessageIdKey`
 */
export async function findSentText(
  database: Queryable,
  idKey: string,
  body: string
): Promise<SentText | undefined> {
  const [sent] = await database.query<SentText>(FIND_SENT_TEXT, [idKey, Buffer.from(body)])
  return sent
}
