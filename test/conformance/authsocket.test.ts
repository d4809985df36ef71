import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { TestUser } from '../support/client.js'
import { type PublishedVector, publishedVectors } from '../support/published-vectors.js'
import { RawSocketClient, type SocketServer, startSocketServer } from '../support/raw-socket.js'

const vectors = publishedVectors('messaging/authsocket.json')
const vector = (number: number): PublishedVector => vectors.find(({ id }) => id.endsWith(`.${number}`))!
const title = (number: number) => `${number}: ${vector(number).description}`

describe('published vectors of sockets', () => {
  let server: SocketServer
  const clients: RawSocketClient[] = []
  before(async () => {
    server = await startSocketServer(1_000)
  })
  after(() => server.stop())
  afterEach(() => {
    for (const { socket } of clients.splice(0)) socket.disconnect()
  })

  let names = 0
  function connect(user = new TestUser(`published socket ${names++}`)): RawSocketClient {
    const client = new RawSocketClient(server.url, user)
    clients.push(client)
    return client
  }
  async function authenticated(): Promise<RawSocketClient> {
    const client = connect()
    await client.shakeHands()
    await answered(client, 'authenticated', { identityKey: client.user.identityKey })
    return client
  }
  async function answered(client: RawSocketClient, eventName: string, data: unknown) {
    const answer = client.answer()
    client.send(client.general(eventName, data))
    return client.event(await answer)
  }
  /** The vectors' nonce has 13 bytes; BRC-103 asks for 32. The key behind their identity key is not known. */
  function initialRequest(number: number, client: RawSocketClient) {
    const nonce = randomBytes(48).toString('base64')
    const { identityKey } = client.user
    return { ...vector(number).input.payload, identityKey, nonce, initialNonce: nonce }
  }

  it(title(1), async () => {
    const client = connect()
    const answer = client.answer()
    const request = initialRequest(1, client)
    client.send(request)
    const shape = vector(1).expected.response_shape as Record<string, string>
    const response = await answer
    for (const [name, type] of Object.entries(shape)) {
      if (['string', 'array'].includes(type)) expect(response[name], name).to.be.a(type)
      else expect(response[name], name).to.equal(type)
    }
    expect(response.yourNonce).to.equal(request.initialNonce)
  })

  it('1: the nonce as published is refused, being shorter than BRC-103 asks', async () => {
    const client = connect()
    client.send(vector(1).input.payload)
    await client.disconnected
  })

  it(title(2), async () => {
    const client = await authenticated()
    // An event of which nobody has heard is no error, and what comes behind it is answered.
    const { eventName, data } = vector(2).input.envelope!
    client.send(client.general(eventName, data))
    const room = `${client.user.identityKey}-inbox`
    const answer = await answered(client, 'joinRoom', room)
    expect(answer).to.have.all.keys(vector(2).expected.required_fields as string[])
    expect(answer).to.deep.equal({ eventName: 'joinedRoom', data: { roomId: room } })
  })

  it('3: a message that was sent is pushed to its recipient, as sendMessage-<room>', async () => {
    const [sender, recipient] = [await authenticated(), await authenticated()]
    const pushed = recipient.answer()
    const roomId = `${recipient.user.identityKey}-test-box`
    await answered(sender, 'sendMessage', { roomId, message: { messageId: 'msg-123', body: 'hello' } })
    const { eventName, data } = recipient.event(await pushed)
    expect(eventName, 'stock clients listen for this name, which holds the box').to.equal(
      `sendMessage-${roomId}`
    )
    expect(data).to.deep.equal({ sender: sender.user.identityKey, messageId: 'msg-123', body: 'hello' })
  })

  it(title(4), async () => {
    const [, ...others] = vector(4).input.valid_types!
    expect(others).to.deep.equal(['initialResponse', 'general'])
    for (const messageType of ['initialResponse', 'invented']) {
      const client = connect()
      client.send({ ...initialRequest(1, client), messageType })
      await client.disconnected
    }
  })

  it(title(5), async () => {
    const client = await authenticated()
    const message = client.general('authenticated', {})
    expect(message).to.include.all.keys(Object.keys(vector(5).input.payload!))
    const answer = client.answer()
    client.send(message)
    expect(client.event(await answer).eventName).to.equal('authenticationSuccess')
  })

  it('5: as published it belongs to no session, and is not processed', async () => {
    const client = await authenticated()
    client.send(vector(5).input.payload)
    await client.disconnected
  })

  it(title(6), async () => {
    const client = connect()
    await client.disconnected
  })

  it(title(7), async () => {
    const client = await authenticated()
    const claimed = await answered(client, 'authenticated', {
      identityKey: new TestUser('somebody').identityKey
    })
    expect(claimed.eventName).to.equal('authenticationFailed')
    const roomId = `${client.user.identityKey}-inbox`
    const heard = new Promise(resolve => {
      client.socket.on('authMessage', message => {
        const { eventName, data } = client.event(message)
        if (eventName === `sendMessage-${roomId}`) resolve(data)
      })
    })
    client.send(client.general('sendMessage', { roomId, message: { messageId: 'own', body: 'x' } }))
    expect(await heard).to.include({ sender: client.user.identityKey })
  })

  it(title(8), async () => {
    const client = connect()
    const answer = client.answer()
    client.send(initialRequest(8, client))
    expect(await answer).to.have.property('requestedCertificates')
  })

  it('9: sockets of socket.io on the port of the node, whatever its name', async () => {
    const client = connect()
    await new Promise(resolve => client.socket.once('connect', () => resolve(undefined)))
    expect(client.socket.connected).to.equal(true)
  })

  it(title(11), async () => {
    for (const name of vector(11).input.required_fields!) {
      const client = connect()
      client.send({ ...initialRequest(1, client), [name]: undefined })
      await client.disconnected
    }
  })

  it(title(12), async () => {
    const client = connect()
    const answer = client.answer()
    const request = initialRequest(1, client)
    client.send({ ...request, identityKey: request.identityKey.toUpperCase() })
    expect(await answer).to.include({ messageType: 'initialResponse', yourNonce: request.initialNonce })
    const sender = await authenticated()
    const roomId = `${client.user.identityKey.toUpperCase()}-inbox`
    const acknowledged = await answered(sender, 'sendMessage', { roomId, message: { body: 'x' } })
    expect(acknowledged).to.deep.include({ eventName: `sendMessageAck-${roomId}` })
    expect(acknowledged.data).to.include({ status: 'success' })
  })
})
