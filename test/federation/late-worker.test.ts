import { expect } from 'chai'
import { inspect, submitScript, tokenScript, untilHosts } from '../support/advertised.js'
import { TestUser } from '../support/client.js'
import { type FakeHost, TAKEN } from '../support/fake-host.js'
import { MailToHosts } from '../support/mail-to-hosts.js'
import { startTestNode, type TestNode, until } from '../support/nodes.js'

/** What a host says at last, and what a worker whose word counts would do about it. */
const ENDINGS = [
  { name: 'next host', code: 'ERR_DELIVERY_BLOCKED' },
  { name: 'parking', code: 'ERR_NOT_HOME' },
  { name: 'report', code: 'ERR_DELIVERY_BLOCKED' }
] as const

/** How long a claim lasts that is not renewed, ms. */
const CLAIM = 1_000

describe('a late worker, whose claims another one has taken over', () => {
  let node: TestNode
  let mail: MailToHosts
  const spare = new TestUser('operator of a spare host')

  before(async () => {
    node = await startTestNode('late', { options: { federation: { claimMilliseconds: CLAIM } } })
    mail = new MailToHosts(node, new TestUser('alice of a late worker'))
  })
  after(async () => {
    await node?.remove()
    await mail?.close()
  })

  it('is not one whose host takes long to answer: the claim lasts as long as the call', async () => {
    const recipient = new TestUser('recipient at a slow host')
    const host = await mail.hostOf('slow', recipient)
    const taken = host.signed(200, TAKEN)
    let answer = (): void => undefined
    host.answersBy(() => async (request, response) => {
      await new Promise<void>(resolve => {
        answer = resolve
      })
      await taken(request, response)
    })
    await mail.send(recipient, 'takes long')
    const claimedUntil = async () => {
      const [row] = await inspect<{ claimed_until: number | null }>(
        node,
        `select claimed_until from deliveries where message_id = 'takes long'`
      )
      return row!.claimed_until ?? 0
    }
    const first = await until(claimedUntil, time => time > 0)
    // Beyond its end more than once: the sweep, and other workers, find it claimed.
    await until(claimedUntil, time => time > first + 3 * CLAIM)
    answer()
    const [delivery] = await mail.settled('takes long')
    expect(delivery).to.include({ state: 'delivered', attempts: 1 })
    expect(host.asked).to.equal(1)
  })

  it('plans no next host, parks nothing and reports nothing', async () => {
    const answer: (() => void)[] = []
    const hosts: FakeHost[] = []
    for (const { name, code } of ENDINGS) {
      const recipient = new TestUser(`recipient without a ${name}`)
      const host = await mail.hostOf(`late for a ${name}`, recipient)
      const refuse = host.signed(403, { status: 'error', code, description: 'no' })
      host.answersBy(() => async (request, response) => {
        await new Promise<void>(resolve => answer.push(resolve))
        await refuse(request, response)
      })
      hosts.push(host)
      await mail.send(recipient, name)
      if (name === 'next host') {
        await submitScript(node, tokenScript(spare, 'localhost:9', recipient))
        await untilHosts(node, recipient, 2)
      }
    }
    await until(
      async () => answer.length,
      count => count === ENDINGS.length
    )
    await inspect(
      node,
      `update deliveries set claim = new_claim(), claimed_until = claimed_until + 60000 where state = 'pending'`
    )
    for (const say of answer) say()
    // All that was under way has ended when it has stopped.
    await node.stop()
    expect(hosts.map(({ asked }) => asked)).to.deep.equal([1, 1, 1])
    const others = `select message_id, state from deliveries where message_id <> 'takes long' order by id`
    expect(await inspect(node, others)).to.deep.equal(
      ENDINGS.map(({ name }) => ({ message_id: name, state: 'pending' }))
    )
    expect(await inspect(node, 'select from messages')).to.have.length(0)
    await node.restart()
  })
})
