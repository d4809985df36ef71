import { expect } from 'chai'
import { pruneMessageBoxes } from '../../src/storage/messages.js'
import { type Answer, TestUser } from '../support/client.js'
import { type MessageBoxNode, startMessageBoxNode } from '../support/message-box-node.js'

const RACERS = 50

describe('quotas of a recipient (protocol section 6)', () => {
  let node: MessageBoxNode
  let users = 0
  /** With a session: of handshakes that race only the last one counts. */
  async function newUser(): Promise<TestUser> {
    const user = new TestUser(`user ${users++} of quotas`)
    await user.handshake(node.url)
    return user
  }
  /** Below what one sender may send, so that each limit is met alone. */
  const limits = {
    messagesPerRecipient: 30,
    messagesPerSender: 20,
    bytesPerRecipient: 10_000,
    boxesPerRecipient: 4
  }

  before(async () => {
    node = await startMessageBoxNode(limits)
  })
  after(() => node?.stop())

  const send = (from: TestUser, to: TestUser, messageBox = 'inbox', body = 'x') =>
    from.post(node.url, '/sendMessage', { message: { recipient: to.identityKey, messageBox, body } })

  async function sendMany(from: TestUser, to: TestUser, count: number, messageBox?: string): Promise<void> {
    for (const answer of await Promise.all(Array.from({ length: count }, () => send(from, to, messageBox)))) {
      expect(answer.status, answer.body.toString()).to.equal(200)
    }
  }

  async function acknowledge(of: TestUser, count: number, messageBox = 'inbox'): Promise<void> {
    const { json } = await of.post(node.url, '/listMessages', { messageBox, limit: count })
    const messageIds = (json.messages as { messageId: unknown }[]).map(({ messageId }) => messageId)
    const answer = await of.post(node.url, '/acknowledgeMessage', { messageIds })
    expect(answer.json).to.deep.equal({ status: 'success', acknowledged: count })
  }

  function expectFull(answer: Answer, recipient: TestUser, limit: string): void {
    const isSenders = limit === 'messagesPerSender'
    const code = isSenders ? 'ERR_SENDER_QUOTA_EXCEEDED' : 'ERR_INBOX_QUOTA_EXCEEDED'
    expect(answer.status, answer.body.toString()).to.equal(isSenders ? 429 : 507)
    expect(answer.signature).to.equal('valid')
    expect(answer.json).to.deep.include({
      status: 'error',
      code,
      recipients: [{ recipient: recipient.identityKey, code, limit }],
      resource: limit,
      limit: limits[limit as keyof typeof limits]
    })
    expect(answer.json.description).to.contain(limit)
  }

  /** Fifty at once, of whom exactly so many get in. */
  async function race(count: number, limit: string, recipient: TestUser, send: () => Promise<Answer>) {
    const answers = await Promise.all(Array.from({ length: RACERS }, send))
    const refused = answers.filter(({ status }) => status !== 200)
    for (const answer of refused) expectFull(answer, recipient, limit)
    expect(RACERS - refused.length).to.equal(count)
  }

  /** What the node counts of a recipient is what there is. */
  async function expectCounted(recipient: TestUser): Promise<void> {
    const [row] = await node.context.database.query<{ counted: object; found: object }>(
      {
        name: '',
        text: `select jsonb_build_array(r.message_count, r.byte_count, r.box_count) as counted,
          (select jsonb_build_array(count(*), coalesce(sum(bytes), 0), (select count(*) from message_boxes b where b.recipient = r.identity_key))
           from messages m where m.recipient_id = r.id) as found
          from recipients r where r.identity_key = $1`
      },
      [Buffer.from(recipient.identityKey, 'hex')]
    )
    expect(row!.counted).to.deep.equal(row!.found)
  }

  it('takes exactly as many messages as may wait, from whomever and in whatever boxes, and more when there is room', async () => {
    const bob = await newUser()
    const [alice, carol] = [await newUser(), await newUser()]
    await sendMany(alice, bob, 12)
    await sendMany(carol, bob, 11, 'another')
    const senders = [alice, carol, await newUser(), await newUser()]
    let n = 0
    await race(7, 'messagesPerRecipient', bob, () =>
      send(senders[n++ % 4]!, bob, n % 3 ? 'inbox' : 'another', `${n}`)
    )
    await expectCounted(bob)
    await acknowledge(bob, 3)
    await race(3, 'messagesPerRecipient', bob, () => send(senders[n++ % 4]!, bob))
    node.clock.forward(31 * 24 * 60 * 60_000)
    await alice.handshake(node.url)
    await pruneMessageBoxes(node.context.database, node.clock.now(), 1_000)
    await race(20, 'messagesPerSender', bob, () => send(alice, bob))
    await expectCounted(bob)
  })

  it('takes exactly as many bytes as may wait', async () => {
    const [alice, bob] = [await newUser(), await newUser()]
    const body = 'y'.repeat(1_000)
    await race(10, 'bytesPerRecipient', bob, () => send(alice, bob, 'inbox', body))
    expectFull(await send(alice, bob, 'inbox', 'z'), bob, 'bytesPerRecipient')
    await acknowledge(bob, 1)
    await race(1, 'bytesPerRecipient', bob, () => send(alice, bob, 'inbox', body))
    await expectCounted(bob)
  })

  it('takes exactly as many messages of one sender as may wait, and those of others', async () => {
    const [alice, bob, carol] = [await newUser(), await newUser(), await newUser()]
    await sendMany(carol, bob, 5)
    await sendMany(alice, bob, 15)
    await race(5, 'messagesPerSender', bob, () => send(alice, bob))
    await sendMany(carol, bob, 2)
    expectFull(await send(alice, bob), bob, 'messagesPerSender')
    // The five oldest are carol's, the others his.
    await acknowledge(bob, 9)
    await race(4, 'messagesPerSender', bob, () => send(alice, bob))
    // Nothing is left of the counts when nothing waits.
    await acknowledge(bob, 22)
    await expectCounted(bob)
    await race(20, 'messagesPerSender', bob, () => send(alice, bob))
  })

  it('has only so many boxes for one recipient, of which an empty one gives its place away', async () => {
    const [alice, bob] = [await newUser(), await newUser()]
    await sendMany(alice, bob, 2, 'first')
    let n = 0
    await race(3, 'boxesPerRecipient', bob, () => send(alice, bob, `box ${n++}`))
    await sendMany(alice, bob, 1, 'first')
    await acknowledge(bob, 2, 'first')
    expectFull(await send(alice, bob, 'no place'), bob, 'boxesPerRecipient')
    await acknowledge(bob, 1, 'first')
    await race(1, 'boxesPerRecipient', bob, () => send(alice, bob, `new box ${n++}`))
    await expectCounted(bob)
  })

  it('refuses a message to several as a whole, and tells who has no room', async () => {
    const [alice, full, free] = [await newUser(), await newUser(), await newUser()]
    await sendMany(alice, full, 20)
    const toBoth = { recipients: [free.identityKey, full.identityKey], messageBox: 'inbox', body: 'both' }
    expectFull(await alice.post(node.url, '/sendMessage', { message: toBoth }), full, 'messagesPerSender')
    const { json } = await free.post(node.url, '/listMessages', { messageBox: 'inbox' })
    expect(json.messages).to.deep.equal([])
  })

  it('answers a repeat with success where a new message finds no room', async () => {
    const [alice, bob] = [await newUser(), await newUser()]
    const message = { recipient: bob.identityKey, messageBox: 'inbox', body: 'again', messageId: 'again' }
    expect((await alice.post(node.url, '/sendMessage', { message })).status).to.equal(200)
    await sendMany(alice, bob, 19)
    expectFull(await send(alice, bob), bob, 'messagesPerSender')
    expect((await alice.post(node.url, '/sendMessage', { message })).status).to.equal(200)
    await expectCounted(bob)
  })
})
