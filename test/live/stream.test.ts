import { expect } from 'chai'
import { eventText } from '../../src/api/message-stream.js'
import { verifyPortableSignature } from '../../src/keys/portable-signature.js'
import { RawConnection } from '../auth/raw-connection.js'
import { curve, exchange, TestUser } from '../support/client.js'
import { type ServerEvent, TestEventSource } from '../support/event-source.js'
import { startTestNode, type TestNode, until } from '../support/nodes.js'
import { block, unblock } from '../support/operator.js'

const isNothing = (answer: unknown) => answer === true || (Array.isArray(answer) && answer.length === 0)

describe('a stream of messages (Server-Sent Events)', () => {
  let node: TestNode
  let replica: TestNode
  const alice = new TestUser('stream alice')
  let bob: TestUser
  let names = 0
  let open: TestEventSource[] = []

  before(async () => {
    node = await startTestNode('stream')
    replica = await startTestNode('stream', {
      environment: { DATABASE_URL: node.databases.connectionString }
    })
  })
  after(async () => {
    await replica.remove()
    await node.remove()
  })
  beforeEach(() => {
    bob = new TestUser(`stream bob ${names++}`)
  })
  afterEach(() => {
    for (const stream of open) stream.close()
    open = []
  })

  const send = async (messageBox: string, body: string, at = node) => {
    const message = { recipient: bob.identityKey, messageBox, body }
    expect((await alice.post(at.url, '/sendMessage', { message })).status).to.equal(200)
  }
  const ticket = (body: object, at = node) => bob.post(at.url, '/messages/streamTicket', body)
  function open_(text: unknown, at = node): TestEventSource {
    const stream = new TestEventSource(`${at.url}/messages/stream?ticket=${String(text)}`)
    open.push(stream)
    return stream
  }
  async function follow(messageBoxes: string[], lastEventId?: string, at = node): Promise<TestEventSource> {
    const answer = await ticket({ messageBoxes, lastEventId }, at)
    expect(answer.status, answer.body.toString()).to.equal(200)
    const stream = open_(answer.json.ticket, at)
    expect(await stream.status()).to.equal(200)
    expect((await stream.next()).event).to.equal('ready')
    return stream
  }
  /** The message in an event that the node has signed. */
  function signed({ id, data: text }: ServerEvent): Record<string, unknown> {
    const { data, signature } = JSON.parse(text) as { data: string; signature: string }
    const said = eventText(bob.identityKey, id, data)
    expect(verifyPortableSignature(curve, node.identityKey, said, signature)).to.equal(true)
    return JSON.parse(data) as Record<string, unknown>
  }

  it('brings what arrives in its boxes, signed, and nothing of other boxes', async () => {
    await send('inbox', 'before')
    const stream = await follow(['news', 'inbox'])
    await send('other', 'unheard')
    await send('inbox', 'one')
    await send('news', 'two')
    expect(signed(await stream.next())).to.include({
      messageBox: 'inbox',
      body: 'one',
      sender: alice.identityKey
    })
    expect(signed(await stream.next())).to.include({ messageBox: 'news', body: 'two', origin: 'local' })
  })

  it('goes on behind the last id, without gap or repeat, at another process', async () => {
    const first = await follow(['inbox', 'news'])
    await send('inbox', 'one')
    const { id } = await first.next()
    first.close()
    await send('inbox', 'two')
    await send('news', 'three')
    const second = await follow(['news', 'inbox'], id, replica)
    const bodies = [signed(await second.next()).body, signed(await second.next()).body]
    expect(bodies).to.have.members(['two', 'three'])
    await send('inbox', 'four')
    expect(signed(await second.next()).body).to.equal('four')
  })

  it('begins where a list has ended', async () => {
    await send('inbox', 'listed')
    const list = await bob.post(node.url, '/listMessages', { messageBox: 'inbox' })
    await send('inbox', 'after the list')
    const stream = await follow(['inbox'], String(list.json.nextCursor))
    expect(signed(await stream.next()).body).to.equal('after the list')
  })

  it('takes a ticket once, at all processes together, and none that is made up', async () => {
    const { json } = await ticket({ messageBoxes: ['inbox'] })
    const stream = open_(json.ticket)
    await stream.next()
    const refused = async (text: string) => {
      const target = `/messages/stream?ticket=${text}`
      const answer = await exchange(replica.url, {
        method: 'GET',
        target,
        headers: [],
        body: Buffer.alloc(0)
      })
      expect(answer.status).to.equal(401)
      expect(JSON.parse(answer.body.toString())).to.include({ code: 'ERR_INVALID_TICKET' })
    }
    await refused(String(json.ticket))
    const fresh = String((await ticket({ messageBoxes: ['inbox'] })).json.ticket)
    const middle = fresh.length >> 1
    await refused(fresh.slice(0, middle) + (fresh[middle] === 'A' ? 'B' : 'A') + fresh.slice(middle + 1))
    for (const text of ['', 'x', fresh.slice(0, 40), '%00']) await refused(text)
  })

  it('says what is wrong with a request for a ticket', async () => {
    const code = async (body: object) => (await ticket(body)).json.code
    expect(await code({})).to.equal('ERR_MESSAGEBOX_REQUIRED')
    expect(await code({ messageBoxes: [' '] })).to.equal('ERR_INVALID_MESSAGEBOX')
    const many = Array.from({ length: 21 }, (_, i) => `box ${i}`)
    expect(await code({ messageBoxes: many })).to.equal('ERR_TOO_MANY_MESSAGEBOXES')
    for (const lastEventId of ['1', '1.2~3.4', 5, '1.-2']) {
      expect(await code({ messageBoxes: ['inbox'], lastEventId })).to.equal('ERR_INVALID_CURSOR')
    }
  })

  it('is ended by a node that stops', async () => {
    const passing = await startTestNode('stream passing')
    const { json } = await bob.post(passing.url, '/messages/streamTicket', { messageBoxes: ['inbox'] })
    const stream = open_(json.ticket, passing)
    await stream.next()
    await passing.remove()
    await stream.ended
  })

  it('is ended at every process when the operator blocks its reader, and a list that waits as well', async () => {
    const streams = [await follow(['inbox']), await follow(['inbox'], undefined, replica)]
    const waiting = [node, replica].map(at =>
      bob.post(at.url, '/listMessages', { messageBox: 'inbox', waitSeconds: 20 })
    )
    // Both wait by now, or are refused when they come to it.
    const { json } = await ticket({ messageBoxes: ['inbox'] })
    const bystander = new TestUser(`stream bystander ${names}`)
    const other = await bystander.post(node.url, '/messages/streamTicket', { messageBoxes: ['inbox'] })
    const unharmed = open_(other.json.ticket)
    expect((await unharmed.next()).event).to.equal('ready')
    const begin = performance.now()
    await block(node, 'identity', bob.identityKey)
    await Promise.all(streams.map(({ ended }) => ended))
    const answers = await Promise.all(waiting)
    expect(performance.now() - begin).to.be.below(15_000)
    for (const { status, json } of answers) expect(status === 403 || json.messages).to.satisfy(isNothing)
    expect(await open_(json.ticket).status()).to.equal(403)
    const sent = { recipient: bystander.identityKey, messageBox: 'inbox', body: 'still there' }
    await alice.post(node.url, '/sendMessage', { message: sent })
    expect((await unharmed.next()).event).to.equal('message')
    await unblock(node, 'identity', bob.identityKey)
  })

  it('does not count a reader who has left, nor one who waited for a list and has left', async () => {
    for (let i = 0; i < 64; i++) {
      const session = await bob.session(node.url)
      const body = Buffer.from(JSON.stringify({ messageBox: 'inbox', waitSeconds: 20 }))
      const headers = { 'content-type': 'application/json' }
      const { headers: lines } = bob.sign(session, { method: 'POST', target: '/listMessages', headers, body })
      const connection = await RawConnection.open(node.url)
      const head = lines.map(line => line.join(': ')).join('\r\n')
      connection.write(
        `POST /listMessages HTTP/1.1\r\nhost: x\r\n${head}\r\ncontent-length: ${body.length}\r\n\r\n${body}`
      )
      connection.close()
    }
    await until(
      async () => open_((await ticket({ messageBoxes: ['inbox'] })).json.ticket).status(),
      status => status === 200,
      10_000
    )
  })

  it('has at most 64 readers of one identity', async () => {
    for (let i = 0; i < 64; i++) await follow(['inbox'])
    const { json } = await ticket({ messageBoxes: ['inbox'] })
    expect(await open_(json.ticket).status()).to.equal(429)
    open.shift()?.close()
  })
})

describe('/listMessages that waits', () => {
  let node: TestNode
  const alice = new TestUser('waiting alice')
  const bob = new TestUser('waiting bob')
  before(async () => {
    node = await startTestNode('waiting')
  })
  after(() => node.remove())
  const list = (body: object) => bob.post(node.url, '/listMessages', { messageBox: 'inbox', ...body })

  it('answers as soon as something arrives, and goes on from there', async () => {
    const first = list({ waitSeconds: 20 })
    const message = { recipient: bob.identityKey, messageBox: 'inbox', body: 'awaited' }
    await alice.post(node.url, '/sendMessage', { message: { ...message, messageBox: 'other' } })
    await alice.post(node.url, '/sendMessage', { message })
    const { json, signature } = await first
    expect(signature).to.equal('valid')
    expect((json.messages as { body: string }[]).map(({ body }) => body)).to.deep.equal(['awaited'])
    const second = list({ waitSeconds: 20, cursor: json.nextCursor })
    await alice.post(node.url, '/sendMessage', { message: { ...message, body: 'next' } })
    expect(((await second).json.messages as { body: string }[])[0]).to.include({ body: 'next' })
  })

  it('answers at once where there is something, and with nothing after the time', async () => {
    expect((await list({ waitSeconds: 20 })).json.messages).to.have.length(2)
    const empty = await list({ messageBox: 'nothing here', waitSeconds: 1 })
    expect(empty.json).to.deep.equal({ status: 'success', messages: [], hasMore: false })
  })

  it('refuses to wait longer', async () => {
    for (const waitSeconds of [21, -1, 1.5, '5', null]) {
      expect((await list({ waitSeconds })).json.code).to.equal('ERR_INVALID_WAIT')
    }
  })
})
