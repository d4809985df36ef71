import { expect } from 'chai'
import { signPortably } from '../../src/keys/portable-signature.js'
import { signedMessageText } from '../../src/message.js'
import { TestUser } from '../support/client.js'
import {
  authorizeRouting,
  authorizeSending,
  type ListedMessage,
  listMessages,
  startMesh,
  type TestNode,
  until
} from '../support/nodes.js'

const redisUrl = process.env.TEST_REDIS_URL

const sealed = (byte: number) =>
  JSON.stringify({ encryptedMessage: Buffer.alloc(60, byte).toString('base64') })

/** The queue is kept in Postgres, or in Redis where there is one. */
const QUEUES: readonly { store: string; environment: Readonly<Record<string, string>> | undefined }[] = [
  { store: 'Postgres', environment: {} },
  { store: 'Redis', environment: redisUrl === undefined ? undefined : { REDIS_URL: redisUrl } }
]

for (const { store, environment } of QUEUES) {
  const suite = environment === undefined ? describe.skip : describe
  suite(`messages between nodes (BRC-34), with the queue in ${store}`, () => scenarios(environment ?? {}))
}

function scenarios(environment: Readonly<Record<string, string>>): void {
  let one: TestNode
  let two: TestNode
  const alice = new TestUser('alice of one')
  const bob = new TestUser('bob of two')

  before(async function () {
    this.timeout(60_000)
    ;[one, two] = (await startMesh(['one', 'two'], { environment })) as [TestNode, TestNode]
    await authorizeRouting(alice, one)
    await authorizeRouting(bob, two)
    await known(one, bob)
    await known(two, alice)
  })
  after(async () => {
    await Promise.all([one?.remove(), two?.remove()])
  })

  /** Waits until a node's own index names a host of this recipient. */
  async function known(node: TestNode, user: TestUser, hosts = 1): Promise<void> {
    await until(
      async () =>
        (
          await node.databases.database.query<{ count: number }>(
            { name: 'count-hosts', text: 'select count(*)::int as count from live_hosts($1)' },
            [Buffer.from(user.identityKey, 'hex')]
          )
        )[0]!.count,
      count => count === hosts
    )
  }

  const send = (from: TestUser, node: TestNode, message: object) =>
    from.post(node.url, '/sendMessage', { message })
  const arrives = (
    user: TestUser,
    node: TestNode,
    messageBox: string,
    count: number
  ): Promise<ListedMessage[]> =>
    until(
      () => listMessages(user, node, messageBox),
      messages => messages.length >= count
    )

  it("hands a signed message to the recipient's host, where he reads it with its proof", async () => {
    const createdAt = Date.now()
    const text = signedMessageText(bob.identityKey, 'signed', 'm1', 'hello', createdAt)
    const answer = await send(alice, one, {
      recipient: bob.identityKey,
      messageBox: 'signed',
      messageId: 'm1',
      body: 'hello',
      createdAt,
      signature: signPortably(alice.keys, text)
    })
    expect(answer.status, answer.body.toString()).to.equal(200)
    expect(answer.json.results).to.deep.equal([
      { recipient: bob.identityKey, messageId: 'm1', delivery: 'forwarding', forwardable: true }
    ])
    const [message] = await arrives(bob, two, 'signed', 1)
    expect(message).to.include({
      messageId: 'm1',
      body: 'hello',
      sender: alice.identityKey,
      origin: 'signature'
    })
    const status = await until(
      () => alice.post(one.url, '/deliveryStatus', { messageIds: ['m1'] }),
      ({ json }) => (json.deliveries as { state: string }[])[0]?.state === 'delivered'
    )
    expect((status.json.deliveries as object[])[0]).to.include({
      messageId: 'm1',
      recipient: bob.identityKey,
      host: two.domain,
      attempts: 1,
      nextAttemptAt: null
    })
  })

  it('hands on a sealed body without any other proof', async () => {
    const body = sealed(1)
    await send(alice, one, { recipient: bob.identityKey, messageBox: 'sealed', body })
    const [message] = await arrives(bob, two, 'sealed', 1)
    expect(message).to.include({ body, sender: alice.identityKey, origin: 'sealed' })
    expect(message!.messageId).to.be.a('number')
  })

  it('refuses at once what nothing would prove, until the sender lets this host vouch for him', async () => {
    const message = { recipient: bob.identityKey, messageBox: 'plain', body: 'in clear' }
    const refused = await send(alice, one, message)
    expect(refused.status).to.equal(403)
    expect(refused.json).to.deep.include({
      code: 'ERR_ORIGIN_UNPROVABLE',
      recipients: [{ recipient: bob.identityKey, code: 'ERR_ORIGIN_UNPROVABLE' }]
    })
    await authorizeSending(alice, one)
    expect((await send(alice, one, message)).status).to.equal(200)
    const [arrived] = await arrives(bob, two, 'plain', 1)
    expect(arrived).to.include({ body: 'in clear', origin: 'home-host' })
  })

  it('shows the same integer on every host', async () => {
    const answer = await send(alice, one, { recipient: bob.identityKey, messageBox: 'integer', body: 'x' })
    const [{ messageId }] = answer.json.results as [{ messageId: number }]
    const [message] = await arrives(bob, two, 'integer', 1)
    expect(message!.messageId).to.equal(messageId)
  })

  it('delivers to local recipients and remote ones of one request', async () => {
    const local = new TestUser('local')
    await authorizeRouting(local, one)
    const recipients = [bob.identityKey, local.identityKey]
    const answer = await send(alice, one, { recipients, messageBox: 'both', body: 'to both' })
    expect((answer.json.results as { delivery: string }[]).map(({ delivery }) => delivery)).to.deep.equal([
      'forwarding',
      'local'
    ])
    await arrives(bob, two, 'both', 1)
    expect(await listMessages(local, one, 'both')).to.have.length(1)
  })

  it('keeps what was sent while the host was down, and hands it on after its return, in order', async function () {
    this.timeout(40_000)
    await two.stop()
    for (let i = 0; i < 5; i++) {
      const answer = await send(alice, one, { recipient: bob.identityKey, messageBox: 'down', body: `${i}` })
      expect(answer.status).to.equal(200)
    }
    await two.restart()
    const messages = await arrives(bob, two, 'down', 5)
    expect(messages.map(({ body }) => body)).to.deep.equal(['0', '1', '2', '3', '4'])
  })

  it('parks a message for somebody without a host, and hands it over when one appears', async () => {
    const carol = new TestUser('carol')
    const answer = await send(alice, one, {
      recipient: carol.identityKey,
      messageBox: 'parked',
      body: 'early'
    })
    expect((answer.json.results as object[])[0]).to.include({ delivery: 'parked', forwardable: true })
    expect(await listMessages(carol, one, 'parked')).to.have.length(1)
    await authorizeRouting(carol, two)
    const [message] = await arrives(carol, two, 'parked', 1)
    expect(message).to.include({ body: 'early' })
    await until(
      () => listMessages(carol, one, 'parked'),
      messages => messages.length === 0
    )
  })

  it('keeps parked messages where their recipient makes this very node his home, beside other hosts', async () => {
    const ida = new TestUser('ida')
    const message = { recipient: ida.identityKey, messageBox: 'parked', body: sealed(9) }
    await send(alice, one, message)
    await authorizeRouting(ida, one)
    const parked = () =>
      one.databases.database.query<{ parked: boolean }>(
        {
          name: 'is-parked',
          text: 'select parked from messages join recipients on id = recipient_id where identity_key = $1'
        },
        [Buffer.from(ida.identityKey, 'hex')]
      )
    await until(parked, ([row]) => row!.parked === false)
    await authorizeRouting(ida, two)
    await arrives(ida, two, 'parked', 1)
    const state = () => alice.post(one.url, '/deliveryStatus', { messageIds: [messageIdOf] })
    const [{ messageId: messageIdOf }] = (await listMessages(ida, one, 'parked')) as [ListedMessage]
    await until(state, ({ json }) => (json.deliveries as { state: string }[])[0]?.state === 'delivered')
    expect(await listMessages(ida, one, 'parked')).to.have.length(1)
  })

  it('tells the sender of a parked message that could never be proven, once his recipient has a host', async () => {
    const [gail, henry] = [new TestUser('gail'), new TestUser('henry')]
    const message = {
      recipient: henry.identityKey,
      messageBox: 'unproven',
      messageId: 'plain',
      body: 'in clear'
    }
    const answer = await send(gail, one, message)
    expect((answer.json.results as object[])[0]).to.include({ delivery: 'parked', forwardable: false })
    await authorizeRouting(henry, two)
    const [report] = await arrives(gail, one, 'delivery_reports', 1)
    expect(report).to.include({ sender: one.identityKey, origin: 'local' })
    expect(JSON.parse(report!.body)).to.include({
      messageId: 'plain',
      recipient: henry.identityKey,
      messageBox: 'unproven',
      state: 'refused',
      code: 'ERR_ORIGIN_UNPROVABLE'
    })
    expect(await listMessages(henry, one, 'unproven')).to.have.length(1)
  })

  it('gives a new host what the old one still holds', async () => {
    const dave = new TestUser('dave')
    await authorizeRouting(dave, two)
    await known(one, dave)
    await send(alice, one, { recipient: dave.identityKey, messageBox: 'moving', body: 'old' })
    await arrives(dave, two, 'moving', 1)
    await authorizeRouting(dave, one)
    const [message] = await arrives(dave, one, 'moving', 1)
    expect(message).to.include({ body: 'old', origin: 'home-host' })
    expect(await listMessages(dave, two, 'moving')).to.have.length(1)
  })

  it('owes what it holds to the other hosts after its recipient has left it', async () => {
    const june = new TestUser('june')
    await authorizeRouting(june, one)
    await authorizeRouting(june, two)
    await known(one, june, 2)
    await known(two, june, 2)
    // A host that does not know of the other one yet hands it to this one alone.
    const body = sealed(3)
    await send(alice, one, { recipient: june.identityKey, messageBox: 'left', body })
    await arrives(june, two, 'left', 1)
    await one.databases.database.query(
      { name: 'forget-deliveries', text: 'delete from deliveries where recipient = $1' },
      [Buffer.from(june.identityKey, 'hex')]
    )
    await two.databases.database.query(
      {
        name: 'lose',
        text: 'delete from messages m using recipients r where r.id = m.recipient_id and r.identity_key = $1'
      },
      [Buffer.from(june.identityKey, 'hex')]
    )
    await june.post(one.url, '/revokeRouting', {})
    const [message] = await arrives(june, two, 'left', 1)
    expect(message).to.include({ body })
  })

  it('respects the box expression of an authorization', async () => {
    const erin = new TestUser('erin')
    await authorizeRouting(erin, two, '^only$')
    await known(one, erin)
    const taken = await send(alice, one, { recipient: erin.identityKey, messageBox: 'only', body: 'x' })
    expect((taken.json.results as object[])[0]).to.include({ delivery: 'forwarding' })
    await arrives(erin, two, 'only', 1)
    const other = await send(alice, one, { recipient: erin.identityKey, messageBox: 'other', body: 'x' })
    expect((other.json.results as object[])[0]).to.include({ delivery: 'parked' })
  })

  it('sends nothing more to a host whose authorization was taken back', async () => {
    const frank = new TestUser('frank')
    await authorizeRouting(frank, two)
    await known(one, frank)
    const revoked = await frank.post(two.url, '/revokeRouting', {})
    expect(revoked.json).to.include({ status: 'success', revoked: true })
    await known(one, frank, 0)
    const answer = await send(alice, one, { recipient: frank.identityKey, messageBox: 'gone', body: 'x' })
    expect((answer.json.results as object[])[0]).to.include({ delivery: 'parked' })
  })
}
