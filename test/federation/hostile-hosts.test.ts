import { expect } from 'chai'
import { MadeUpFunding } from '../../federation/overlay/funding.js'
import { formatRoutingText, signRoutingText } from '../../federation/phip/routing-authorization.js'
import { createTokenScript, signTokenSpend } from '../../federation/phip/token.js'
import { signWithdrawalText } from '../../federation/phip/withdrawal.js'
import { inspect, liveOperators, submitScript, tokenScript, untilHosts } from '../support/advertised.js'
import { exchange, TestUser } from '../support/client.js'
import { type FakeHost, startFakeHost } from '../support/fake-host.js'
import {
  authorizeRouting,
  freePort,
  startMesh,
  startTestNode,
  type TestNode,
  until
} from '../support/nodes.js'
import { propagated } from '../support/propagated.js'
import { startRoundRobin } from '../support/round-robin.js'

/** Hosts whose operators mean ill, and what their tokens can do to those of others. */
describe('a host that no longer obeys', () => {
  let one: TestNode
  let two: TestNode
  let hostile: FakeHost
  const alice = new TestUser('alice of the disobedient')
  const bob = new TestUser('bob of the disobedient')
  let numbers = 0

  before(async function () {
    this.timeout(60_000)
    ;[one, two] = (await startMesh(['obedient one', 'obedient two'], {
      options: { federation: { random: () => 0 } }
    })) as [TestNode, TestNode]
    hostile = await startFakeHost('disobedient')
    for (const user of [alice, bob]) {
      for (const node of [one, two]) {
        await submitScript(node, tokenScript(hostile.operator, hostile.domain, user))
      }
    }
  })
  after(async () => {
    await Promise.all([one?.remove(), two?.remove()])
    await hostile?.close()
  })

  const textOf = (boxExpression?: string) =>
    formatRoutingText({ hostKey: hostile.operator.identityKey, domain: hostile.domain, boxExpression })

  /** The script of a token that the operator makes from what its recipient signed for `boxExpression`. */
  function script(boxExpression?: string, change: { domain?: string; expression?: string } = {}): Uint8Array {
    return createTokenScript(hostile.operator.keys, {
      domain: change.domain ?? hostile.domain,
      recipient: bob.identityKey,
      recipientSignature: signRoutingText(bob.keys, textOf(boxExpression)),
      boxExpression: 'expression' in change ? change.expression : boxExpression
    })
  }

  async function send(node: TestNode): Promise<string> {
    const body = { encryptedMessage: Buffer.alloc(60, ++numbers).toString('base64') }
    const message = { recipient: bob.identityKey, messageBox: 'inbox', body }
    const { json, status } = await alice.post(node.url, '/sendMessage', { message })
    expect(status).to.equal(200)
    return (json.results as { delivery: string }[])[0]!.delivery
  }

  const submitted = async (node: TestNode, lockingScript: Uint8Array): Promise<boolean> =>
    submitScript(node, lockingScript).then(
      () => true,
      () => false
    )

  async function expectNothingReachesIt(what: string): Promise<void> {
    for (const node of [one, two]) {
      expect(await liveOperators(node, bob), what).to.deep.equal([])
      const asked = hostile.asked
      expect(await send(node), what).to.equal('parked')
      expect(hostile.asked, what).to.equal(asked)
    }
  }

  it('gets nothing more once its recipient has withdrawn: not by its token, copies, or new ones', async () => {
    expect(await send(one)).to.equal('forwarding')
    await until(
      async () => hostile.asked,
      asked => asked === 1
    )
    const signature = signWithdrawalText(bob.keys, textOf()).toString('base64')
    const answer = await bob.post(one.url, '/revokeRouting', { message: textOf(), signature })
    expect(answer.json, answer.body.toString()).to.include({ status: 'success' })
    await untilHosts(two, bob, 0)
    await expectNothingReachesIt('its token')

    // The old authorization again, in outputs of its own, at either node, and many at once.
    const copies = [one, two, one, two, one, two, one, two]
    await Promise.all(copies.map(node => submitted(node, script())))
    await expectNothingReachesIt('copies')
    // Spent and made again in one transaction.
    const funding = new MadeUpFunding()
    const first = await funding.fund([{ lockingScript: script(), satoshis: 1 }], [])
    const spend = {
      txid: first.txid,
      outputIndex: 0,
      beef: first.beef,
      sign: (digest: Uint8Array) => signTokenSpend(hostile.operator.keys, digest)
    }
    const second = await funding.fund([{ lockingScript: script(), satoshis: 2 }], [spend])
    const headers: [string, string][] = [
      ['content-type', 'application/octet-stream'],
      ['x-topics', '["tm_phip"]']
    ]
    for (const node of [one, two]) {
      await exchange(node.url, { method: 'POST', target: '/submit', headers, body: Buffer.from(second.beef) })
    }
    await expectNothingReachesIt('made again')
    // What the recipient signed, beside something else: no node admits it.
    for (const change of [
      { domain: 'elsewhere.example' },
      { expression: '.*' },
      { expression: '^inbox$' },
      { expression: ' ' }
    ]) {
      expect(await submitted(one, script(undefined, change)), JSON.stringify(change)).to.equal(false)
    }
    const stranger = new TestUser('a stranger with a copy')
    const underAnotherKey = createTokenScript(stranger.keys, {
      domain: hostile.domain,
      recipient: bob.identityKey,
      recipientSignature: signRoutingText(bob.keys, textOf()),
      boxExpression: undefined
    })
    expect(await submitted(one, underAnotherKey)).to.equal(false)
    await expectNothingReachesIt('made otherwise')
  })

  it('has no word any more: what it attests in the name of who left it is void', async () => {
    const node = one
    const carol = new TestUser('carol of the disobedient')
    await authorizeRouting(carol, node)
    const attested = async (): Promise<Record<string, unknown>> => {
      const message = { recipient: carol.identityKey, messageBox: 'inbox', body: `words ${++numbers}` }
      const body = propagated(hostile.operator, alice, message)
      return (await hostile.operator.post(node.url, '/propagateMessage', body)).json
    }
    const resultOf = ({ results }: Record<string, unknown>) => (results as Record<string, unknown>[])[0]
    expect(resultOf(await attested())).to.include({ status: 'success' })
    const body = propagated(hostile.operator, alice, {
      recipient: carol.identityKey,
      messageBox: 'inbox',
      body: 'kept back until she has left'
    })
    const signature = signWithdrawalText(alice.keys, textOf()).toString('base64')
    await alice.post(two.url, '/revokeRouting', { message: textOf(), signature })
    await untilHosts(one, alice, 0)
    const { json } = await hostile.operator.post(node.url, '/propagateMessage', body)
    expect(resultOf(json)).to.include({
      code: 'ERR_ORIGIN_UNPROVEN',
      httpStatus: 403,
      check: 'sender-authorization-void'
    })
    const listed = await carol.post(node.url, '/listMessages', { messageBox: 'inbox' })
    expect(listed.json.messages).to.have.length(1)
  })

  it('is home again when its recipient signs another text, and only then', async () => {
    for (const node of [one, two]) {
      await submitScript(node, script('.*'))
      expect(await liveOperators(node, bob)).to.deep.equal([hostile.operator.identityKey])
    }
    const asked = hostile.asked
    expect(await send(two)).to.equal('forwarding')
    await until(
      async () => hostile.asked,
      now => now > asked
    )
  })
})

describe('tokens in great number', () => {
  let node: TestNode
  const clock = { ahead: 0, now: () => Date.now() + clock.ahead }
  const alice = new TestUser('alice of many tokens')
  const fakes: FakeHost[] = []
  let numbers = 0

  before(async function () {
    this.timeout(30_000)
    node = await startTestNode('many tokens', { options: { clock, federation: { random: () => 0 } } })
  })
  after(async () => {
    await node?.remove()
    await Promise.all(fakes.map(fake => fake.close()))
  })

  const keyOf = ({ identityKey }: { identityKey: string }): Buffer => Buffer.from(identityKey, 'hex')

  async function startFake(name: string, status?: number, body?: object): Promise<FakeHost> {
    const fake = await startFakeHost(name, status, body)
    fakes.push(fake)
    return fake
  }

  async function send(recipient: TestUser, messageId: string): Promise<void> {
    const body = { encryptedMessage: Buffer.alloc(60, ++numbers).toString('base64') }
    const message = { recipient: recipient.identityKey, messageBox: 'inbox', messageId, body }
    const answer = await alice.post(node.url, '/sendMessage', { message })
    expect(answer.status, answer.body.toString()).to.equal(200)
  }

  const deliveries = (recipient: TestUser) =>
    inspect<{ host_key: Buffer; domain: string; state: string }>(
      node,
      'select host_key, domain, state from deliveries where recipient = $1 order by id',
      keyOf(recipient)
    )

  it('of one operator push nobody out of the four', async () => {
    const bob = new TestUser('bob among copies')
    const honest = await Promise.all([1, 2, 3].map(i => startFake(`honest ${i} among copies`)))
    const greedy = await startFake('greedy')
    for (const { operator, domain } of [greedy, ...honest]) {
      clock.ahead += 10
      await submitScript(node, tokenScript(operator, domain, bob))
    }
    // Copies of his token, and fresh ones with other texts: bob himself may be careless with his signature.
    for (let i = 0; i < 40; i++) {
      clock.ahead += 10
      const boxExpression = i % 2 === 0 ? undefined : `inbox|${i}`
      const text = formatRoutingText({
        hostKey: greedy.operator.identityKey,
        domain: greedy.domain,
        boxExpression
      })
      const recipientSignature = signRoutingText(bob.keys, text)
      const terms = { domain: greedy.domain, recipient: bob.identityKey, recipientSignature, boxExpression }
      await submitScript(node, createTokenScript(greedy.operator.keys, terms))
    }
    await send(bob, 'among copies')
    await until(
      () => deliveries(bob),
      found => found.length === 4 && found.every(({ state }) => state === 'delivered')
    )
    expect([greedy, ...honest].map(({ asked }) => asked)).to.deep.equal([1, 1, 1, 1])
  })

  it('ten thousand for one recipient, cost a message eight hosts at most', async function () {
    this.timeout(60_000)
    const bob = new TestUser('bob of ten thousand')
    const refusing = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        startFake(`refusing ${i}`, 403, { status: 'error', code: 'ERR_NO' })
      )
    )
    await inspect(
      node,
      `insert into phip_tokens (txid, output_index, operator_key, domain, recipient, authorization_text_digest, admitted_at)
       select sha256(('many ' || n)::bytea), 0, '\\x02' || sha256(('key ' || n)::bytea), 'localhost:9', $1, sha256('x'), n
       from generate_series(1, 10000) n`,
      keyOf(bob)
    )
    for (const { operator, domain } of refusing) {
      clock.ahead += 10
      await submitScript(node, tokenScript(operator, domain, bob))
    }
    const began = performance.now()
    await send(bob, 'one of ten thousand')
    expect(performance.now() - began).to.be.below(2_000)
    const found = await until(
      () => deliveries(bob),
      rows => rows.length > 0 && rows.every(({ state }) => state !== 'pending')
    )
    expect(found).to.have.length(8)
    const asked = refusing.map(fake => fake.asked)
    expect(asked).to.deep.equal([0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1])
    const question = { service: 'ls_phip', query: { recipient: bob.identityKey } }
    const answer = await exchange(node.url, {
      method: 'POST',
      target: '/lookup',
      headers: [['content-type', 'application/json']],
      body: Buffer.from(JSON.stringify(question))
    })
    expect((JSON.parse(answer.body.toString()) as { outputs: unknown[] }).outputs.length).to.be.at.most(100)
  })

  it('at one domain that fails share its breaker: it is left alone, whoever is named there', async () => {
    const port = await freePort()
    const dead = await startRoundRobin([`http://localhost:${port}`])
    const domain = new URL(dead.url).host
    const users = Array.from({ length: 20 }, (_, i) => new TestUser(`recipient ${i} at a dead domain`))
    for (const [i, user] of users.entries()) {
      await submitScript(node, tokenScript(new TestUser(`operator ${i} at a dead domain`), domain, user))
    }
    // Other overlay hosts ask operators about their tokens meanwhile; here there are none.
    const contacts = () => dead.passed.filter(({ target }) => target === '/.well-known/auth').length
    const stopped = clock.ahead
    const real = clock.now
    const frozen = clock.now()
    clock.now = () => frozen
    try {
      for (const [i, user] of users.entries()) await send(user, `to a dead domain ${i}`)
      await until(
        () => inspect(node, 'select from destinations where domain = $1', domain),
        rows => rows.length === 1
      )
      for (const [i, user] of users.entries()) await send(user, `to a dead domain again ${i}`)
      await until(
        () =>
          inspect<{ n: number }>(
            node,
            'select count(*)::int as n from deliveries where domain = $1 and claimed_until > $2',
            domain,
            frozen
          ),
        ([row]) => row!.n === 0
      )
      expect(contacts()).to.be.within(1, 8)
      const rows = await inspect<{ failures: number }>(
        node,
        'select failures from destinations where domain = $1',
        domain
      )
      // Those that were under way together; time stands still, so they look like one after the other.
      expect(rows).to.have.length(1)
      expect(rows[0]!.failures).to.be.within(1, 8)
    } finally {
      clock.now = real
      clock.ahead = stopped
      await dead.stop()
    }
  })
})
