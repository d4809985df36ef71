import { expect } from 'chai'
import { signPortably } from '../../src/keys/portable-signature.js'
import { signedMessageText } from '../../src/message.js'
import { TestUser } from '../support/client.js'
import { authorizeRouting, until } from '../support/nodes.js'
import { type ProcessNode, startProcessMesh } from '../support/process-node.js'

const SENDERS = 10
const MESSAGES_EACH = 50
/** The node is killed when so many are accepted. */
const KILLED_AFTER = 150
/** A claim of a killed worker ends within a minute; its node comes back with a clock that is so far ahead, ms. */
const CLAIM = 61_000

interface Recipient {
  readonly user: TestUser
  readonly home: ProcessNode
}

/** What must be found in a box of one recipient, from one sender, in this order. */
interface Lane {
  readonly sender: string
  readonly recipient: Recipient
  readonly messageBox: string
  /** Ids. */
  readonly accepted: string[]
}

describe('a node killed in the middle of 500 messages (SIGKILL)', () => {
  let one: ProcessNode
  let two: ProcessNode
  let three: ProcessNode
  let recipients: readonly Recipient[]

  before(async function () {
    this.timeout(60_000)
    ;[one, two, three] = (await startProcessMesh(['crash one', 'crash two', 'crash three'])) as [
      ProcessNode,
      ProcessNode,
      ProcessNode
    ]
    recipients = [two, two, three, three].map((home, i) => ({ user: new TestUser(`recipient ${i}`), home }))
    await Promise.all(recipients.map(({ user, home }) => authorizeRouting(user, home)))
    for (const { user } of recipients) {
      await until(
        () => count(one, 'select count(*) as n from live_hosts($1)', Buffer.from(user.identityKey, 'hex')),
        n => n === 1
      )
    }
  })
  after(async () => {
    await Promise.all([one?.remove(), two?.remove(), three?.remove()])
  })

  async function count(node: ProcessNode, text: string, ...values: unknown[]): Promise<number> {
    return (await node.databases.database.query<{ n: number }>({ name: '', text }, values))[0]!.n
  }

  /**
   * Sends 500 messages through node one, each sender one after the other, with the same id again when an answer stays
   * away. Knows afterwards what was answered `success`.
   */
  async function sendAll(run: string, onAccepted: (accepted: number) => void): Promise<Lane[]> {
    const lanes = new Map<string, Lane>()
    let accepted = 0
    const sendFrom = async (_: unknown, n: number) => {
      const sender = new TestUser(`sender ${n} of ${run}`)
      for (let i = 0; i < MESSAGES_EACH; i++) {
        const recipient = recipients[(i * 7 + n) % recipients.length]!
        const messageBox = `${run} ${['inbox', 'payments', 'a b'][(i + n) % 3]}`
        const messageId = `${run} ${n} ${i}`
        await sendOne(sender, recipient.user.identityKey, messageBox, messageId)
        const key = [n, recipient.user.identityKey, messageBox].join()
        const lane = lanes.get(key) ?? { sender: sender.identityKey, recipient, messageBox, accepted: [] }
        lanes.set(key, lane)
        lane.accepted.push(messageId)
        onAccepted(++accepted)
      }
    }
    await Promise.all(Array.from({ length: SENDERS }, sendFrom))
    return [...lanes.values()]
  }

  /** Requests that died without an answer. */
  let unanswered = 0

  async function sendOne(sender: TestUser, recipient: string, messageBox: string, messageId: string) {
    const body = `body of ${messageId}`
    const createdAt = Date.now()
    const text = signedMessageText(recipient, messageBox, messageId, body, createdAt)
    const signature = signPortably(sender.keys, text)
    const message = { recipient, messageBox, messageId, body, createdAt, signature }
    for (;;) {
      const answer = await sender.post(one.url, '/sendMessage', { message }).catch(() => undefined)
      if (answer?.status === 200) return
      if (answer !== undefined) throw new Error(`refused: ${answer.status} ${answer.body}`)
      unanswered++
      await one.running
    }
  }

  /** Everything in a box, as far as there is. */
  async function list({ user, home }: Recipient, messageBox: string) {
    const messages: { sender: string; messageId: string; body: string }[] = []
    for (let cursor: unknown; ; ) {
      const { json } = await user.post(home.url, '/listMessages', { messageBox, cursor, limit: 100 })
      messages.push(...(json.messages as typeof messages))
      if (json.hasMore !== true) return messages
      cursor = json.nextCursor
    }
  }

  async function expectEverythingOnce(lanes: readonly Lane[]): Promise<void> {
    await until(
      () => count(one, `select count(*) as n from deliveries where state = 'pending'`),
      n => n === 0,
      40_000
    )
    const boxes = new Map(lanes.map(lane => [lane.recipient.user.identityKey + lane.messageBox, lane]))
    let total = 0
    for (const { recipient, messageBox } of boxes.values()) {
      const found = await list(recipient, messageBox)
      const ofBox = lanes.filter(lane => lane.recipient === recipient && lane.messageBox === messageBox)
      for (const { sender, accepted } of ofBox) {
        const ids = found.filter(message => message.sender === sender).map(({ messageId }) => messageId)
        expect(ids).to.deep.equal(accepted)
      }
      expect(found).to.have.length(ofBox.reduce((sum, { accepted }) => sum + accepted.length, 0))
      for (const { body, messageId } of found) expect(body).to.equal(`body of ${messageId}`)
      total += found.length
    }
    expect(total).to.equal(SENDERS * MESSAGES_EACH)
    expect(await count(one, 'select count(*) as n from messages')).to.equal(0)
  }

  async function killInTheMiddle(run: string, victim: () => ProcessNode, clockAhead: number): Promise<void> {
    let restarted: Promise<void> | undefined
    const lanes = await sendAll(run, accepted => {
      if (accepted === KILLED_AFTER) restarted = victim().crash(clockAhead)
    })
    await restarted
    await expectEverythingOnce(lanes)
  }

  it("loses nothing and doubles nothing when it is the sender's", async function () {
    this.timeout(60_000)
    await killInTheMiddle('sender', () => one, CLAIM)
    expect(unanswered).to.be.above(0)
  })

  it("loses nothing and doubles nothing when it is the recipient's", async function () {
    this.timeout(60_000)
    await killInTheMiddle('receiver', () => two, 0)
  })
})
