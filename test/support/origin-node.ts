import { expect } from 'chai'
import { type Answer, TestUser } from './client.js'
import { authorizeRouting, startTestNode, type TestNode, until } from './nodes.js'
import { NOW, otherRecipient, privateKey, recipient, sender, thirdRecipient } from './origin-parties.js'
import type { Members } from './origin-requests.js'

export interface Listed {
  readonly messageId: string | number
  readonly body: string
  readonly sender: string
  readonly envelopeId: string
  readonly origin: string
  readonly proof?: {
    readonly signature: string
    readonly createdAt: number
    readonly messageId: string | null
  }
}

/** What /propagateMessage answers about one recipient. */
export interface Result {
  readonly recipient: string
  readonly status: string
  readonly code?: string
  readonly httpStatus?: number
  readonly check?: string
}

/** The parties of the corpus who are at home at the node. */
export const users: readonly TestUser[] = [recipient, otherRecipient, thirdRecipient, sender].map(
  keys => new TestUser(privateKey(keys))
)

/** A node whose clock shows the time of the corpus for ever, and a host that hands on to it what others have signed. */
export class OriginNode {
  readonly #forwarding = new TestUser('forwarding host')

  private constructor(readonly node: TestNode) {}

  static async start(name: string): Promise<OriginNode> {
    const self = new OriginNode(await startTestNode(name, { options: { clock: { now: () => NOW } } }))
    for (const user of users) await authorizeRouting(user, self.node)
    await self.#forwarding.handshake(self.node.url)
    await until(
      () => self.query('select from catch_ups'),
      waiting => waiting.length === 0
    )
    return self
  }

  propagate(body: Members): Promise<Answer> {
    return this.#forwarding.post(this.node.url, '/propagateMessage', body)
  }

  async resultsOf(body: Members): Promise<Result[]> {
    const answer = await this.propagate(body)
    expect(answer, answer.body.toString()).to.include({ status: 200, signature: 'valid' })
    return answer.json.results as Result[]
  }

  async list(user: TestUser, messageBox: string): Promise<Listed[]> {
    const answer = await user.post(this.node.url, '/listMessages', { messageBox })
    expect(answer.status, answer.body.toString()).to.equal(200)
    expect(answer.json.hasMore).to.equal(false)
    return answer.json.messages as Listed[]
  }

  /** Every message of every box, by recipient and name. */
  async listAll(): Promise<Map<string, Listed>> {
    const listed = new Map<string, Listed>()
    for (const user of users) {
      const key = Buffer.from(user.identityKey, 'hex')
      const boxes = await this.query<{ name: string }>(
        'select name from message_boxes where recipient = $1',
        [key]
      )
      for (const { name } of boxes) {
        for (const message of await this.list(user, name))
          listed.set(`${user.identityKey} ${message.envelopeId}`, message)
      }
    }
    return listed
  }

  /** Rows of every table, but for what is remembered of requests. */
  async rows(): Promise<Record<string, number>> {
    const tables = await this.query<{ name: string }>(
      `select table_name as name from information_schema.tables
       where table_schema = 'public' and table_type = 'BASE TABLE' and table_name not like 'seen_requests%'
         and table_name <> 'rate_limits'`
    )
    const counts = tables.map(({ name }) => `select '${name}' as name, count(*)::int as n from ${name}`)
    const found = await this.query<{ name: string; n: number }>(counts.join(' union all '))
    return Object.fromEntries(found.map(({ name, n }) => [name, n]))
  }

  query<Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    return this.node.databases.database.query<Row>({ name: '', text }, values)
  }

  remove(): Promise<void> {
    return this.node.remove()
  }
}
