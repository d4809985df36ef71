import { expect } from 'chai'
import { signPortably } from '../../src/keys/portable-signature.js'
import { signedMessageText } from '../../src/message.js'
import { inspect, untilHosts } from '../support/advertised.js'
import { type Answer, TestUser } from '../support/client.js'
import { authorizeRouting, listMessages, startMesh, type TestNode, until } from '../support/nodes.js'
import { build, type Recipe } from '../support/origin-messages.js'
import { OriginNode } from '../support/origin-node.js'
import { privateKey, recipient, sender } from '../support/origin-parties.js'
import { propagated } from '../support/propagated.js'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

/** What section 2 of the protocol says of names and ids, where somebody tries otherwise. */
describe('one message at one host, whatever it comes in', () => {
  let node: OriginNode
  const alice = new TestUser(privateKey(sender))
  const bob = new TestUser(privateKey(recipient))
  let boxes = 0
  const newBox = (): string => `one message ${++boxes}`

  before(async function () {
    this.timeout(30_000)
    node = await OriginNode.start('one message')
  })
  after(() => node?.remove())

  const propagate = async (recipe: Recipe) => (await node.resultsOf(build(recipe).body))[0]

  it('that its sender has signed: wrapped anew by whoever likes to, before and after it was acknowledged', async () => {
    const messageBox = newBox()
    const recipe: Recipe = { label: messageBox, messageBox, messageId: 'one', body: 'once', signed: true }
    expect(await propagate(recipe)).to.include({ status: 'success' })
    const listed = await node.list(bob, messageBox)
    const rows = await node.rows()
    const again: Recipe[] = [
      { label: 'one, in a fresh envelope', forged: true },
      { label: 'one, in another format', format: 'authrite', forged: true },
      { label: 'one, with another signature of the same words' },
      { label: 'one, attested too', attested: true },
      { label: 'one, with a member more', message: message => ({ ...message, more: 1 }), forged: true }
    ]
    for (const acknowledged of [false, true]) {
      for (const change of again) {
        expect(await propagate({ ...recipe, ...change }), change.label).to.include({ status: 'success' })
      }
      expect(await node.list(bob, messageBox)).to.deep.equal(acknowledged ? [] : listed)
      if (!acknowledged) {
        expect(await node.rows()).to.deep.equal(rows)
        await bob.post(node.node.url, '/acknowledgeMessage', { messageIds: ['one'] })
      }
    }
  })

  it('that came by its sender himself first, or by another host first', async () => {
    for (const isLocalFirst of [true, false]) {
      const messageBox = newBox()
      const recipe: Recipe = {
        label: messageBox,
        messageBox,
        messageId: messageBox,
        body: 'once',
        signed: true
      }
      const { body } = build(recipe)
      const bytes = Buffer.from(String(body.signedMessage), 'base64').toString('latin1')
      const { message } = JSON.parse(bytes.slice(bytes.indexOf('{"message"'))) as { message: object }
      const ways = [
        async () => expect(await propagate(recipe)).to.include({ status: 'success' }),
        async () =>
          expect((await alice.post(node.node.url, '/sendMessage', { message })).status).to.equal(200)
      ]
      for (const way of isLocalFirst ? ways.reverse() : ways) await way()
      expect(await node.list(bob, messageBox), String(isLocalFirst)).to.have.length(1)
    }
  })

  it('and nobody takes an id away: neither who sends first by another host, nor in another name', async () => {
    const messageBox = newBox()
    const id = `wanted ${messageBox}`
    const stolen: Recipe[] = [
      { label: 'first', sender: recipient, body: 'of another sender', signed: true },
      { label: 'second', body: 'of the same, said elsewhere', signed: true }
    ]
    for (const way of stolen) {
      expect(await propagate({ messageBox, messageId: id, ...way })).to.include({ status: 'success' })
    }
    const message = { recipient: bob.identityKey, messageBox, messageId: id, body: 'of alice, here' }
    const answer = await alice.post(node.node.url, '/sendMessage', { message })
    expect(answer.status, answer.body.toString()).to.equal(200)
    const listed = await node.list(bob, messageBox)
    expect(listed.map(({ body }) => body)).to.have.members([...stolen.map(({ body }) => body), message.body])
    expect(new Set(listed.map(({ messageId }) => messageId)).size).to.equal(3)
    expect(listed.filter(({ messageId }) => messageId === id)).to.have.length(1)
  })
})

describe('messages on their way', () => {
  let one: TestNode
  let two: TestNode
  const clock = { ahead: 0, now: () => Date.now() + clock.ahead }
  const alice = new TestUser('alice on her way')
  let users = 0

  before(async function () {
    this.timeout(60_000)
    ;[one, two] = (await startMesh(['on the way one', 'on the way two'], {
      options: { clock, federation: { random: () => 0 } }
    })) as [TestNode, TestNode]
  })
  after(() => Promise.all([one, two].map(node => node?.remove())))

  const newUser = () => new TestUser(`recipient ${users++} on the way`)
  async function homeAt(node: TestNode, other: TestNode): Promise<TestUser> {
    const user = newUser()
    await authorizeRouting(user, node)
    await untilHosts(other, user, 1)
    return user
  }

  function send(to: TestUser, more: object, headers?: Record<string, string>): Promise<Answer> {
    const message = { recipient: to.identityKey, messageBox: 'inbox', ...more }
    return alice.post(one.url, '/sendMessage', { message }, headers)
  }
  const sealed = (seed: number) => ({ encryptedMessage: Buffer.alloc(60, seed).toString('base64') })
  const delivery = ({ json }: Answer) => (json.results as { delivery: string }[])[0]!.delivery
  const arrive = (user: TestUser, node: TestNode, count: number) =>
    until(
      () => listMessages(user, node, 'inbox'),
      messages => messages.length === count
    )

  it('are not held to have come where they were only forwarded, or parked and given away', async () => {
    const [forwarded, parked] = [await homeAt(two, one), newUser()]
    expect(delivery(await send(forwarded, { body: sealed(1) }))).to.equal('forwarding')
    await arrive(forwarded, two, 1)
    expect(delivery(await send(parked, { body: sealed(2) }))).to.equal('parked')
    await arrive(parked, one, 1)
    await authorizeRouting(parked, two)
    await arrive(parked, two, 1)
    await arrive(parked, one, 0)
    // Now node one becomes a home as well: it gets what the other one holds.
    for (const user of [forwarded, parked]) {
      await authorizeRouting(user, one)
      await arrive(user, one, 1)
    }
  })

  it('are two if another payment comes under the same id, and one if the same does', async () => {
    const user = await homeAt(one, two)
    const message = { recipient: user.identityKey, messageBox: 'inbox', body: 'for a fee', messageId: 'paid' }
    for (const tx of [
      [1, 2, 3],
      [1, 2, 3],
      [4, 5, 6]
    ]) {
      const answer = await alice.post(one.url, '/sendMessage', { message, payment: { tx } })
      expect(answer.status, answer.body.toString()).to.equal(200)
    }
    const listed = await listMessages(user, one, 'inbox')
    expect(listed.map(({ messageId }) => messageId === 'paid')).to.deep.equal([true, false])
  })

  it('are refused to a sender whose clock is ahead, or who is a life time late', async () => {
    const user = await homeAt(two, one)
    const signed = (createdAt: number) => {
      const text = signedMessageText(user.identityKey, 'inbox', undefined, 'words', createdAt)
      return { body: 'words', createdAt, signature: signPortably(alice.keys, text) }
    }
    const life = one.node.context.config.limits.timeToLive * 1000
    for (const [createdAt, code] of [
      [clock.now() + 11 * MINUTE, 'ERR_MESSAGE_EARLY'],
      [clock.now() - life, 'ERR_MESSAGE_EXPIRED']
    ] as const) {
      const answer = await send(user, signed(createdAt))
      expect(answer.status).to.equal(400)
      expect(answer.json).to.include({ code })
    }
    const rows = await inspect(one, 'select from deliveries where recipient = $1', keyOf(user))
    expect(rows).to.have.length(0)
  })

  it('go nowhere if the request signs an authorization header, which others would read', async () => {
    const headers = { authorization: 'Bearer secret' }
    const [far, near] = [await homeAt(two, one), await homeAt(one, two)]
    const refused = await send(far, { body: sealed(3) }, headers)
    expect(refused.status).to.equal(400)
    expect(refused.json).to.include({ code: 'ERR_AUTHORIZATION_HEADER' })
    expect((await send(near, { body: sealed(4) }, headers)).status).to.equal(200)
    expect((await send(near, { body: sealed(5) })).status).to.equal(200)
    await authorizeRouting(near, two)
    const [came] = await arrive(near, two, 1)
    expect(came!.body).to.equal(JSON.stringify(sealed(5)))
    const planned = await inspect(one, 'select from deliveries where recipient = $1', keyOf(near))
    expect(planned).to.have.length(1)
    // Nor is one taken that somebody else hands on.
    const host = new TestUser('a host that shows headers')
    const words = { recipient: near.identityKey, messageBox: 'inbox', body: 'words' }
    const body = propagated(host, alice, words, headers)
    const handed = await host.post(two.url, '/propagateMessage', body)
    expect(handed.status).to.equal(403)
    expect(handed.json).to.include({ code: 'ERR_ORIGIN_UNPROVEN', check: 'signed-message' })
  })

  it('are offered to nobody once they have expired, and their sender is told', async () => {
    const user = await homeAt(two, one)
    await two.stop()
    try {
      expect(delivery(await send(user, { body: sealed(6), messageId: 'too late' }))).to.equal('forwarding')
      clock.ahead += one.node.context.config.limits.timeToLive * 1000 + DAY
    } finally {
      await two.restart()
    }
    const [report] = await until(
      () => listMessages(alice, one, 'delivery_reports'),
      found => found.length > 0
    )
    expect(JSON.parse(report!.body)).to.include({ messageId: 'too late', state: 'expired' })
    expect(await listMessages(user, two, 'inbox')).to.have.length(0)
  })

  const keyOf = ({ identityKey }: TestUser): Buffer => Buffer.from(identityKey, 'hex')
})
