import { randomBytes } from 'node:crypto'
import { scheduler } from 'node:timers/promises'
import { expect } from 'chai'
import { io } from 'socket.io-client'
import { TestUser } from '../support/client.js'
import type { MessageBoxNode } from '../support/message-box-node.js'
import { until } from '../support/nodes.js'
import {
  type AuthMessage,
  RawSocketClient,
  type SocketServer,
  startSocketServer
} from '../support/raw-socket.js'

describe('hostile sockets', () => {
  let node: MessageBoxNode
  let server: SocketServer
  let url: string
  const clients: RawSocketClient[] = []
  const alice = new TestUser('socket alice')
  const mallory = new TestUser('socket mallory')

  before(async () => {
    server = await startSocketServer(500)
    ;({ node, url } = server)
  })
  after(() => server.stop())
  afterEach(() => {
    for (const { socket } of clients.splice(0)) socket.disconnect()
  })
  function connect(user = mallory): RawSocketClient {
    const client = new RawSocketClient(url, user)
    clients.push(client)
    return client
  }
  async function authenticated(user = mallory): Promise<RawSocketClient> {
    const client = connect(user)
    await client.shakeHands()
    const answer = client.answer()
    client.send(client.general('authenticated', {}))
    expect(client.event(await answer)).to.deep.equal({
      eventName: 'authenticationSuccess',
      data: { status: 'success' }
    })
    return client
  }

  it('are closed if they do not prove who they are in time', async () => {
    const silent = connect()
    const claiming = connect()
    await claiming.shakeHands(alice.identityKey)
    await Promise.all([silent.disconnected, claiming.disconnected])
  })

  it('are made to connect again if they say nothing under Authrite', async () => {
    const socket = io(url, {
      reconnectionDelay: 1,
      forceNew: true,
      extraHeaders: {
        'x-authrite': '0.2',
        'x-message-type': 'initialRequest',
        'x-authrite-identity-key': alice.identityKey,
        'x-authrite-nonce': randomBytes(32).toString('base64')
      }
    })
    const greeting = () =>
      new Promise<{ nonce: string }>(resolve => socket.once('validationResponse', resolve))
    const first = await greeting()
    expect((await greeting()).nonce).to.not.equal(first.nonce)
    socket.disconnect()
  })

  it('are closed for every message that is not what it should be', async () => {
    const variants: Record<string, (client: RawSocketClient, good: AuthMessage) => unknown> = {
      'signed by another': client => client.general('authenticated', {}, alice),
      'of another identity': (_client, good) => ({ ...good, identityKey: alice.identityKey }),
      'with another payload': (_client, good) => ({
        ...good,
        payload: [...Buffer.from('{"eventName":"x"}')]
      }),
      'with another nonce': (_client, good) => ({ ...good, nonce: randomBytes(32).toString('base64') }),
      'of an unknown session': (_client, good) => ({
        ...good,
        yourNonce: randomBytes(87).toString('base64')
      }),
      'of another version': (_client, good) => ({ ...good, version: '1.0' }),
      'without a signature': (_client, { signature: _signature, ...rest }) => rest,
      'with a payload of no bytes': (_client, good) => ({ ...good, payload: [1, 'a', -1] }),
      'with a payload that is no array': (_client, good) => ({ ...good, payload: { length: 1e9 } }),
      'that is text': () => 'x',
      'that is nothing': () => null,
      'that is a list': () => [],
      'of an unknown type': () => ({
        version: '0.1',
        messageType: 'hello',
        identityKey: mallory.identityKey
      }),
      'of a handshake for another identity': () => ({
        version: '0.1',
        messageType: 'initialRequest',
        identityKey: alice.identityKey,
        initialNonce: randomBytes(48).toString('base64')
      })
    }
    for (const [name, tamper] of Object.entries(variants)) {
      const client = await authenticated()
      client.send(tamper(client, client.general('joinRoom', `${mallory.identityKey}-inbox`)))
      expect(await client.disconnected, name).to.be.a('string')
    }
  })

  it('cannot use a session of another socket', async () => {
    const first = await authenticated(alice)
    const captured = first.general('sendMessage', {})
    const second = connect(alice)
    await second.shakeHands()
    second.send(captured)
    await second.disconnected
  })

  it('are closed when they play a send again', async () => {
    const client = await authenticated()
    const roomId = `${alice.identityKey}-inbox`
    const message = client.general('sendMessage', { roomId, message: { messageId: 'once', body: 'once' } })
    const answer = client.answer()
    client.send(message)
    expect(client.event(await answer).data).to.include({ status: 'success' })
    client.send(message)
    await client.disconnected
    const listed = await alice.post(node.url, '/listMessages', { messageBox: 'inbox' })
    expect(listed.json.messages).to.have.length(1)
  })

  it('answer nothing to events that are not known, and stay', async () => {
    const client = await authenticated()
    for (const data of [null, 'x', [], { a: 1 }]) client.send(client.general('no such event', data))
    const answer = client.answer()
    client.send(client.general('joinRoom', `${mallory.identityKey}-inbox`))
    expect(client.event(await answer)).to.have.property('eventName', 'joinedRoom')
  })

  it('are closed for a frame beyond what a message may have', async () => {
    const client = await authenticated()
    client.socket.emit('authMessage', 'x'.repeat(4 * node.context.config.limits.messageBodyBytes + 70_000))
    await client.disconnected
  })

  it('are closed for a large frame before they say who they are', async () => {
    const client = connect()
    client.socket.emit('authMessage', 'x'.repeat(70_000))
    await client.disconnected
  })

  it('are closed for a flood of what is no message', async () => {
    const client = await authenticated()
    for (let i = 0; i < 200; i++) client.socket.emit('x')
    await client.disconnected
  })

  it('are closed for frames that together are long, while others are looked at', async () => {
    const client = await authenticated()
    const filler = 'x'.repeat(3 * node.context.config.limits.messageBodyBytes)
    // A statement that waits holds up the frames behind it.
    await node.databases.database.transaction(async tx => {
      await tx.query({ name: '', text: 'lock table messages in access exclusive mode' }, [])
      const roomId = `${alice.identityKey}-inbox`
      client.send(client.general('sendMessage', { roomId, message: { messageId: 'held', body: 'held' } }))
      for (let i = 0; i < 6; i++) client.send({ filler })
      await client.disconnected
    })
  })

  it('are cut when the operator blocks their user, and not served until he is unblocked', async () => {
    const lists = node.context.operatorLists
    const [blocked, bystander] = [await authenticated(), await authenticated(alice)]
    lists.replace([{ list: 'block', kind: 'identity', value: mallory.identityKey }])
    await blocked.disconnected
    const again = connect()
    await again.shakeHands()
    again.send(again.general('authenticated', {}))
    await again.disconnected
    const answer = bystander.answer()
    bystander.send(bystander.general('joinRoom', `${alice.identityKey}-inbox`))
    expect(bystander.event(await answer)).to.have.property('eventName', 'joinedRoom')
    lists.replace([])
    await authenticated()
  })

  it('leave nobody listening who has gone while his first message was judged', async () => {
    const { connections, rates } = node.context
    const [add, judge] = [connections.add, rates.caller]
    let listening = 0
    connections.add = (identityKey, end) => {
      const forget = add.call(connections, identityKey, end)
      listening++
      return () => {
        listening--
        forget()
      }
    }
    const client = connect()
    await client.shakeHands()
    let goOn = (): void => undefined
    const judged = new Promise<void>(resolve => {
      goOn = resolve
    })
    const judging = new Promise<void>(resolve => {
      rates.caller = async () => {
        resolve()
        await judged
      }
    })
    client.send(client.general('authenticated', {}))
    await judging
    client.socket.disconnect()
    await until(server.connections, count => count === 0)
    goOn()
    await judged
    await scheduler.yield()
    expect(listening).to.equal(0)
    rates.caller = judge
    connections.add = add
  })

  it('are closed for a flood of frames', async () => {
    const client = await authenticated()
    const room = `${mallory.identityKey}-inbox`
    const frames = Array.from({ length: 500 }, () => client.general('joinRoom', room))
    for (const frame of frames) client.send(frame)
    await client.disconnected
  })
})
