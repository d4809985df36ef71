import { expect } from 'chai'
import { submitScript, tokenScript } from '../support/advertised.js'
import { type Answer, TestUser } from '../support/client.js'
import { startFakeHost } from '../support/fake-host.js'
import {
  authorizeRouting,
  authorizeSending,
  listMessages,
  startTestNode,
  type TestNode,
  until
} from '../support/nodes.js'
import type { Result } from '../support/origin-node.js'
import { propagated } from '../support/propagated.js'

const NOT_HOME = { status: 'error', code: 'ERR_NOT_HOME', description: 'no' }
const FULL = { status: 'error', code: 'ERR_INBOX_QUOTA_EXCEEDED', httpStatus: 507, retryAfter: 60 }
/** So many messages of each kind there is room for. */
const [PROVEN, SEALED, SEALED_OF_HOST] = [12, 20, 14]

describe('quotas and what other hosts hand on (protocol section 4)', () => {
  let node: TestNode
  const alice = new TestUser('alice of handed quotas')
  let names = 0

  before(async function () {
    this.timeout(30_000)
    node = await startTestNode('handed quotas', {
      environment: {
        LIMIT_RECIPIENT_MESSAGES: `${PROVEN}`,
        LIMIT_RECIPIENT_BOXES: '4',
        LIMIT_SEALED_MESSAGES: `${SEALED}`,
        LIMIT_SEALED_HOST_MESSAGES: `${SEALED_OF_HOST}`
      }
    })
  })
  after(() => node?.remove())

  /** Somebody who is at home at the node. */
  async function newRecipient(): Promise<TestUser> {
    const user = new TestUser(`recipient ${names++} of handed quotas`)
    await authorizeRouting(user, node)
    await until(
      () => node.databases.database.query({ name: '', text: 'select from catch_ups' }),
      waiting => waiting.length === 0
    )
    return user
  }
  async function newHost(): Promise<TestUser> {
    const host = new TestUser(`host ${names++} of handed quotas`)
    await host.handshake(node.url)
    return host
  }
  const sealedBody = () =>
    JSON.stringify({ encryptedMessage: Buffer.alloc(60, `body ${names++}`).toString('base64') })

  function proven(host: TestUser, recipient: TestUser, body = `body ${names++}`, messageBox = 'inbox') {
    return propagated(host, alice, { recipient: recipient.identityKey, messageBox, body })
  }

  /** Encrypted, and nothing else proves anything. */
  function sealed(host: TestUser, recipient: TestUser, body = sealedBody(), messageBox = 'inbox') {
    const { senderAuthorization: _, hostAttestation: __, ...rest } = proven(host, recipient, body, messageBox)
    return rest
  }

  const handOn = (host: TestUser, body: object) => host.post(node.url, '/propagateMessage', body)

  function resultOf(answer: Answer): Result & { limit?: string } {
    expect(answer, answer.body.toString()).to.include({ status: 200, signature: 'valid' })
    return (answer.json.results as Result[])[0]!
  }

  /** Exactly so many of those who hand on at once are taken; the others are told the limit. */
  async function race(
    count: number,
    limit: string,
    handOnOne: () => Promise<Answer>,
    racers = count + 5
  ): Promise<void> {
    const results = (await Promise.all(Array.from({ length: racers }, handOnOne))).map(resultOf)
    const refused = results.filter(({ status }) => status !== 'success')
    for (const result of refused) expect(result).to.include({ ...FULL, limit })
    expect(racers - refused.length).to.equal(count)
  }

  async function list(recipient: TestUser, messageBox = 'inbox') {
    const { json } = await recipient.post(node.url, '/listMessages', { messageBox })
    return json.messages as { messageId: unknown; origin: string }[]
  }

  async function acknowledge(recipient: TestUser, origin: string, count: number): Promise<void> {
    const found = (await list(recipient)).filter(message => message.origin === origin).slice(0, count)
    const messageIds = found.map(({ messageId }) => messageId)
    const { json } = await recipient.post(node.url, '/acknowledgeMessage', { messageIds })
    expect(json.acknowledged).to.equal(count)
  }

  const send = (recipient: TestUser, body: string) =>
    alice.post(node.url, '/sendMessage', {
      message: { recipient: recipient.identityKey, messageBox: 'inbox', body }
    })

  it('count a sealed message for the host that handed it on, and for no sender', async () => {
    const [bob, one, two] = [await newRecipient(), await newHost(), await newHost()]
    await race(SEALED_OF_HOST, 'sealedMessagesPerHost', () => handOn(one, sealed(one, bob)), 50)
    await race(SEALED - SEALED_OF_HOST, 'sealedMessagesPerRecipient', () => handOn(two, sealed(two, bob)))
    // What is proven, or comes from the sender himself, has all its room.
    expect((await send(bob, 'at home')).status).to.equal(200)
    await race(PROVEN - 1, 'messagesPerRecipient', () => handOn(one, proven(one, bob)))
    expect((await send(bob, 'full')).status).to.equal(507)
    // Room comes back to those who left it.
    await acknowledge(bob, 'sealed', 2)
    await race(2, 'sealedMessagesPerRecipient', () => handOn(two, sealed(two, bob)))
    await acknowledge(bob, 'home-host', 3)
    await race(3, 'messagesPerRecipient', () => handOn(two, proven(two, bob)))
  })

  it('move a sealed message to its sender with the proof, if there is room', async () => {
    const [bob, host] = [await newRecipient(), await newHost()]
    const bodies = Array.from({ length: 2 }, sealedBody)
    for (const body of bodies)
      expect(resultOf(await handOn(host, sealed(host, bob, body))).status).to.equal('success')
    for (let i = 1; i < PROVEN; i++) await handOn(host, proven(host, bob))
    const better = await Promise.all(bodies.map(body => handOn(host, proven(host, bob, body))))
    const results = better.map(resultOf)
    expect(results.map(({ status }) => status)).to.have.members(['success', 'error'])
    expect(results.find(({ status }) => status === 'error')).to.include({
      ...FULL,
      limit: 'messagesPerRecipient'
    })
    const origins = (await list(bob)).map(({ origin }) => origin)
    expect(origins.filter(origin => origin === 'sealed')).to.have.length(1)
    await race(SEALED_OF_HOST - 1, 'sealedMessagesPerHost', () => handOn(host, sealed(host, bob)))
  })

  it('let a message that no host took be parked only where there is room, and tell its sender', async () => {
    const [bob, host] = [
      new TestUser('parked of handed quotas'),
      await startFakeHost('handed quotas', 403, NOT_HOME)
    ]
    try {
      for (let i = 0; i < PROVEN; i++) expect((await send(bob, `waits ${i}`)).status).to.equal(200)
      await submitScript(node, tokenScript(host.operator, host.domain, bob))
      await authorizeSending(alice, node)
      const message = {
        recipient: bob.identityKey,
        messageBox: 'inbox',
        body: 'no room',
        messageId: 'no room'
      }
      expect((await alice.post(node.url, '/sendMessage', { message })).status).to.equal(200)
      const [report] = await until(
        async () =>
          (await listMessages(alice, node, 'delivery_reports')).filter(({ body }) =>
            body.includes('no room')
          ),
        found => found.length === 1
      )
      expect(JSON.parse(report!.body)).to.include({ messageId: 'no room', code: 'ERR_INBOX_QUOTA_EXCEEDED' })
      expect(await list(bob)).to.have.length(PROVEN)
    } finally {
      await host.close()
    }
  })

  it('keep half of the boxes for messages whose sender is proven', async () => {
    const [bob, host] = [await newRecipient(), await newHost()]
    const inBox = (n: number) => handOn(host, sealed(host, bob, sealedBody(), `box ${n}`))
    let n = 0
    await race(2, 'boxesPerRecipient', () => inBox(n++))
    const provenInBox = () => handOn(host, proven(host, bob, 'x', `box ${n++}`))
    await race(2, 'boxesPerRecipient', provenInBox)
  })
})
