import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { acknowledgementText } from '../../src/acknowledgement.js'
import { signPortably } from '../../src/keys/portable-signature.js'
import { signedMessageText } from '../../src/message.js'
import { messageName } from '../../src/names.js'
import { inspect, untilHosts } from '../support/advertised.js'
import { TestUser } from '../support/client.js'
import {
  authorizeRouting,
  type ListedMessage,
  listMessages,
  startMesh,
  type TestNode,
  until
} from '../support/nodes.js'

const BOX = 'inbox'

type HiddenMessage = ListedMessage & { readonly acknowledgedBy: string }

describe('acknowledgements of a recipient with two hosts', () => {
  let one: TestNode
  let two: TestNode
  const operators = ['acknowledgements one', 'acknowledgements two'].map(name => new TestUser(`node ${name}`))
  const alice = new TestUser('alice of acknowledgements')
  let users = 0
  /** By message id. */
  const names = new Map<string, string>()
  const nameOf = ({ messageId }: { messageId: string }) => names.get(messageId)!

  before(async function () {
    this.timeout(60_000)
    ;[one, two] = (await startMesh(['acknowledgements one', 'acknowledgements two'], {
      options: { federation: { random: () => 0 } }
    })) as [TestNode, TestNode]
  })
  after(() => Promise.all([one?.remove(), two?.remove()]))

  async function recipientAt(...nodes: TestNode[]): Promise<TestUser> {
    const user = new TestUser(`recipient ${users++} of acknowledgements`)
    await Promise.all(nodes.map(node => authorizeRouting(user, node)))
    for (const node of [one, two]) await untilHosts(node, user, nodes.length)
    return user
  }

  function signedMessage(recipient: TestUser, body: string) {
    const createdAt = Date.now()
    const messageId = randomBytes(8).toString('hex')
    const text = signedMessageText(recipient.identityKey, BOX, messageId, body, createdAt)
    names.set(
      messageId,
      messageName(alice.identityKey, BOX, undefined, text, Buffer.alloc(0)).toString('hex')
    )
    const signature = signPortably(alice.keys, text)
    return { recipient: recipient.identityKey, messageBox: BOX, messageId, body, createdAt, signature }
  }

  async function send(message: object, node: TestNode): Promise<void> {
    const answer = await alice.post(node.url, '/sendMessage', { message })
    expect(answer.status, answer.body.toString()).to.equal(200)
  }

  async function sendSome(recipient: TestUser, count: number): Promise<void> {
    for (let i = 0; i < count; i++) await send(signedMessage(recipient, `text ${i}`), one)
    await untilListed(two, recipient, count)
  }

  async function untilListed(node: TestNode, user: TestUser, count: number): Promise<ListedMessage[]> {
    return until(
      () => listMessages(user, node, BOX),
      messages => messages.length === count
    )
  }

  async function hidden(node: TestNode, user: TestUser): Promise<HiddenMessage[]> {
    const { json } = await user.post(node.url, '/listMessages', { messageBox: BOX, acknowledged: true })
    return json.messages as HiddenMessage[]
  }

  const untilHidden = (node: TestNode, user: TestUser, count: number) =>
    until(
      () => hidden(node, user),
      messages => messages.length === count
    )

  const namesIn = (messages: readonly ListedMessage[]) => messages.map(({ envelopeId }) => envelopeId)

  async function acknowledge(node: TestNode, user: TestUser, body: object): Promise<unknown> {
    const answer = await user.post(node.url, '/acknowledgeMessage', body)
    expect(answer.status, answer.body.toString()).to.equal(200)
    return answer.json.acknowledged
  }

  const inOwnWords = (user: TestUser, envelopeIds: string[]) => ({
    envelopeIds,
    signature: signPortably(user.keys, acknowledgementText(user.identityKey, envelopeIds))
  })

  const envelopes = async (node: TestNode) =>
    (await inspect<{ n: number }>(node, 'select count(*) as n from envelopes'))[0]!.n

  it('hides at the other host what he acknowledged plainly, until he deletes it there himself', async () => {
    const bob = await recipientAt(one, two)
    await sendSome(bob, 3)
    const [first, second, third] = await listMessages(bob, one, BOX)
    expect(await acknowledge(one, bob, { messageIds: [first!.messageId, second!.messageId] })).to.equal(2)
    expect(namesIn(await untilListed(two, bob, 1))).to.deep.equal([third!.envelopeId])
    const kept = await untilHidden(two, bob, 2)
    expect(kept.map(({ body }) => body)).to.deep.equal(['text 0', 'text 1'])
    for (const message of kept) expect(message.acknowledgedBy).to.equal(one.identityKey)
    // By the id as well as by the name, and nobody is told of what is not there.
    expect(await acknowledge(two, bob, { messageIds: [first!.messageId] })).to.equal(1)
    expect(await acknowledge(two, bob, inOwnWords(bob, [second!.envelopeId]))).to.equal(1)
    expect(await hidden(two, bob)).to.deep.equal([])
    await acknowledge(two, bob, { messageIds: [third!.messageId] })
    await untilHidden(one, bob, 1)
    await acknowledge(one, bob, { messageIds: [third!.messageId] })
    await until(
      async () => [await envelopes(one), await envelopes(two)],
      counts => counts.every(count => count === 0)
    )
  })

  it('deletes at both what he acknowledged in his own words', async () => {
    const bob = await recipientAt(one, two)
    await sendSome(bob, 2)
    const messages = await listMessages(bob, one, BOX)
    await acknowledge(one, bob, { messageIds: [messages[0]!.messageId] })
    await untilHidden(two, bob, 1)
    // What was hidden goes as well.
    expect(await acknowledge(one, bob, inOwnWords(bob, namesIn(messages)))).to.equal(1)
    await until(
      () => inspect(two, 'select from hidden_messages'),
      rows => rows.length === 0
    )
    expect(await listMessages(bob, two, BOX)).to.deep.equal([])
  })

  it('reaches a host that was down', async () => {
    const bob = await recipientAt(one, two)
    await sendSome(bob, 1)
    await two.stop()
    const [message] = await listMessages(bob, one, BOX)
    await acknowledge(one, bob, { messageIds: [message!.messageId] })
    await until(
      () => inspect(one, 'select from statement_deliveries where attempts > 0'),
      rows => rows.length === 1
    )
    await two.restart()
    await untilHidden(two, bob, 1)
    await until(
      () =>
        inspect(
          one,
          'select from statement_deliveries union all select from statements where signature is null'
        ),
      rows => rows.length === 0
    )
  })

  it('counts at a host which the message has not reached yet', async () => {
    const bob = await recipientAt(one, two)
    const [early, hiddenEarly] = [signedMessage(bob, 'early'), signedMessage(bob, 'hidden early')]
    const [own, word] = [nameOf(early), nameOf(hiddenEarly)] as [string, string]
    const toTwo = { recipient: bob.identityKey, ...inOwnWords(bob, [own]) }
    const outcomes = await Promise.all([
      operators[0]!.post(two.url, '/propagateAcknowledgement', toTwo),
      operators[0]!.post(two.url, '/propagateAcknowledgement', {
        recipient: bob.identityKey,
        envelopeIds: [word],
        signature: signPortably(operators[0]!.keys, acknowledgementText(bob.identityKey, [word]))
      })
    ])
    expect(outcomes.map(({ status }) => status)).to.deep.equal([200, 200])
    await send(early, one)
    await send(hiddenEarly, one)
    await untilHidden(two, bob, 1)
    await until(
      () => inspect(one, `select from deliveries where state = 'pending'`),
      rows => rows.length === 0
    )
    expect(await listMessages(bob, two, BOX)).to.deep.equal([])
    expect(namesIn(await hidden(two, bob))).to.deep.equal([word])
    // Sent once more, through this host itself, it is a repeat.
    await send(early, two)
    expect(await listMessages(bob, two, BOX)).to.deep.equal([])
  })

  it('is told to a host that comes later', async () => {
    const bob = await recipientAt(one)
    const message = signedMessage(bob, 'moved')
    await send(message, one)
    const [listed] = await listMessages(bob, one, BOX)
    await acknowledge(one, bob, { messageIds: [listed!.messageId] })
    expect(await inspect(one, 'select from statements where signature is null')).to.deep.equal([])
    await authorizeRouting(bob, two)
    await until(
      () =>
        inspect(
          two,
          'select from early_acknowledgements where recipient = $1',
          Buffer.from(bob.identityKey, 'hex')
        ),
      rows => rows.length === 1
    )
    await send(message, two)
    expect(await listMessages(bob, two, BOX)).to.deep.equal([])
    expect((await hidden(two, bob)).map(({ body }) => body)).to.deep.equal(['moved'])
  })

  it('costs nothing where there is one host', async () => {
    const bob = await recipientAt(one)
    await send(signedMessage(bob, 'alone'), one)
    const [message] = await listMessages(bob, one, BOX)
    const before = await inspect(one, 'select last_value from statements_id_seq')
    await acknowledge(one, bob, { messageIds: [message!.messageId] })
    expect(await inspect(one, 'select last_value from statements_id_seq')).to.deep.equal(before)
  })

  describe('from somebody who may not', () => {
    let bob: TestUser
    let names: string[]
    before(async () => {
      bob = await recipientAt(one, two)
      await sendSome(bob, 2)
      names = namesIn(await listMessages(bob, two, BOX))
    })

    const says = (caller: TestUser, signer: TestUser, envelopeIds: unknown, change: object = {}) =>
      caller.post(two.url, '/propagateAcknowledgement', {
        recipient: bob.identityKey,
        envelopeIds,
        signature: signPortably(signer.keys, acknowledgementText(bob.identityKey, envelopeIds as string[])),
        ...change
      })

    it('is refused, and changes nothing', async () => {
      const stranger = new TestUser('stranger of acknowledgements')
      const host = operators[0]!
      for (const [answer, code, check] of [
        [await says(stranger, stranger, names), 'ERR_ACKNOWLEDGEMENT_UNPROVEN', 'host'],
        [await says(host, stranger, names), 'ERR_ACKNOWLEDGEMENT_UNPROVEN', 'host'],
        [await says(host, alice, names), 'ERR_ACKNOWLEDGEMENT_UNPROVEN', 'host'],
        [
          await says(host, bob, names, { envelopeIds: [names[0]] }),
          'ERR_ACKNOWLEDGEMENT_UNPROVEN',
          'signature'
        ],
        [await says(host, bob, names, { signature: 'x' }), 'ERR_ACKNOWLEDGEMENT_UNPROVEN', 'signature'],
        [await says(host, bob, names, { signature: null }), 'ERR_ACKNOWLEDGEMENT_UNPROVEN', 'signature'],
        [
          await says(host, bob, names, { recipient: alice.identityKey }),
          'ERR_ACKNOWLEDGEMENT_UNPROVEN',
          'signature'
        ]
      ] as const) {
        expect(answer.status).to.equal(403)
        expect(answer.json).to.include({ status: 'error', code, check })
      }
      for (const ids of [[], 'x', [1], ['00'], [names[0]!.toUpperCase()], [names[0], names[0]]]) {
        const answer = await says(host, bob, ids)
        expect(answer.status).to.equal(400)
        expect(answer.json).to.include({ code: 'ERR_INVALID_ENVELOPE_ID' })
      }
      const tooMany = Array.from({ length: 1_001 }, () => randomBytes(32).toString('hex'))
      expect((await says(host, bob, tooMany)).json).to.include({ code: 'ERR_TOO_MANY_MESSAGE_IDS' })
      expect(namesIn(await listMessages(bob, two, BOX))).to.deep.equal(names)
    })

    it('even if he is a host: his word hides, is named, and destroys nothing', async () => {
      const answer = await says(operators[0]!, operators[0]!, names)
      expect(answer.json).to.deep.equal({ status: 'success', acknowledged: 2 })
      expect(await listMessages(bob, two, BOX)).to.deep.equal([])
      const kept = await hidden(two, bob)
      expect(namesIn(kept)).to.deep.equal(names)
      expect(kept.map(({ acknowledgedBy }) => acknowledgedBy)).to.deep.equal([
        one.identityKey,
        one.identityKey
      ])
      // His own box still has them.
      expect(namesIn(await listMessages(bob, one, BOX))).to.deep.equal(names)
    })

    it('gives strangers no memory here, whosever words they bring', async () => {
      const later = randomBytes(32).toString('hex')
      const stranger = new TestUser('stranger of acknowledgements')
      expect((await says(stranger, bob, [later])).json).to.include({ status: 'success' })
      const found = await inspect(
        two,
        'select from early_acknowledgements where name = $1',
        Buffer.from(later, 'hex')
      )
      expect(found).to.deep.equal([])
    })

    it('in the own words of another recipient at his own host', async () => {
      const answer = await bob.post(two.url, '/acknowledgeMessage', inOwnWords(alice, names))
      expect(answer.status).to.equal(400)
      expect(answer.json).to.include({ code: 'ERR_SIGNATURE_INVALID' })
    })
  })
})
