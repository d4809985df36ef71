import { signPortably } from '../../src/keys/portable-signature.js'
import { signedMessageText } from '../../src/message.js'
import { submitScript, tokenScript } from './advertised.js'
import type { TestUser } from './client.js'
import { type FakeHost, startFakeHost, TAKEN } from './fake-host.js'
import { listMessages, type TestNode, until } from './nodes.js'

export interface ShownDelivery {
  readonly host: string
  readonly state: string
  readonly attempts: number
  readonly lastAnswer: string | null
}

/** What one user sends through a node to recipients at hosts that the test makes up. */
export class MailToHosts {
  readonly #node: TestNode
  readonly #sender: TestUser
  readonly #hosts: FakeHost[] = []

  constructor(node: TestNode, sender: TestUser) {
    this.#node = node
    this.#sender = sender
  }

  /** A fake host of a recipient, in the node's index. */
  async hostOf(name: string, recipient: TestUser, status = 200, body: object = TAKEN): Promise<FakeHost> {
    const host = await startFakeHost(name, status, body)
    this.#hosts.push(host)
    await submitScript(this.#node, tokenScript(host.operator, host.domain, recipient))
    return host
  }

  /** Sends a message that its sender has signed. */
  async send(
    recipient: TestUser,
    messageId: string,
    messageBox = 'inbox',
    createdAt = Date.now()
  ): Promise<void> {
    const text = signedMessageText(recipient.identityKey, messageBox, messageId, 'body', createdAt)
    const signature = signPortably(this.#sender.keys, text)
    const answer = await this.#sender.post(this.#node.url, '/sendMessage', {
      message: { recipient: recipient.identityKey, messageBox, messageId, body: 'body', createdAt, signature }
    })
    if (answer.status !== 200) throw new Error(`sendMessage: ${answer.status} ${answer.body}`)
  }

  async deliveries(messageId: string): Promise<ShownDelivery[]> {
    const { json } = await this.#sender.post(this.#node.url, '/deliveryStatus', { messageIds: [messageId] })
    return json.deliveries as ShownDelivery[]
  }

  settled(messageId: string): Promise<ShownDelivery[]> {
    return until(
      () => this.deliveries(messageId),
      found => found.length > 0 && found.every(({ state }) => state !== 'pending')
    )
  }

  /** The report that the sender gets about a message. */
  async report(messageId: string): Promise<Record<string, unknown>> {
    const find = async () => {
      const found = await listMessages(this.#sender, this.#node, 'delivery_reports')
      return found.map(({ body }) => JSON.parse(body)).find(report => report.messageId === messageId)
    }
    return until(find, found => found !== undefined)
  }

  async close(): Promise<void> {
    await Promise.all(this.#hosts.map(host => host.close()))
  }
}
