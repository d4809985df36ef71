import { expect } from 'chai'
import { formatRoutingText, signRoutingText } from '../../federation/phip/routing-authorization.js'
import { signWithdrawalText } from '../../federation/phip/withdrawal.js'
import { inspect, liveOperators, submitScript, tokenScript, untilHosts } from '../support/advertised.js'
import { type Answer, exchange, TestUser } from '../support/client.js'
import {
  authorizeRouting,
  listMessages,
  startMesh,
  startTestNode,
  type TestNode,
  until
} from '../support/nodes.js'
import { propagated } from '../support/propagated.js'

const HOUR = 60 * 60_000

/** The text of an authorization for a node. */
const textFor = (
  { identityKey: hostKey, domain }: Pick<TestNode, 'identityKey' | 'domain'>,
  boxExpression?: string
) => formatRoutingText({ hostKey, domain, boxExpression })

const authorize = (user: TestUser, url: string, message: string): Promise<Answer> =>
  user.post(url, '/authorizeRouting', {
    message,
    signature: signRoutingText(user.keys, message).toString('base64')
  })

const withdraw = (user: TestUser, url: string, message: string): Promise<Answer> =>
  user.post(url, '/revokeRouting', {
    message,
    signature: signWithdrawalText(user.keys, message).toString('base64')
  })

describe('taking a routing authorization back', () => {
  let one: TestNode
  let two: TestNode
  /** The operator behind node two. */
  const operator = new TestUser('node routing two')
  const sender = new TestUser('sender of routing')
  let users = 0

  before(async function () {
    this.timeout(60_000)
    ;[one, two] = (await startMesh(['routing one', 'routing two'], {
      options: { federation: { random: () => 0 } }
    })) as [TestNode, TestNode]
  })
  after(async () => {
    await Promise.all([one?.remove(), two?.remove()])
  })

  /** A recipient at home at node two, of whom node one knows that. */
  async function recipientAtTwo(): Promise<TestUser> {
    const user = new TestUser(`recipient ${users++} of routing`)
    await authorizeRouting(user, two)
    await untilHosts(one, user, 1)
    return user
  }

  const send = async (recipient: TestUser, through: TestNode): Promise<unknown> => {
    const message = {
      recipient: recipient.identityKey,
      messageBox: 'after',
      body: JSON.stringify({ encryptedMessage: Buffer.alloc(60, users).toString('base64') })
    }
    const { json } = await sender.post(through.url, '/sendMessage', { message })
    return (json.results as { delivery: string }[])[0]!.delivery
  }

  /** What a host says to somebody who still believes that the recipient is at home there. */
  async function handedTo(node: TestNode, recipient: TestUser): Promise<Record<string, unknown>> {
    const message = { recipient: recipient.identityKey, messageBox: 'late', body: 'late' }
    const host = new TestUser('a host that has missed it')
    return (await host.post(node.url, '/propagateMessage', propagated(host, sender, message))).json
  }

  const tokens = (node: TestNode, recipient: TestUser) =>
    inspect<{ spent: boolean; withdrawn: boolean }>(
      node,
      'select spent_at is not null as spent, withdrawn from phip_tokens where recipient = $1',
      Buffer.from(recipient.identityKey, 'hex')
    )

  it('at the host itself spends its tokens, which every index learns, and it takes nothing more', async () => {
    const user = await recipientAtTwo()
    expect(await handedTo(two, user)).to.include({ status: 'success' })
    const answer = await user.post(two.url, '/revokeRouting', {})
    expect(answer.json).to.include({ status: 'success', revoked: true, txid: null })
    await untilHosts(one, user, 0)
    expect(await tokens(one, user)).to.deep.equal([{ spent: true, withdrawn: false }])
    expect(await handedTo(two, user)).to.include({ code: 'ERR_NOT_HOME' })
    expect(await send(user, one)).to.equal('parked')
    const again = await user.post(two.url, '/revokeRouting', {})
    expect(again.json).to.include({ status: 'success', revoked: false })
  })

  it('given to another node voids the tokens of that text everywhere', async () => {
    const user = await recipientAtTwo()
    const answer = await withdraw(user, one.url, textFor(two))
    expect(answer.status, answer.body.toString()).to.equal(200)
    expect(answer.json).to.include({ status: 'success', revoked: false })
    expect(answer.json.txid).to.match(/^[0-9a-f]{64}$/)
    expect(await liveOperators(one, user)).to.deep.equal([])
    await untilHosts(two, user, 0)
    expect(await send(user, one)).to.equal('parked')
    const repeat = await withdraw(user, one.url, textFor(two))
    expect(repeat.json).to.include({ status: 'success', txid: null })
  })

  it('given to another node is obeyed by the host: it takes nothing more and spends its token', async () => {
    const user = await recipientAtTwo()
    await withdraw(user, one.url, textFor(two))
    await untilHosts(two, user, 0)
    await until(
      () => handedTo(two, user),
      ({ code }) => code === 'ERR_NOT_HOME',
      5_000
    )
    await until(
      () => tokens(one, user),
      found => found.every(({ spent }) => spent),
      5_000
    )
  })

  it('with its own text at the host is obeyed at once and published', async () => {
    const user = await recipientAtTwo()
    const answer = await withdraw(user, two.url, textFor(two))
    expect(answer.json).to.include({ status: 'success', revoked: true })
    expect(answer.json.txid).to.match(/^[0-9a-f]{64}$/)
    expect(await handedTo(two, user)).to.include({ code: 'ERR_NOT_HOME' })
    await until(
      () => tokens(one, user),
      ([token]) => token!.spent && token!.withdrawn
    )
  })

  it('is for good: the same text is refused, another one brings him back', async () => {
    const user = await recipientAtTwo()
    await withdraw(user, two.url, textFor(two))
    await untilHosts(one, user, 0)
    const refused = await authorize(user, two.url, textFor(two))
    expect(refused.status).to.equal(409)
    expect(refused.json).to.include({ code: 'ERR_AUTHORIZATION_WITHDRAWN' })
    expect(await handedTo(two, user)).to.include({ code: 'ERR_NOT_HOME' })
    // Not at once: authorizations have a rate.
    await until(
      () => authorize(user, two.url, textFor(two, '.*')),
      ({ status }) => status === 200
    )
    await untilHosts(one, user, 1)
    expect(await handedTo(two, user)).to.include({ status: 'success' })
  })

  it('speaks of its text only: an older one withdrawn leaves the one in force', async () => {
    const user = await recipientAtTwo()
    await until(
      () => authorize(user, two.url, textFor(two, '.*')),
      ({ status }) => status === 200
    )
    const answer = await withdraw(user, two.url, textFor(two))
    expect(answer.json).to.include({ revoked: false })
    expect(answer.json.txid).to.match(/^[0-9a-f]{64}$/)
    expect(await liveOperators(two, user)).to.deep.equal([two.identityKey])
    expect(await handedTo(two, user)).to.include({ status: 'success' })
    await until(
      () => tokens(one, user),
      found => found.some(({ withdrawn }) => withdrawn)
    )
    expect(await liveOperators(one, user)).to.deep.equal([two.identityKey])
  })

  it('publishes nothing where nobody has advertised that text', async () => {
    const user = new TestUser('never at home')
    const answer = await withdraw(user, one.url, textFor(two))
    expect(answer.json).to.deep.equal({ status: 'success', revoked: false, txid: null })
    const rows = await inspect(
      one,
      'select from phip_withdrawals where recipient = $1',
      Buffer.from(user.identityKey, 'hex')
    )
    expect(rows).to.have.length(0)
  })

  it('outlasts copies of a spent token, which anybody can make; a withdrawal voids those too', async () => {
    const user = await recipientAtTwo()
    const script = tokenScript(operator, two.domain, user)
    await user.post(two.url, '/revokeRouting', {})
    await untilHosts(one, user, 0)
    // The text has no date: a copy is live in every index, but the host it names knows better.
    await submitScript(one, script)
    expect(await liveOperators(one, user)).to.deep.equal([two.identityKey])
    expect(await handedTo(two, user)).to.include({ code: 'ERR_NOT_HOME' })
    expect(await send(user, one)).to.equal('forwarding')
    await until(
      () => listMessages(user, one, 'after'),
      messages => messages.length === 1
    )
    const answer = await withdraw(user, one.url, textFor(two))
    expect(answer.json.txid).to.match(/^[0-9a-f]{64}$/)
    expect(await liveOperators(one, user)).to.deep.equal([])
    await submitScript(one, script)
    await submitScript(two, script)
    for (const node of [one, two]) expect(await liveOperators(node, user)).to.deep.equal([])
  })
})

describe('the hourly limit of authorizations on a network where they cost something', () => {
  let node: TestNode
  const clock = { ahead: 0, now: () => Date.now() + clock.ahead }
  const domain = 'host.example.org'

  before(async function () {
    this.timeout(60_000)
    node = await startTestNode('hourly', {
      environment: { NETWORK: 'private', PUBLIC_DOMAIN: domain },
      options: { clock }
    })
  })
  after(() => node?.remove())

  const text = (boxExpression?: string) => textFor({ identityKey: node.identityKey, domain }, boxExpression)

  function expectTooOften(answer: Answer, seconds: number): void {
    expect(answer.status).to.equal(429)
    expect(answer.json).to.include({ status: 'error', code: 'ERR_AUTHORIZATION_RATE' })
    expect(answer.json.retryAfter).to.be.within(seconds - 60, seconds)
    expect(answer.headers['retry-after']).to.equal(String(answer.json.retryAfter))
  }

  it('lets a recipient change his authorization once an hour; the same one again costs nothing', async () => {
    const user = new TestUser('hourly')
    const first = await authorize(user, node.url, text())
    expect(first.status, first.body.toString()).to.equal(200)
    expectTooOften(await authorize(user, node.url, text('^a$')), 3_600)
    const same = await authorize(user, node.url, text())
    expect(same.json).to.deep.equal(first.json)
    clock.ahead += HOUR - 60_000
    expectTooOften(await authorize(user, node.url, text('^a$')), 60)
    clock.ahead += 60_000
    const second = await authorize(user, node.url, text('^a$'))
    expect(second.status, second.body.toString()).to.equal(200)
    expect(second.json.txid).not.to.equal(first.json.txid)
    expectTooOften(await authorize(user, node.url, text()), 3_600)
  })

  it('refuses for good: a copy of what was refused does nothing later, though its session goes on', async () => {
    const user = new TestUser('hourly and copied')
    expect((await authorize(user, node.url, text())).status).to.equal(200)
    clock.ahead += HOUR / 2
    await user.handshake(node.url)
    const refused = await authorize(user, node.url, text('^copied$'))
    expectTooOften(refused, 1_800)
    clock.ahead += HOUR / 2
    const copy = await exchange(node.url, refused.request)
    expect(copy.status, copy.body.toString()).to.equal(401)
    const anew = await authorize(user, node.url, text('^copied$'))
    expect(anew.status, anew.body.toString()).to.equal(200)
  })

  it('is no limit for another recipient, nor for going away', async () => {
    const user = new TestUser('another hourly')
    expect((await authorize(user, node.url, text())).status).to.equal(200)
    const answer = await withdraw(user, node.url, text())
    expect(answer.json).to.include({ revoked: true })
    expect(answer.json.txid).to.match(/^[0-9a-f]{64}$/)
  })

  it('is not gone round by leaving and coming back', async () => {
    const user = new TestUser('restless')
    expect((await authorize(user, node.url, text())).status).to.equal(200)
    expect((await user.post(node.url, '/revokeRouting', {})).json).to.include({ revoked: true })
    expectTooOften(await authorize(user, node.url, text('^a$')), 3_600)
    clock.ahead += HOUR
    expect((await authorize(user, node.url, text('^a$'))).status).to.equal(200)
  })
})
