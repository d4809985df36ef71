import { expect } from 'chai'
import { type Answer, TestUser } from '../support/client.js'
import { ManualClock } from '../support/message-box-node.js'
import { authorizeRouting, startTestNode, type TestNode } from '../support/nodes.js'
import { propagated } from '../support/propagated.js'

const LIMIT = 12

describe('rates of messages that hosts hand on', () => {
  const clock = new ManualClock()
  const host = new TestUser('the host of alice')
  const alice = new TestUser('alice at her host')
  const bob = new TestUser('bob at home here')
  let node: TestNode
  let count = 0

  before(async function () {
    this.timeout(60_000)
    node = await startTestNode('handed to', {
      environment: { LIMIT_RATE_PAIR: String(LIMIT) },
      options: { clock }
    })
    await authorizeRouting(bob, node)
  })
  after(() => node?.remove())
  beforeEach(() => clock.forward(60_000))

  const message = (body: string) => ({ recipient: bob.identityKey, messageBox: 'handed', body })
  const handOn = (by: TestUser, body: object) => by.post(node.url, '/propagateMessage', body)
  const another = () => handOn(host, propagated(host, alice, message(`message ${count++}`)))

  function resultOf(answer: Answer): Record<string, unknown> {
    expect(answer.status, answer.body.toString()).to.equal(200)
    const [result] = answer.json.results as Record<string, unknown>[]
    return result!
  }

  async function takesTheRest(asking: () => Promise<Answer>, atLeast: number): Promise<void> {
    for (let i = 0; i < atLeast; i++) expect(resultOf(await asking())).to.include({ status: 'success' })
  }

  it('refuse a recipient to whom the sender has sent too much, whoever hands it on, for a minute', async () => {
    await takesTheRest(another, LIMIT)
    const refused = resultOf(await another())
    expect(refused).to.include({
      recipient: bob.identityKey,
      status: 'error',
      code: 'ERR_RATE_LIMITED',
      httpStatus: 429
    })
    expect(refused.retryAfter).to.be.within(1, 60)
    const other = new TestUser('another host of alice')
    expect(resultOf(await handOn(other, propagated(other, alice, message('elsewhere'))))).to.include({
      httpStatus: 429
    })
    clock.forward(Number(refused.retryAfter) * 1000)
    await takesTheRest(another, LIMIT)
  })

  it('spend nothing on what came before: a host cannot use up what a sender may with her own messages', async () => {
    const once = propagated(host, alice, message('once'))
    for (let i = 0; i < 2 * LIMIT; i++) expect(resultOf(await handOn(host, once)).status).to.equal('success')
    await takesTheRest(another, LIMIT - 1)
    expect(resultOf(await another())).to.include({ httpStatus: 429 })
  })

  it('spend nothing of a sender whose name is on messages that somebody else has sealed', async () => {
    const mallory = new TestUser('a malicious host')
    const sealed = () => {
      const encryptedMessage = Buffer.alloc(60, count++).toString('base64')
      const { senderAuthorization, hostAttestation, ...unproven } = propagated(
        mallory,
        alice,
        message(JSON.stringify({ encryptedMessage }))
      )
      return handOn(mallory, unproven)
    }
    await takesTheRest(sealed, LIMIT)
    expect(resultOf(await sealed())).to.include({ httpStatus: 429 })
    await takesTheRest(another, LIMIT)
  })
})
