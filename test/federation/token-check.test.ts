import { expect } from 'chai'
import { inspect, submitScript, tokenScript } from '../support/advertised.js'
import { TestUser } from '../support/client.js'
import { type FakeHost, startFakeHost } from '../support/fake-host.js'
import { listMessages, startTestNode, type TestNode, until } from '../support/nodes.js'

/** Who can write into the database, or has found a way to make it say something, sends no mail astray. */
describe('tokens, before something is delivered because of them', () => {
  let node: TestNode
  let thief: FakeHost
  const hosts: FakeHost[] = []
  const alice = new TestUser('alice of the token check')
  let names = 0

  before(async function () {
    this.timeout(30_000)
    node = await startTestNode('token check', { options: { federation: { random: () => 0 } } })
    thief = await startFakeHost('thief of the token check')
    hosts.push(thief)
  })
  after(async () => {
    await node?.remove()
    await Promise.all(hosts.map(host => host.close()))
  })

  /** A recipient with one host. */
  async function advertised(): Promise<{ bob: TestUser; host: FakeHost }> {
    const bob = new TestUser(`recipient ${names} of the token check`)
    const host = await startFakeHost(`${names++} of the token check`)
    hosts.push(host)
    await submitScript(node, tokenScript(host.operator, host.domain, bob))
    return { bob, host }
  }

  const keyOf = (user: TestUser): Buffer => Buffer.from(user.identityKey, 'hex')

  async function send(bob: TestUser, messageId: string): Promise<string> {
    const body = { encryptedMessage: Buffer.alloc(60, names++).toString('base64') }
    const message = { recipient: bob.identityKey, messageBox: 'inbox', messageId, body }
    const answer = await alice.post(node.url, '/sendMessage', { message })
    expect(answer.status, answer.body.toString()).to.equal(200)
    return (answer.json.results as { delivery: string }[])[0]!.delivery
  }

  const settled = (messageId: string) =>
    until(
      async () =>
        (await alice.post(node.url, '/deliveryStatus', { messageIds: [messageId] })).json.deliveries as {
          host: string
          state: string
          lastAnswer: string
        }[],
      found => found.length > 0 && found.every(({ state }) => state !== 'pending')
    )

  const passedOver = async (): Promise<number> => {
    const text = await node.node.context.metrics.text()
    return Number(/^peerserv_tokens_passed_over_total\{reason="not-verified"\} (\d+)$/m.exec(text)?.[1] ?? 0)
  }
  const setAside = (bob: TestUser) =>
    inspect<{ aside: boolean }>(
      node,
      'select set_aside_at is not null as aside from phip_tokens where recipient = $1',
      keyOf(bob)
    )

  it('are used as they are, and looked at once', async () => {
    const { bob, host } = await advertised()
    for (const id of ['genuine 1', 'genuine 2']) {
      await send(bob, id)
      expect((await settled(id)).map(({ state }) => state)).to.deep.equal(['delivered'])
    }
    expect(host.asked).to.equal(2)
    expect(await passedOver()).to.equal(0)
  })

  const tampered: [what: string, tamper: (bob: TestUser, host: FakeHost) => Promise<unknown>][] = [
    [
      'another domain',
      bob =>
        inspect(node, 'update phip_tokens set domain = $2 where recipient = $1', keyOf(bob), thief.domain)
    ],
    [
      'another operator',
      async bob => {
        await inspect(
          node,
          'update phip_tokens set domain = $2, operator_key = $3 where recipient = $1',
          keyOf(bob),
          thief.domain,
          keyOf(thief.operator)
        )
        await inspect(
          node,
          'delete from phip_hosts where recipient = $1 and operator_key <> $2',
          keyOf(bob),
          keyOf(thief.operator)
        )
      }
    ],
    [
      'another box expression',
      bob => inspect(node, `update phip_tokens set box_expression = '.*' where recipient = $1`, keyOf(bob))
    ],
    [
      'a script with one byte changed',
      bob =>
        inspect(
          node,
          `update overlay_outputs o set locking_script = set_byte(o.locking_script, 90, get_byte(o.locking_script, 90) # 1)
           from phip_tokens t where t.recipient = $1 and t.txid = o.txid`,
          keyOf(bob)
        )
    ],
    [
      'the script of a token for somebody else',
      async (bob, host) => {
        const script = tokenScript(host.operator, host.domain, new TestUser('somebody else'))
        return inspect(
          node,
          `update overlay_outputs o set locking_script = $2
           from phip_tokens t where t.recipient = $1 and t.txid = o.txid`,
          keyOf(bob),
          Buffer.from(script)
        )
      }
    ],
    [
      'no script',
      bob =>
        inspect(
          node,
          'delete from overlay_outputs o using phip_tokens t where t.recipient = $1 and t.txid = o.txid',
          keyOf(bob)
        )
    ]
  ]
  for (const [what, tamper] of tampered) {
    it(`are set aside, and seen to be, where the index was given ${what}`, async () => {
      const { bob, host } = await advertised()
      const before = await passedOver()
      await tamper(bob, host)
      const id = `tampered: ${what}`
      expect(await send(bob, id)).to.equal('forwarding')
      expect((await settled(id)).map(({ lastAnswer }) => lastAnswer)).to.deep.equal(['ERR_HOST_WITHDRAWN'])
      expect([host.asked, thief.asked]).to.deep.equal([0, 0])
      expect(await setAside(bob)).to.deep.equal([{ aside: true }])
      expect(await passedOver()).to.equal(before + 1)
      // Its sender is told, and the next message waits here for a host.
      await until(
        () => listMessages(alice, node, 'delivery_reports'),
        found => found.some(({ body }) => body.includes(id))
      )
      expect(await send(bob, `${id}, the next`)).to.equal('parked')
    })
  }

  it('are right, and the entry made from them is put right, where only that was changed', async () => {
    const { bob, host } = await advertised()
    await inspect(node, 'update phip_hosts set domain = $2 where recipient = $1', keyOf(bob), thief.domain)
    await send(bob, 'only the entry')
    const [delivery] = await settled('only the entry')
    expect(delivery).to.deep.include({ state: 'delivered', host: host.domain })
    expect([host.asked, thief.asked]).to.deep.equal([1, 0])
    expect(await setAside(bob)).to.deep.equal([{ aside: false }])
  })

  it('give their place to an older one of the same operator that is right', async () => {
    const { bob, host } = await advertised()
    const moved = await startFakeHost(`${names++} of the token check`)
    hosts.push(moved)
    await submitScript(node, tokenScript(host.operator, moved.domain, bob))
    await inspect(
      node,
      'update phip_tokens set domain = $3 where recipient = $1 and domain = $2',
      keyOf(bob),
      moved.domain,
      thief.domain
    )
    await send(bob, 'an older one')
    expect((await settled('an older one')).map(({ state }) => state)).to.deep.equal(['delivered'])
    expect([host.asked, thief.asked, moved.asked]).to.deep.equal([1, 0, 0])
  })
})
