import { expect } from 'chai'
import { TestUser } from '../support/client.js'
import { authorizeRouting, listMessages, startMesh, type TestNode, until } from '../support/nodes.js'
import { QUEUE_STORES, type QueueStore } from '../support/queue-stores.js'

const MESSAGES = 60

for (const store of QUEUE_STORES) {
  const suite = store.isHere ? describe : describe.skip
  suite(`a queue in ${store.name} that loses all it holds`, () => losses(store))
}

function losses(store: QueueStore): void {
  let one: TestNode
  let two: TestNode
  const alice = new TestUser('alice of lost queues')
  const bob = new TestUser('bob of lost queues')

  before(async function () {
    this.timeout(60_000)
    ;[one, two] = (await startMesh([`${store.name} loss one`, `${store.name} loss two`], {
      environment: store.environment,
      options: { federation: { random: () => 0 } }
    })) as [TestNode, TestNode]
    await authorizeRouting(bob, two)
    await until(
      () => count('select count(*) as n from live_hosts($1)', Buffer.from(bob.identityKey, 'hex')),
      n => n === 1
    )
  })
  after(async () => {
    await Promise.all([one?.remove(), two?.remove()])
  })

  async function count(text: string, ...values: unknown[]): Promise<number> {
    return (await one.databases.database.query<{ n: number }>({ name: '', text }, values))[0]!.n
  }

  async function send(recipient: TestUser, messageBox: string, messageId: string): Promise<void> {
    const sealed = { encryptedMessage: Buffer.alloc(60, messageId).toString('base64') }
    const message = { recipient: recipient.identityKey, messageBox, messageId, body: JSON.stringify(sealed) }
    const answer = await alice.post(one.url, '/sendMessage', { message })
    expect(answer.status, answer.body.toString()).to.equal(200)
  }

  /** All of them at the recipient, once each, in the order of sending, and nothing left to do. */
  async function expectAll(recipient: TestUser, messageBox: string, ids: readonly string[]): Promise<void> {
    await until(
      () => count(`select count(*) as n from deliveries where state = 'pending'`),
      n => n === 0
    )
    const messages = await listMessages(recipient, two, messageBox)
    expect(messages.map(({ messageId }) => messageId)).to.deep.equal(ids)
  }

  it('loses no message while they come', async () => {
    const ids = Array.from({ length: MESSAGES }, (_, i) => `coming ${i}`)
    for (const [i, id] of ids.entries()) {
      const sent = send(bob, 'coming', id)
      if (i % 20 === 10) await store.lose([one, two])
      await sent
    }
    await expectAll(bob, 'coming', ids)
  })

  it('loses no message that waits for its host', async function () {
    this.timeout(60_000)
    const ids = Array.from({ length: MESSAGES }, (_, i) => `waiting ${i}`)
    await two.stop()
    for (const id of ids) await send(bob, 'waiting', id)
    await store.lose([one])
    await two.restart()
    await store.lose([one, two])
    await expectAll(bob, 'waiting', ids)
  })

  it('loses no parked message whose home appears', async () => {
    const carol = new TestUser('carol of lost queues')
    const ids = Array.from({ length: 5 }, (_, i) => `parked ${i}`)
    for (const id of ids) await send(carol, 'parked', id)
    expect(await listMessages(carol, one, 'parked')).to.have.length(ids.length)
    await authorizeRouting(carol, two)
    await store.lose([one, two])
    await until(
      () => listMessages(carol, one, 'parked'),
      messages => messages.length === 0
    )
    await expectAll(carol, 'parked', ids)
  })
}
