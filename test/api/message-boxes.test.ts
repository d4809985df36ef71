import { expect } from 'chai'
import { TestUser } from '../support/client.js'
import { type MessageBoxNode, startMessageBoxNode } from '../support/message-box-node.js'

const alice = new TestUser('alice')
const bob = new TestUser('bob')
const carol = new TestUser('carol')

interface Listed {
  messageId: string | number
  body: string
  sender: string
  envelopeId: string
  origin: string
}

describe('message boxes of one node (BRC-33)', () => {
  let node: MessageBoxNode

  before(async () => {
    node = await startMessageBoxNode()
  })
  after(() => node.stop())

  let boxes = 0
  /** A box that no other test uses. */
  const newBox = () => `box ${boxes++}`
  const send = (from: TestUser, message: object) => from.post(node.url, '/sendMessage', { message })
  async function list(of: TestUser, messageBox: string, more: object = {}) {
    const answer = await of.post(node.url, '/listMessages', { messageBox, ...more })
    expect(answer.status, answer.body.toString()).to.equal(200)
    return answer.json as unknown as { messages: Listed[]; hasMore: boolean; nextCursor: string }
  }
  const acknowledge = (of: TestUser, messageIds: unknown) =>
    of.post(node.url, '/acknowledgeMessage', { messageIds })

  it('takes the three members of BRC-33, shows an integer and deletes on acknowledgement', async () => {
    const messageBox = newBox()
    const sent = await send(alice, { recipient: bob.identityKey, messageBox, body: 'hello' })
    expect(sent.status, sent.body.toString()).to.equal(200)
    expect(sent.signature).to.equal('valid')
    expect(sent.json).to.include({ status: 'success' })
    const { messages } = await list(bob, messageBox)
    expect(messages).to.have.length(1)
    const [message] = messages
    expect(message).to.include({ body: 'hello', sender: alice.identityKey, origin: 'local' })
    expect(message!.messageId).to.be.a('number').and.satisfy(Number.isSafeInteger)
    const acknowledged = await acknowledge(bob, [message!.messageId])
    expect(acknowledged.json).to.deep.equal({ status: 'success', acknowledged: 1 })
    expect((await list(bob, messageBox)).messages).to.deep.equal([])
  })

  it('answers an acknowledgement of what is gone, or of others, with success and changes nothing', async () => {
    const messageBox = newBox()
    await send(alice, { recipient: bob.identityKey, messageBox, body: 'x', messageId: 'keep' })
    expect((await acknowledge(carol, ['keep', 'nothing', 5])).json).to.deep.equal({
      status: 'success',
      acknowledged: 0
    })
    expect((await list(bob, messageBox)).messages).to.have.length(1)
    expect((await acknowledge(bob, ['keep'])).json.acknowledged).to.equal(1)
    expect((await acknowledge(bob, ['keep'])).json.acknowledged).to.equal(0)
  })

  it('sends to several recipients, each with an id of his own, in the order of the request', async () => {
    const messageBox = newBox()
    const recipients = [carol.identityKey, bob.identityKey]
    const answer = await send(alice, {
      recipients,
      messageBox,
      messageId: ['for carol', 'for bob'],
      body: 'both'
    })
    expect(answer.json.results).to.deep.equal([
      { recipient: carol.identityKey, messageId: 'for carol', delivery: 'parked', forwardable: false },
      { recipient: bob.identityKey, messageId: 'for bob', delivery: 'parked', forwardable: false }
    ])
    expect((await list(bob, messageBox)).messages[0]).to.include({ messageId: 'for bob', body: 'both' })
    expect((await list(carol, messageBox)).messages[0]).to.include({ messageId: 'for carol' })
  })

  it('stores an object body as its JSON, wrapped for readers who would take its member "message"', async () => {
    const messageBox = newBox()
    await send(alice, { recipient: bob.identityKey, messageBox, body: { a: 1 } })
    await send(alice, { recipient: bob.identityKey, messageBox, body: '{"message":"hi","extra":9}' })
    const { messages } = await list(bob, messageBox)
    expect(messages.map(message => message.body)).to.deep.equal([
      '{"a":1}',
      JSON.stringify({ message: '{"message":"hi","extra":9}' })
    ])
  })

  it('lists in the order of sending, pages with a cursor and never loses a message between pages', async () => {
    const messageBox = newBox()
    for (let i = 0; i < 7; i++) await send(alice, { recipient: bob.identityKey, messageBox, body: `${i}` })
    const first = await list(bob, messageBox, { limit: 3 })
    expect(first.messages.map(message => message.body)).to.deep.equal(['0', '1', '2'])
    expect(first.hasMore).to.equal(true)
    await acknowledge(
      bob,
      first.messages.map(message => message.messageId)
    )
    await send(alice, { recipient: bob.identityKey, messageBox, body: '7' })
    const second = await list(bob, messageBox, { limit: 3, cursor: first.nextCursor })
    const third = await list(bob, messageBox, { limit: 3, cursor: second.nextCursor })
    expect([...second.messages, ...third.messages].map(message => message.body)).to.deep.equal([
      '3',
      '4',
      '5',
      '6',
      '7'
    ])
    expect(third.hasMore).to.equal(false)
    const fourth = await list(bob, messageBox, { limit: 3, cursor: third.nextCursor })
    expect(fourth.messages).to.deep.equal([])
  })

  it('leaves out the oldest where an offset is given, as deployed servers do', async () => {
    const messageBox = newBox()
    for (let i = 0; i < 5; i++) await send(alice, { recipient: bob.identityKey, messageBox, body: `${i}` })
    const page = async (more: object) => {
      const { messages, ...rest } = await list(bob, messageBox, more)
      return { bodies: messages.map(({ body }) => body).join(), ...rest }
    }
    expect(await page({ limit: 2, offset: 2 })).to.deep.include({
      bodies: '2,3',
      limit: 2,
      offset: 2,
      nextOffset: 4,
      hasMore: true
    })
    expect(await page({ limit: 2, skip: 4 })).to.deep.include({
      bodies: '4',
      nextOffset: null,
      hasMore: false
    })
    expect(await page({ limit: 2, offset: 0 })).to.deep.include({ bodies: '0,1', nextOffset: 2 })
    expect(await page({ offset: 5 })).to.deep.include({ bodies: '', offset: 5, nextOffset: null })
    expect((await list(bob, 'no such box', { offset: 1 })).messages).to.deep.equal([])
    const { nextCursor } = await page({ limit: 1, offset: 1 })
    expect(await page({ cursor: nextCursor })).to.deep.include({ bodies: '2,3,4' })
    for (const wrong of [
      { offset: -1 },
      { offset: '1' },
      { skip: 10_001 },
      { offset: 1, cursor: nextCursor },
      { offset: 1, acknowledged: true }
    ]) {
      const answer = await bob.post(node.url, '/listMessages', { messageBox, ...wrong })
      expect(answer.json, JSON.stringify(wrong)).to.include({ code: 'ERR_INVALID_OFFSET' })
    }
  })

  it('bounds a list by bytes, but always shows one message', async () => {
    const small = await startMessageBoxNode({ listBytes: 1_000 })
    try {
      const message = { recipient: bob.identityKey, messageBox: 'big', body: 'x'.repeat(600) }
      for (let i = 0; i < 3; i++) await alice.post(small.url, '/sendMessage', { message })
      await alice.post(small.url, '/sendMessage', { message: { ...message, body: 'y'.repeat(5_000) } })
      const sizes: number[] = []
      for (let cursor: unknown, more = true; more; ) {
        const { json } = await bob.post(small.url, '/listMessages', { messageBox: 'big', cursor })
        sizes.push((json.messages as unknown[]).length)
        more = json.hasMore === true
        cursor = json.nextCursor
      }
      expect(sizes).to.deep.equal([2, 2])
    } finally {
      await small.stop()
    }
  })

  it('makes one box of a hundred first messages that race for it', async () => {
    const messageBox = newBox()
    const senders = Array.from({ length: 20 }, (_, i) => new TestUser(`racer ${i}`))
    await Promise.all(senders.map(sender => sender.session(node.url)))
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        send(senders[i % 20]!, {
          recipient: bob.identityKey,
          messageBox,
          body: `${i}`,
          messageId: `race ${i}`
        })
      )
    )
    expect(answers.every(answer => answer.status === 200)).to.equal(true)
    const { messages } = await list(bob, messageBox)
    expect(new Set(messages.map(message => message.body)).size).to.equal(100)
  })

  describe('the same message again', () => {
    it('is success and stores nothing, in any box of ids a client may choose', async () => {
      const messageBox = newBox()
      for (const messageId of ['again', 12345, '777']) {
        const message = { recipient: bob.identityKey, messageBox, body: 'once', messageId }
        const [first, second] = [await send(alice, message), await send(alice, message)]
        expect(second.status).to.equal(200)
        expect(second.json).to.deep.equal(first.json)
      }
      expect((await list(bob, messageBox)).messages).to.have.length(3)
    })

    it('is stored once when fifty retries race', async () => {
      const messageBox = newBox()
      const message = { recipient: bob.identityKey, messageBox, body: 'once', messageId: 'fifty' }
      const answers = await Promise.all(Array.from({ length: 50 }, () => send(alice, message)))
      expect(answers.map(answer => answer.status)).to.deep.equal(new Array(50).fill(200))
      expect((await list(bob, messageBox)).messages).to.have.length(1)
    })

    it('is 409 under the same id with another body, unless one of them is sealed', async () => {
      const messageBox = newBox()
      const message = { recipient: bob.identityKey, messageBox, messageId: 'id', body: 'one' }
      await send(alice, message)
      const other = await send(alice, { ...message, body: 'two' })
      expect(other.status).to.equal(409)
      expect(other.json).to.include({ code: 'ERR_DUPLICATE_MESSAGE' })
      const sealed = JSON.stringify({ encryptedMessage: Buffer.alloc(60, 7).toString('base64') })
      expect((await send(alice, { ...message, body: sealed })).status).to.equal(200)
      expect((await list(bob, messageBox)).messages.map(({ body }) => body)).to.deep.equal(['one'])
    })

    it('is another message from another sender: shown under its integer, acknowledged by it', async () => {
      const messageBox = newBox()
      const message = { recipient: bob.identityKey, messageBox, messageId: 'shared', body: 'x' }
      await send(alice, message)
      const second = await send(carol, message)
      const [{ messageId }] = second.json.results as [{ messageId: unknown }]
      expect(messageId).to.be.a('number')
      expect((await send(carol, message)).json).to.deep.equal(second.json)
      await acknowledge(bob, ['shared'])
      expect((await list(bob, messageBox)).messages).to.have.length(1)
      await acknowledge(bob, [String(messageId)])
      expect((await list(bob, messageBox)).messages).to.have.length(0)
    })

    it('counts as a retry for ten minutes after it was acknowledged, then as a new message', async () => {
      const messageBox = newBox()
      const message = { recipient: bob.identityKey, messageBox, messageId: 'ok', body: 'ok' }
      await send(alice, message)
      await acknowledge(bob, ['ok'])
      await send(alice, message)
      expect((await list(bob, messageBox)).messages).to.have.length(0)
      node.clock.forward(10 * 60_000 + 1)
      await send(alice, message)
      expect((await list(bob, messageBox)).messages).to.have.length(1)
    })
  })

  it('refuses the very same signed bytes with the 401 that makes stock clients shake hands again', async () => {
    const messageBox = newBox()
    const sent = await send(alice, { recipient: bob.identityKey, messageBox, body: 'once' })
    const replay = await alice.send(node.url, sent.request)
    expect(replay.status).to.equal(401)
    expect(replay.signature).to.equal('absent')
    expect(replay.body.toString()).to.include('Session not found for nonce')
    const listed = await bob.post(node.url, '/listMessages', { messageBox })
    expect((await bob.send(node.url, listed.request)).status).to.equal(401)
    const acknowledged = await acknowledge(bob, [1])
    expect((await bob.send(node.url, acknowledged.request)).status).to.equal(401)
    expect((await list(bob, messageBox)).messages).to.have.length(1)
  })

  it('shows a page nothing that overtakes it: positions follow the commits', async () => {
    const messageBox = newBox()
    await send(alice, { recipient: bob.identityKey, messageBox, body: 'first' })
    const { databases } = node
    let release = () => {}
    const held = new Promise<void>(resolve => {
      release = resolve
    })
    let locked = () => {}
    const isLocked = new Promise<void>(resolve => {
      locked = resolve
    })
    // A transaction that has taken a place in the box and does not end.
    const open = databases.database.transaction(async tx => {
      await tx.query(
        {
          name: 'take-a-place',
          text: 'update recipients set last_position = last_position + 1 where identity_key = $1'
        },
        [Buffer.from(bob.identityKey, 'hex')]
      )
      locked()
      await held
    })
    await isLocked
    const late = send(alice, { recipient: bob.identityKey, messageBox, body: 'late' })
    const page = await list(bob, messageBox)
    expect(page.messages.map(({ body }) => body)).to.deep.equal(['first'])
    release()
    await open
    await late
    const next = await list(bob, messageBox, { cursor: page.nextCursor })
    expect(next.messages.map(({ body }) => body)).to.deep.equal(['late'])
  })

  it('hides what has expired', async () => {
    const messageBox = newBox()
    await send(alice, { recipient: bob.identityKey, messageBox, body: 'old' })
    node.clock.forward(31 * 24 * 60 * 60_000)
    expect((await list(bob, messageBox)).messages).to.deep.equal([])
  })
})
