import { expect } from 'chai'
import { senderAuthorizationText } from '../../federation/origin/sender-authorization.js'
import { signPortably } from '../../src/keys/portable-signature.js'
import { signedMessageText } from '../../src/message.js'
import { type AuthriteSession, AuthriteUser } from '../support/authrite-user.js'
import { type RawRequest, TestUser } from '../support/client.js'
import { LegacyUser } from '../support/legacy-client.js'
import {
  authorizeRouting,
  authorizeSending,
  listMessages,
  startMesh,
  startTestNode,
  type TestNode,
  until
} from '../support/nodes.js'

const DAY = 24 * 60 * 60 * 1000

async function knows(node: TestNode, user: TestUser): Promise<void> {
  const text = 'select from live_hosts($1)'
  await until(
    () => node.databases.database.query({ name: '', text }, [Buffer.from(user.identityKey, 'hex')]),
    ({ length }) => length === 1
  )
}

/** Routed to one node; the other learns it. */
async function settle(user: TestUser, home: TestNode, other: TestNode): Promise<void> {
  await authorizeRouting(user, home)
  await knows(other, user)
}

describe('messages between users of authrite-js and of BRC-104, on two nodes', () => {
  let [one, two]: TestNode[] = []
  let alice: LegacyUser
  const bob = new TestUser('bob of BRC-104')

  before(async function () {
    this.timeout(60_000)
    ;[one, two] = await startMesh(['legacy one', 'legacy two'])
    alice = new LegacyUser('alice of authrite-js', one!.url)
    await settle(alice.user, one!, two!)
    await settle(bob, two!, one!)
  })
  after(async () => {
    await Promise.all([one?.remove(), two?.remove()])
  })

  const arrives = (messageBox: string) =>
    until(
      () => listMessages(bob, two!, messageBox),
      ({ length }) => length > 0
    )
  const send = (message: object) => alice.post('/sendMessage', { message })

  it('are refused at once where nothing would prove them', async () => {
    const refused = await send({ recipient: bob.identityKey, messageBox: 'plain', body: 'in clear' })
    expect(refused.status).to.equal(403)
    expect(refused.json.code).to.equal('ERR_ORIGIN_UNPROVABLE')
  })

  it('arrive signed by their sender, and sealed', async () => {
    const createdAt = Date.now()
    const text = signedMessageText(bob.identityKey, 'signed', 'm1', 'hello', createdAt)
    const signature = signPortably(alice.user.keys, text)
    const message = { recipient: bob.identityKey, messageBox: 'signed', messageId: 'm1', body: 'hello' }
    expect((await send({ ...message, createdAt, signature })).status).to.equal(200)
    expect((await arrives('signed'))[0]).to.include({
      messageId: 'm1',
      body: 'hello',
      sender: alice.identityKey,
      origin: 'signature'
    })
    const body = JSON.stringify({ encryptedMessage: Buffer.alloc(60, 7).toString('base64') })
    await send({ recipient: bob.identityKey, messageBox: 'sealed', body })
    expect((await arrives('sealed'))[0]).to.include({ body, sender: alice.identityKey, origin: 'sealed' })
  })

  it('arrive once their sender lets his node vouch for him, over HTTP and over a socket', async () => {
    const given = Date.now()
    const expires = given + 30 * DAY
    const signature = signPortably(alice.user.keys, senderAuthorizationText(one!.identityKey, given, expires))
    expect((await alice.post('/authorizeSending', { given, expires, signature })).status).to.equal(200)
    const sent = await send({ recipient: bob.identityKey, messageBox: 'vouched', body: { a: 1 } })
    expect(sent.status).to.equal(200)
    expect((await arrives('vouched'))[0]).to.include({
      body: '{"a":1}',
      sender: alice.identityKey,
      origin: 'home-host'
    })
    await alice.connect()
    await alice.client.emit('sendMessage', {
      roomId: `${bob.identityKey}-live-box`,
      message: { messageId: 'live', body: 'from a socket' }
    })
    expect((await arrives('live-box'))[0]).to.include({
      messageId: 'live',
      body: 'from a socket',
      sender: alice.identityKey,
      origin: 'home-host'
    })
    alice.close()
  })

  it('come back, and are heard, listed as they were sent and acknowledged', async () => {
    await authorizeSending(bob, two!)
    await alice.connect()
    await alice.listen('inbox')
    // What clients of BRC-104 would be shown inside of another object.
    const body = '{"message":"hi","more":1}'
    const message = { recipient: alice.identityKey, messageBox: 'inbox', messageId: 'back', body }
    expect((await bob.post(two!.url, '/sendMessage', { message })).status).to.equal(200)
    const told = { sender: bob.identityKey, messageId: 'back' }
    expect((await alice.hears(1))[0]).to.deep.include({ ...told, body: JSON.parse(body) })
    const { messages } = (await alice.post('/listMessages', { messageBox: 'inbox' })).json
    expect((messages as object[])[0]).to.include({ ...told, body, origin: 'home-host' })
    expect((await alice.post('/acknowledgeMessage', { messageIds: ['back'] })).json).to.include({
      acknowledged: 1
    })
    alice.close()
  })

  it('have their way told to their sender', async () => {
    const { json } = await alice.post('/deliveryStatus', { messageIds: ['m1'] })
    expect((json.deliveries as object[])[0]).to.include({ messageId: 'm1', host: two!.domain })
  })
})

describe('replays of requests under Authrite', () => {
  let node: TestNode
  let replica: TestNode
  let session: AuthriteSession
  const alice = new AuthriteUser('alice of legacy replays')
  const captured: RawRequest[] = []

  before(async () => {
    node = await startTestNode('legacy replays')
    replica = await startTestNode('legacy replays', {
      environment: { DATABASE_URL: node.databases.connectionString }
    })
    session = await alice.handshake(node.url)
  })
  after(async () => {
    await replica.remove()
    await node.remove()
  })

  const query = (text: string) => node.databases.database.query<{ n: number }>({ name: '', text }, [])
  const ask = (request: RawRequest, url = node.url) => alice.send(url, session, request)
  async function take(path: string, body: object): Promise<void> {
    const request = alice.post(session, path, body)
    expect((await ask(request)).status, path).to.equal(200)
    captured.push(request)
  }
  async function expectReplays(): Promise<void> {
    for (const request of captured) {
      for (const url of [node.url, replica.url]) {
        const answer = await ask(request, url)
        expect(answer, request.target).to.include({ status: 401, signature: 'valid' })
        expect(answer.json.code).to.equal('ERR_AUTH_FAILED')
      }
    }
    expect(await listMessages(alice.user, node, 'replays')).to.have.length(2)
  }

  it('do nothing, at whichever process', async () => {
    const { identityKey } = alice.user
    const message = { recipient: identityKey, messageBox: 'replays', body: 'once' }
    await take('/sendMessage', { message })
    await take('/sendMessage', { message })
    await take('/listMessages', { messageBox: 'replays' })
    await take('/acknowledgeMessage', { messageIds: ['nothing'] })
    await take('/deliveryStatus', { messageIds: ['nothing'] })
    await expectReplays()
  })

  it('do nothing at another call either: none of its path is signed', async () => {
    const request = alice.post(session, '/acknowledgeMessage', { messageIds: ['x'] })
    await ask(request)
    expect((await ask({ ...request, target: '/deliveryStatus' })).status).to.equal(401)
  })

  it('do nothing after a restart, nor after Postgres has lost what it does not log', async function () {
    this.timeout(30_000)
    await node.stop()
    await node.restart()
    await expectReplays()
    // What a crash leaves.
    await query('delete from seen_requests where slot < 4')
    await query('delete from seen_requests_birth')
    // Until the memory has begun anew, nothing is taken, and its sender is told to send it again.
    const request = () => alice.post(session, '/deliveryStatus', { messageIds: ['nothing'] })
    const away = await ask(request())
    expect(away).to.include({ status: 503, signature: 'valid' })
    expect((await ask(request())).status).to.equal(200)
    await expectReplays()
  })

  it('are remembered in logged tables, and forgotten when their sessions have ended', async () => {
    const [{ n: logged }] = (await query(
      `select count(*)::int as n from seen_requests s join pg_class c on c.oid = s.tableoid
       where c.relpersistence = 'p' and s.slot >= 4`
    )) as [{ n: number }]
    expect(logged).to.be.at.least(captured.length)
    const count = async () =>
      (await query('select count(*)::int as n from seen_requests where slot >= 4'))[0]!.n
    for (const [days, left] of [
      [91, logged],
      // Thirty days and ten minutes after the last of those that ended with it, at the latest.
      [120 + 10 / (24 * 60), 0]
    ] as const) {
      await query(`select prune_message_boxes(${Date.now() + days * DAY}, 1000, 0)`)
      expect(await count(), `after ${days} days`).to.equal(left)
    }
  })
})
