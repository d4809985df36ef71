import { expect } from 'chai'
import { signPortably } from '../../src/keys/portable-signature.js'
import { signedMessageText } from '../../src/message.js'
import { submitScript, tokenScript, untilHosts } from '../support/advertised.js'
import { TestUser } from '../support/client.js'
import { type FakeHost, startFakeHost } from '../support/fake-host.js'
import { connectSocket } from '../support/live-client.js'
import { authorizeRouting, listMessages, startMesh, type TestNode, until } from '../support/nodes.js'
import { silent } from '../support/peer.js'

interface Quote {
  readonly deliveryFee: number
  readonly recipientFee: number
}

describe('rules and fees of recipients at another node', () => {
  let here: TestNode
  let there: TestNode
  const clock = { ahead: 0, now: () => Date.now() + clock.ahead }
  const fakes: FakeHost[] = []
  const alice = new TestUser('alice of fees')
  let users = 0
  let sent = 0

  before(async function () {
    this.timeout(60_000)
    ;[here, there] = (await startMesh(['fees here', 'fees there'], {
      options: { clock, federation: { random: () => 0 } }
    })) as [TestNode, TestNode]
  })
  after(async () => {
    await Promise.all([here?.remove(), there?.remove()])
    await Promise.all(fakes.map(fake => fake.close()))
  })

  async function recipientThere(rules: readonly object[] = []): Promise<TestUser> {
    const user = new TestUser(`recipient ${users++} of fees`)
    await authorizeRouting(user, there)
    await untilHosts(here, user, 1)
    for (const rule of rules) {
      const answer = await user.post(there.url, '/permissions/set', rule)
      expect(answer.status, answer.body.toString()).to.equal(200)
    }
    return user
  }

  function signedMessage(recipient: TestUser, messageBox = 'inbox') {
    const [messageId, body, createdAt] = [`fee-${sent++}`, 'body', clock.now()]
    const text = signedMessageText(recipient.identityKey, messageBox, messageId, body, createdAt)
    const signature = signPortably(alice.keys, text)
    return { recipient: recipient.identityKey, messageBox, messageId, body, createdAt, signature }
  }

  async function send(recipient: TestUser, messageBox?: string): Promise<string> {
    const message = signedMessage(recipient, messageBox)
    const answer = await alice.post(here.url, '/sendMessage', { message })
    expect(answer.status, answer.body.toString()).to.equal(200)
    return message.messageId
  }

  /** What alice finds in her box of reports about a message. */
  const reported = async (messageId: string): Promise<Record<string, unknown>> => {
    const find = async () =>
      (await listMessages(alice, here, 'delivery_reports'))
        .map(({ body }) => JSON.parse(body) as Record<string, unknown>)
        .find(report => report.messageId === messageId)
    return (await until(find, report => report !== undefined))!
  }

  async function quotes(messageBox: string, ...recipients: TestUser[]): Promise<Quote[]> {
    const query = new URLSearchParams({ messageBox })
    for (const { identityKey } of recipients) query.append('recipient', identityKey)
    const { json, status, body } = await alice.get(here.url, `/permissions/quote?${query}`)
    expect(status, body.toString()).to.equal(200)
    return recipients.length === 1 ? [json.quote as Quote] : (json.quotesByRecipient as Quote[])
  }
  const fees = async (messageBox: string, ...recipients: TestUser[]) =>
    (await quotes(messageBox, ...recipients)).map(({ recipientFee }) => recipientFee)

  it('end the delivery there, and are told to the sender', async () => {
    const bob = await recipientThere([
      { messageBox: 'inbox', recipientFee: -1, sender: alice.identityKey },
      { messageBox: 'priced', recipientFee: 5 }
    ])
    expect(await reported(await send(bob))).to.include({ state: 'refused', code: 'ERR_DELIVERY_BLOCKED' })
    expect(await reported(await send(bob, 'priced'))).to.include({
      state: 'refused',
      code: 'ERR_MISSING_PAYMENT_TX'
    })
    expect(await reported(await send(bob, 'notifications'))).to.include({ code: 'ERR_MISSING_PAYMENT_TX' })
    const taken = await send(bob, 'open')
    await until(
      () => listMessages(bob, there, 'open'),
      messages => messages.some(({ messageId }) => messageId === taken)
    )
    for (const box of ['inbox', 'priced', 'notifications']) {
      expect(await listMessages(bob, there, box)).to.deep.equal([])
    }
  })

  it('hold for what comes over a socket, and for each recipient of a call by himself', async () => {
    const [bob, carol] = [
      await recipientThere([{ messageBox: 'inbox', recipientFee: -1, sender: alice.identityKey }]),
      await recipientThere()
    ]
    const socket = connectSocket(alice, here.url)
    try {
      const roomId = `${bob.identityKey}-inbox`
      const { recipient: _, messageBox: __, ...message } = signedMessage(bob)
      const acknowledged = socket.next(`sendMessageAck-${roomId}`)
      socket.emit('sendMessage', { roomId, message })
      expect(await acknowledged).to.include({ status: 'success', delivery: 'forwarding' })
      expect(await reported(message.messageId)).to.include({ code: 'ERR_DELIVERY_BLOCKED' })
    } finally {
      socket.close()
    }
    const [first, second] = [signedMessage(bob), signedMessage(carol)]
    const { createdAt, body, messageBox } = second
    const text = signedMessageText(bob.identityKey, messageBox, first.messageId, body, createdAt)
    const message = {
      recipients: [bob.identityKey, carol.identityKey],
      messageId: [first.messageId, second.messageId],
      signatures: [signPortably(alice.keys, text), second.signature],
      createdAt,
      body,
      messageBox
    }
    expect((await alice.post(here.url, '/sendMessage', { message })).status).to.equal(200)
    expect(await reported(first.messageId)).to.include({ code: 'ERR_DELIVERY_BLOCKED' })
    await until(
      () => listMessages(carol, there, 'inbox'),
      messages => messages.length === 1
    )
  })

  it('are quoted by the node at which the recipient is at home, for this sender', async () => {
    const [bob, carol] = [
      await recipientThere([
        { messageBox: 'inbox', recipientFee: 7 },
        { messageBox: 'inbox', recipientFee: 3, sender: alice.identityKey }
      ]),
      await recipientThere([{ messageBox: 'inbox', recipientFee: -1 }])
    ]
    const dave = new TestUser('dave of fees')
    await dave.post(here.url, '/permissions/set', { messageBox: 'inbox', recipientFee: 11 })
    // The operator here is a host: somebody has chosen it, as the other node knows.
    const local = new TestUser('local of fees')
    await authorizeRouting(local, here)
    await untilHosts(there, local, 1)
    expect(await quotes('inbox', bob)).to.deep.equal([{ deliveryFee: 0, recipientFee: 3 }])
    expect(await fees('inbox', bob, dave, carol, local)).to.deep.equal([3, 11, -1, 0])
    expect(await fees('notifications', bob)).to.deep.equal([10])
  })

  it('are quoted anew after a while, and from memory while the other node is away', async () => {
    const bob = await recipientThere([{ messageBox: 'inbox', recipientFee: 7 }])
    const carol = await recipientThere([{ messageBox: 'inbox', recipientFee: 8 }])
    expect(await fees('inbox', bob)).to.deep.equal([7])
    await bob.post(there.url, '/permissions/set', { messageBox: 'inbox', recipientFee: 9 })
    expect(await fees('inbox', bob)).to.deep.equal([7])
    clock.ahead += 15_000
    expect(await fees('inbox', bob)).to.deep.equal([9])
    await there.stop()
    clock.ahead += 15_000
    expect(await fees('inbox', bob, carol)).to.deep.equal([9, 0])
    await there.restart()
    expect(await fees('inbox', carol)).to.deep.equal([8])
  })

  it('are 0 within two seconds where a host does not answer, or no fee', async () => {
    const answers = [
      undefined,
      { status: 200, body: { status: 'success', quote: { recipientFee: 'much' } } },
      { status: 200, body: [] },
      { status: 500, body: { status: 'error' } }
    ]
    const recipients: TestUser[] = []
    for (const answer of answers) {
      const fake = await startFakeHost(`of fees ${users++}`)
      fakes.push(fake)
      fake.quotesBy(answer === undefined ? silent : fake.signed(answer.status, answer.body))
      const recipient = new TestUser(`recipient ${users++} of fees`)
      await submitScript(here, tokenScript(fake.operator, fake.domain, recipient))
      recipients.push(recipient)
    }
    const begin = performance.now()
    expect(await fees('inbox', ...recipients)).to.deep.equal([0, 0, 0, 0])
    expect(performance.now() - begin).to.be.below(5_000)
  })

  it('of the host itself end the delivery, as this node pays nobody', async () => {
    const fake = await startFakeHost(`of fees ${users++}`, 402, {
      status: 'error',
      code: 'ERR_PAYMENT_REQUIRED',
      satoshisRequired: 10,
      description: 'pay'
    })
    fakes.push(fake)
    const bob = new TestUser(`recipient ${users++} of fees`)
    await submitScript(here, tokenScript(fake.operator, fake.domain, bob))
    expect(await reported(await send(bob))).to.include({
      state: 'refused',
      host: fake.domain,
      code: 'ERR_PAYMENT_REQUIRED'
    })
    expect(fake.asked).to.equal(1)
  })
})
