import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { io, type Socket } from 'socket.io-client'
import { type AuthriteSession, AuthriteUser } from '../support/authrite-user.js'
import { TestUser } from '../support/client.js'
import { LegacyUser } from '../support/legacy-client.js'
import { connectSocket } from '../support/live-client.js'
import { listMessages, startTestNode, type TestNode } from '../support/nodes.js'

describe('live messages of legacy clients (authrite-js)', () => {
  let node: TestNode
  let open: LegacyUser[] = []
  let names = 0
  before(async () => {
    node = await startTestNode('legacy live')
  })
  after(() => node.remove())
  afterEach(() => {
    for (const user of open) user.close()
    open = []
  })

  async function newUser(): Promise<LegacyUser> {
    const user = new LegacyUser(`legacy live ${names++}`, node.url)
    await user.connect()
    open.push(user)
    return user
  }

  it('are sent and heard, in boxes with dashes, and are in the box', async () => {
    const [alice, bob] = [await newUser(), await newUser()]
    await bob.listen('a-b-c')
    const roomId = `${bob.identityKey}-a-b-c`
    const acknowledged = alice.next(`sendMessageAck-${roomId}`)
    await alice.client.emit('sendMessage', { roomId, message: { messageId: 'id', body: 'hello' } })
    expect(await acknowledged).to.include({ status: 'success', messageId: 'id' })
    const told = { sender: alice.identityKey, messageId: 'id', body: 'hello' }
    expect(await bob.hears(1)).to.deep.equal([told])
    const { messages } = (await bob.post('/listMessages', { messageBox: 'a-b-c' })).json
    expect((messages as object[])[0]).to.include(told)
  })

  it('carry objects as objects, and come once when the client repeats them over HTTP', async () => {
    const [alice, bob] = [await newUser(), await newUser()]
    await bob.listen('inbox')
    const roomId = `${bob.identityKey}-inbox`
    const body = { amount: 5, nested: [1, 2] }
    const message = { messageId: 'same', body }
    await alice.client.emit('sendMessage', { roomId, message })
    await bob.hears(1)
    const repeated = await alice.post('/sendMessage', {
      message: {
        recipient: bob.identityKey,
        messageBox: 'inbox',
        messageId: 'same',
        body: JSON.stringify(body)
      }
    })
    expect(repeated.status).to.equal(200)
    expect(bob.heard).to.deep.equal([{ sender: alice.identityKey, ...message }])
    // What was heard is acknowledged over HTTP, in the session that the socket has begun.
    expect((await bob.post('/acknowledgeMessage', { messageIds: ['same'] })).json).to.include({
      acknowledged: 1
    })
  })

  it('of text come once, too, though clients put it into quotes over HTTP', async () => {
    const [alice, bob] = [await newUser(), await newUser()]
    await bob.listen('inbox')
    const recipient = bob.identityKey
    const again = (text: string, messageId = 'text') =>
      alice.post('/sendMessage', {
        message: { recipient, messageBox: 'inbox', messageId, body: JSON.stringify(text) }
      })
    const text = 'said "once"\n'
    await alice.client.emit('sendMessage', {
      roomId: `${recipient}-inbox`,
      message: { messageId: 'text', body: text }
    })
    expect((await bob.hears(1))[0]).to.include({ body: text })
    const repeated = await again(text)
    expect(repeated.status).to.equal(200)
    expect(repeated.json.results).to.deep.equal([
      { recipient, messageId: 'text', delivery: 'parked', forwardable: false }
    ])
    expect((await again('something else')).json.code).to.equal('ERR_DUPLICATE_MESSAGE')
    // As a listener that acknowledges what it hears may do before the copy comes.
    await bob.post('/acknowledgeMessage', { messageIds: ['text'] })
    expect((await again(text)).status).to.equal(200)
    expect((await again('something else')).status).to.equal(409)
    expect((await bob.post('/listMessages', { messageBox: 'inbox' })).json.messages).to.deep.equal([])
    expect(bob.heard).to.have.length(1)
    expect((await again('another', 'other id')).status).to.equal(200)
  })

  it('pass between the schemes', async () => {
    const legacy = await newUser()
    const stock = new TestUser('stock beside legacy')
    const socket = connectSocket(stock, node.url)
    const ready = socket.next('authenticationSuccess')
    socket.emit('authenticated', {})
    await ready
    await legacy.listen('inbox')
    const heard = socket.next(`sendMessage-${stock.identityKey}-inbox`)
    await legacy.client.emit('sendMessage', {
      roomId: `${stock.identityKey}-inbox`,
      message: { messageId: 'to stock', body: 'from legacy' }
    })
    expect(await heard).to.include({ sender: legacy.identityKey, body: 'from legacy' })
    socket.emit('sendMessage', {
      roomId: `${legacy.identityKey}-inbox`,
      message: { messageId: 'to legacy', recipient: legacy.identityKey, body: 'from stock' }
    })
    expect((await legacy.hears(1))[0]).to.include({ sender: stock.identityKey, body: 'from stock' })
    socket.close()
  })

  it('are refused with the code that /sendMessage has, and rooms of others too', async () => {
    const [alice, bob] = [await newUser(), await newUser()]
    const roomId = `${bob.identityKey}-inbox`
    const refused = alice.next(`sendMessageAck-${roomId}`)
    await alice.client.emit('sendMessage', { roomId, message: { messageId: 'x' } })
    expect(await refused).to.include({ status: 'error', code: 'ERR_MESSAGE_BODY_REQUIRED' })
    const foreign = alice.next('joinFailed')
    await alice.client.emit('joinRoom', roomId)
    expect(await foreign).to.include({ code: 'ERR_FOREIGN_ROOM' })
  })
})

/** Events and headers of a socket as they are, open to tampering. */
class RawSocket {
  readonly socket: Socket
  readonly disconnected: Promise<unknown>
  readonly refused: Promise<Record<string, unknown>>
  readonly user: AuthriteUser
  readonly #greeted: Promise<Record<string, string>>
  readonly #clientNonce = randomBytes(32).toString('base64')

  constructor(url: string, user: AuthriteUser, headers: Record<string, string> = {}) {
    this.user = user
    this.socket = io(url, {
      reconnection: false,
      forceNew: true,
      extraHeaders: {
        'x-authrite': user.version,
        'x-message-type': 'initialRequest',
        'x-authrite-identity-key': user.user.identityKey,
        'x-authrite-nonce': this.#clientNonce,
        ...headers
      }
    })
    this.disconnected = new Promise(resolve => this.socket.once('disconnect', resolve))
    this.refused = new Promise(resolve => this.socket.once('error', ({ data }) => resolve(data)))
    this.#greeted = new Promise(resolve => this.socket.once('validationResponse', resolve))
  }

  async session(): Promise<AuthriteSession> {
    const { nonce, identityKey } = await this.#greeted
    return {
      version: this.user.version,
      clientNonce: this.#clientNonce,
      nodeKey: String(identityKey),
      nodeNonce: String(nonce)
    }
  }

  async event(data: unknown, by = this.user): Promise<{ data: unknown; headers: Record<string, string> }> {
    return frame(by, await this.session(), data)
  }

  next(eventName: string): Promise<{ data: Record<string, unknown>; headers: Record<string, string> }> {
    return new Promise(resolve => this.socket.once(eventName, resolve))
  }
}

function frame(by: AuthriteUser, session: AuthriteSession, data: unknown) {
  return { data, headers: Object.fromEntries(by.headers(session, Buffer.from(JSON.stringify(data)))) }
}

describe('hostile sockets under Authrite', () => {
  let node: TestNode
  const alice = new AuthriteUser('hostile legacy alice')
  const mallory = new AuthriteUser('hostile legacy mallory')
  const open: RawSocket[] = []
  const room = (user: AuthriteUser, messageBox = 'inbox') => `${user.user.identityKey}-${messageBox}`

  before(async () => {
    node = await startTestNode('hostile legacy')
  })
  after(() => node.remove())
  afterEach(() => {
    for (const { socket } of open.splice(0)) socket.disconnect()
  })

  function connect(user: AuthriteUser, headers?: Record<string, string>): RawSocket {
    const socket = new RawSocket(node.url, user, headers)
    open.push(socket)
    return socket
  }

  it('are answered signed, under 0.1 for the event before', async () => {
    for (const version of ['0.1', '0.2']) {
      const user = new AuthriteUser('legacy of versions', version)
      const socket = connect(user)
      const session = await socket.session()
      const answer = socket.next('joinedRoom')
      const asked = await socket.event(room(user))
      socket.socket.emit('joinRoom', asked)
      const { data, headers } = await answer
      const yourNonce = version === '0.2' ? session.clientNonce : asked.headers['x-authrite-nonce']
      expect(headers).to.include({ 'x-authrite': version, 'x-authrite-yournonce': yourNonce })
      const isSigned = user.user.keys.verify(
        Buffer.from(JSON.stringify(data)),
        Buffer.from(headers['x-authrite-signature']!, 'hex'),
        `2-authrite message signature-${yourNonce} ${headers['x-authrite-nonce']}`,
        Buffer.from(session.nodeKey, 'hex')
      )
      expect(isSigned).to.equal(true)
    }
  })

  it('are told why, and cut off, for a greeting that is none', async () => {
    const greetings: [headers: Record<string, string>, code: string][] = [
      [{ 'x-authrite': '0.3' }, 'ERR_AUTHRITE_VERSION_MISMATCH'],
      [{ 'x-message-type': 'hello' }, 'ERR_AUTHRITE_MISSING_INITIAL_REQUEST_PARAMS'],
      [{ 'x-authrite-identity-key': 'me' }, 'ERR_AUTHRITE_MISSING_INITIAL_REQUEST_PARAMS'],
      [{ 'x-authrite-nonce': 'x' }, 'ERR_AUTHRITE_MISSING_INITIAL_REQUEST_PARAMS']
    ]
    for (const [headers, code] of greetings) {
      const socket = connect(mallory, headers)
      expect(await socket.refused).to.include({ status: 'error', code })
      await socket.disconnected
    }
  })

  it('are told why, and cut off, for an event that is not what it should be', async () => {
    const events: [what: string, code: string, make: (socket: RawSocket) => Promise<unknown>][] = [
      ['no object', 'ERR_INVALID_EVENT', async () => 'x'],
      ['no headers', 'ERR_INVALID_EVENT', async socket => ({ data: (await socket.event('x')).data })],
      ['no data', 'ERR_INVALID_EVENT', async socket => ({ headers: (await socket.event('x')).headers })],
      [
        'other data',
        'ERR_AUTHRITE_INVALID_SIGNATURE',
        async socket => ({ ...(await socket.event('x')), data: room(mallory) })
      ],
      ["another's key and signature", 'ERR_AUTHRITE_BAD_SERVER_NONCE', socket => socket.event('x', alice)],
      [
        "another's signature",
        'ERR_AUTHRITE_INVALID_SIGNATURE',
        async socket => {
          const [{ data, headers }, { headers: others }] = [
            await socket.event('x'),
            await socket.event('x', alice)
          ]
          const signature = others['x-authrite-signature']!
          return { data, headers: { ...headers, 'x-authrite-signature': signature } }
        }
      ],
      [
        "another's key",
        'ERR_AUTHRITE_BAD_SERVER_NONCE',
        async socket => {
          const { data, headers } = await socket.event('x')
          return { data, headers: { ...headers, 'x-authrite-identity-key': alice.user.identityKey } }
        }
      ],
      [
        "another's session, key and signature",
        'ERR_AUTHRITE_MISSING_HEADERS',
        async () => frame(alice, await alice.handshake(node.url), 'x')
      ]
    ]
    for (const [what, code, make] of events) {
      const socket = connect(mallory)
      socket.socket.emit('joinRoom', await make(socket))
      expect(await socket.refused, what).to.include({ code })
      await socket.disconnected
    }
  })

  it('are told so of data nested deeper than a stack', async () => {
    const socket = connect(mallory)
    const { headers } = await socket.event('x')
    const deep = '['.repeat(100_000) + ']'.repeat(100_000)
    // No client could write that.
    socket.socket.io.engine.write(`2["joinRoom",{"data":${deep},"headers":${JSON.stringify(headers)}}]`)
    expect(await socket.refused).to.include({ code: 'ERR_INVALID_EVENT' })
    await socket.disconnected
  })

  it('hear nothing by copies of what their victim has said elsewhere', async () => {
    const session = await alice.handshake(node.url)
    const sent = { message: { recipient: mallory.user.identityKey, messageBox: 'inbox', body: 'to mallory' } }
    const request = alice.post(session, '/sendMessage', sent)
    expect((await alice.send(node.url, session, request)).status).to.equal(200)
    const listing = alice.post(session, '/listMessages', { messageBox: 'inbox' })
    expect((await alice.send(node.url, session, listing)).status).to.equal(200)
    for (const [copied, data] of [
      [request, sent],
      [listing, { messageBox: 'inbox' }]
    ] as const) {
      const socket = connect(alice)
      await socket.session()
      const headers = Object.fromEntries(copied.headers)
      socket.socket.emit('joinRoom', { data, headers })
      expect(await socket.refused).to.include({ code: 'ERR_AUTH_FAILED' })
      await socket.disconnected
    }
    // The name of an event is not signed: a copy sent as a message is one that came before.
    const socket = connect(alice)
    await socket.session()
    const roomId = room(mallory)
    const live = { roomId, message: { messageId: 'live', body: 'live' } }
    const first = connect(alice)
    const own = await first.event(live)
    const told = first.next(`sendMessageAck-${roomId}`)
    first.socket.emit('sendMessage', own)
    expect((await told).data).to.include({ status: 'success' })
    socket.socket.emit('sendMessage', own)
    expect(await socket.refused).to.include({ code: 'ERR_AUTH_FAILED' })
    await socket.disconnected
    expect(await listMessages(mallory.user, node, 'inbox')).to.have.length(2)
  })

  it('are taken for what waited while they were away, once', async () => {
    const before = connect(alice)
    const roomId = room(mallory, 'buffered')
    const waiting = await before.event({ roomId, message: { messageId: 'buffered', body: 'late' } })
    const joining = await before.event(room(alice))
    before.socket.disconnect()
    const after = connect(alice)
    await after.session()
    const told = after.next(`sendMessageAck-${roomId}`)
    after.socket.emit('sendMessage', waiting)
    expect((await told).data).to.include({ status: 'success', messageId: 'buffered' })
    const joined = after.next('joinedRoom')
    after.socket.emit('joinRoom', joining)
    await joined
    after.socket.emit('joinRoom', joining)
    expect(await after.refused).to.include({ code: 'ERR_AUTH_FAILED' })
  })
})
