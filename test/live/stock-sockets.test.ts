import { expect } from 'chai'
import { TestUser } from '../support/client.js'
import { connectSocket, LiveUser, type RawLiveClient } from '../support/live-client.js'
import {
  authorizeRouting,
  authorizeSending,
  startMesh,
  startTestNode,
  type TestNode
} from '../support/nodes.js'

describe('live messages of stock clients', () => {
  let nodes: TestNode[]
  let replica: TestNode
  let node: TestNode
  let open: (LiveUser | RawLiveClient)[] = []

  before(async () => {
    nodes = await startMesh(['live a', 'live b'])
    node = nodes[0]!
    replica = await startTestNode('live a', {
      environment: { DATABASE_URL: node.databases.connectionString }
    })
  })
  after(async () => {
    await replica.remove()
    await Promise.all(nodes.map(each => each.remove()))
  })
  afterEach(async () => {
    for (const client of open) await client.close()
    open = []
  })

  let names = 0
  function newUser(at: TestNode = node): LiveUser {
    const made = new LiveUser(`live ${names++}`, at.url)
    open.push(made)
    return made
  }
  function newSocket(user: TestUser, at: TestNode = node): RawLiveClient {
    const made = connectSocket(user, at.url)
    open.push(made)
    return made
  }
  const list = async (user: TestUser, messageBox: string, at = node) =>
    (await user.post(at.url, '/listMessages', { messageBox })).json.messages as {
      messageId: string
      body: string
    }[]

  it('are sent and heard, encrypted end to end, in boxes with dashes', async () => {
    const [alice, bob] = [newUser(), newUser()]
    await bob.listen('a-b-c')
    const sent = await alice.send(bob.user, 'a-b-c', 'hello', false)
    expect(sent.status).to.equal('success')
    expect(await bob.hears(1)).to.deep.equal(['hello'])
    expect(bob.heard[0]).to.include({ sender: alice.user.identityKey, messageId: sent.messageId })
    const [stored] = await list(bob.user, 'a-b-c')
    expect(stored).to.include({ messageId: sent.messageId })
    expect(stored!.body).to.contain('encryptedMessage')
  })

  it('are heard when they were sent over HTTP, in their order', async () => {
    const bob = newUser()
    await bob.listen('inbox')
    const alice = new TestUser('live alice over HTTP')
    for (let i = 0; i < 20; i++) {
      const message = { recipient: bob.user.identityKey, messageBox: 'inbox', body: `${i}` }
      expect((await alice.post(node.url, '/sendMessage', { message })).status).to.equal(200)
    }
    expect(await bob.hears(20)).to.deep.equal(Array.from({ length: 20 }, (_, i) => `${i}`))
  })

  it('are heard at another process of the node', async () => {
    const bob = newUser(replica)
    await bob.listen('inbox')
    const alice = newUser(node)
    await alice.send(bob.user, 'inbox', 'across')
    expect(await bob.hears(1)).to.deep.equal(['across'])
  })

  it('are heard from another node, also when they were sent over its socket', async () => {
    const [alice, bob] = [newUser(nodes[1]), newUser(node)]
    await authorizeRouting(bob.user, node)
    await authorizeSending(alice.user, nodes[1]!)
    await bob.listen('inbox')
    const socket = newSocket(alice.user, nodes[1])
    const roomId = `${bob.user.identityKey}-inbox`
    const acknowledged = socket.next(`sendMessageAck-${roomId}`)
    socket.emit('sendMessage', {
      roomId,
      message: { messageId: 'from afar', recipient: bob.user.identityKey, body: 'far' }
    })
    expect(await acknowledged).to.include({ status: 'success', messageId: 'from afar' })
    expect(await bob.hears(1)).to.deep.equal(['far'])
    expect((await list(bob.user, 'inbox'))[0]).to.include({ origin: 'home-host', messageId: 'from afar' })
  })

  it('are heard by every socket of their recipient, joined or not, and by nobody else', async () => {
    const bob = newUser()
    const [first, second] = [newSocket(bob.user), newSocket(bob.user)]
    const stranger = newSocket(new TestUser('live stranger'))
    const event = `sendMessage-${bob.user.identityKey}-inbox`
    const heard = Promise.all([first.next(event), second.next(event)])
    let overheard = false
    void stranger.next(event).then(() => {
      overheard = true
    })
    const ready = [first, second, stranger].map(socket => socket.next('authenticationSuccess'))
    for (const socket of [first, second, stranger]) socket.emit('authenticated', {})
    await Promise.all(ready)
    const refused = stranger.next('joinFailed')
    stranger.emit('joinRoom', `${bob.user.identityKey}-inbox`)
    expect(await refused).to.include({ code: 'ERR_FOREIGN_ROOM' })
    await newUser().send(bob.user, 'inbox', 'twice')
    for (const data of (await heard) as object[]) expect(data).to.include({ body: 'twice' })
    // Whatever else its node has to say to the stranger has been said by now.
    const left = stranger.next('leftRoom')
    stranger.emit('leaveRoom', `${new TestUser('live stranger').identityKey}-inbox`)
    await left
    expect(overheard).to.equal(false)
  })

  it('are not heard of a box that was left, and again after joining it', async () => {
    const bob = new TestUser('live leaver')
    const socket = newSocket(bob)
    const room = `${bob.identityKey}-inbox`
    const sender = newUser()
    const say = async (eventName: string, answer: string) => {
      const answered = socket.next(answer)
      socket.emit(eventName, room)
      expect(await answered).to.deep.equal({ roomId: room })
    }
    await say('leaveRoom', 'leftRoom')
    const heard = socket.next(`sendMessage-${room}`)
    await sender.send(bob, 'inbox', 'unheard')
    // The socket's reader has passed it when a message to another box comes through.
    const other = socket.next(`sendMessage-${bob.identityKey}-other`)
    await sender.send(bob, 'other', 'heard')
    await other
    await say('joinRoom', 'joinedRoom')
    await sender.send(bob, 'inbox', 'heard again')
    expect(await heard).to.include({ body: 'heard again' })
  })

  it('are refused with the code that /sendMessage has', async () => {
    const socket = newSocket(new TestUser('live refused'))
    const refuse = async (roomId: string, message: object) => {
      const answer = socket.next(`sendMessageAck-${roomId}`)
      socket.emit('sendMessage', { roomId, message })
      return answer
    }
    const bob = new TestUser('live bob').identityKey
    expect(await refuse(`${bob}-inbox`, { messageId: 'x' })).to.include({
      status: 'error',
      code: 'ERR_MESSAGE_BODY_REQUIRED'
    })
    expect(await refuse(`${'0'.repeat(66)}-inbox`, { body: 'x' })).to.include({
      code: 'ERR_INVALID_RECIPIENT_KEY'
    })
    expect(await refuse(`${bob}-delivery_reports`, { body: 'x' })).to.include({
      code: 'ERR_RESERVED_MESSAGEBOX'
    })
  })

  it('come once when the client repeats them over HTTP with their id', async () => {
    const [alice, bob] = [newUser(), newUser()]
    const sent = await alice.send(bob.user, 'inbox', 'ok')
    const message = {
      recipient: bob.user.identityKey,
      messageBox: 'inbox',
      body: 'ok',
      messageId: sent.messageId
    }
    const repeated = await alice.user.post(node.url, '/sendMessage', { message })
    expect(repeated.status).to.equal(200)
    expect(await list(bob.user, 'inbox')).to.have.length(1)
  })

  it('refuses who names another identity than he signs with', async () => {
    const socket = newSocket(new TestUser('live liar'))
    const failed = socket.next('authenticationFailed')
    socket.emit('authenticated', { identityKey: new TestUser('live victim').identityKey })
    expect(await failed).to.have.property('reason')
  })
})
