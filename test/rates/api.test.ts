import { expect } from 'chai'
import { signPortably } from '../../src/keys/portable-signature.js'
import type { RateLimits } from '../../src/rates/rates.js'
import { startToyNode, type ToyNode } from '../auth/toy-node.js'
import { type Answer, type RawRequest, TestUser } from '../support/client.js'
import { ManualClock, type MessageBoxNode, startMessageBoxNode } from '../support/message-box-node.js'
import { startTestNode, type TestNode } from '../support/nodes.js'

const MANY = 1_000_000
const NO_LIMITS = { address: MANY, identity: MANY, peer: MANY, pair: MANY }
const alice = new TestUser('alice who is fast')
const bob = new TestUser('bob next door')

/** The same answer that many times, or the first one that differs. */
async function times(count: number, ask: () => Promise<Answer>, status: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const answer = await ask()
    expect(answer.status, `request ${i + 1}: ${answer.body}`).to.equal(status)
  }
}

function expectRefused(answer: Answer, resource: string, limit: number, signature: string): number {
  expect(answer.status, answer.body.toString()).to.equal(429)
  expect(answer.json).to.include({ status: 'error', code: 'ERR_RATE_LIMITED', resource, limit })
  const { retryAfter } = answer.json as { retryAfter: number }
  expect(retryAfter).to.be.within(1, 60)
  expect(answer.headers['retry-after']).to.equal(String(retryAfter))
  expect(answer.signature).to.equal(signature)
  return retryAfter
}

describe('rates of one app', () => {
  let node: ToyNode
  afterEach(() => node.stop())

  const start = (rates: Partial<RateLimits>) =>
    startToyNode({ config: { trustedProxies: ['127.0.0.1'] }, rates: { ...NO_LIMITS, ...rates } })

  /** A stranger's request, from any address. */
  const request = (target: string, from: string, method = 'POST'): RawRequest => ({
    method,
    target,
    headers: [['x-forwarded-for', from]],
    body: Buffer.alloc(0)
  })
  const stranger = (target: string, from = '192.0.2.1', method = 'POST') =>
    alice.send(node.url, request(target, from, method))

  it('bounds public and refused requests by address, for a minute', async () => {
    node = await start({ address: 20 })
    await times(5, () => stranger('/open'), 200)
    await times(5, () => stranger('/echo'), 401)
    await times(5, () => stranger('/nowhere'), 404)
    await times(5, () => stranger('/open', '192.0.2.1', 'GET'), 405)
    for (const path of ['/open', '/echo', '/nowhere', '/.well-known/auth']) {
      expectRefused(await stranger(path), 'address', 20, 'absent')
    }
    await times(1, () => stranger('/open', '192.0.2.2'), 200)
    const retryAfter = expectRefused(await stranger('/open'), 'address', 20, 'absent')
    node.clock.time += retryAfter * 1000
    await times(20, () => stranger('/open'), 200)
    expectRefused(await stranger('/open'), 'address', 20, 'absent')
  })

  it('takes an IPv6 /64 for one address', async () => {
    node = await start({ address: 10 })
    for (let i = 0; i < 10; i++) await times(1, () => stranger('/open', `2001:db8:1:2:${i}::${i}`), 200)
    expectRefused(await stranger('/open', '2001:db8:1:2:ffff::1'), 'address', 10, 'absent')
    await times(1, () => stranger('/open', '2001:db8:1:3::1'), 200)
  })

  it('bounds the requests of an identity, wherever they come from, in signed answers', async () => {
    node = await start({ identity: 10 })
    const echo = (from: string) => alice.post(node.url, '/echo', {}, { 'x-forwarded-for': from })
    await times(5, () => echo('192.0.2.1'), 200)
    await times(5, () => echo('192.0.2.2'), 200)
    const retryAfter = expectRefused(await echo('192.0.2.3'), 'identity', 10, 'valid')
    await times(1, () => bob.post(node.url, '/echo', {}), 200)
    node.clock.time += retryAfter * 1000
    await times(10, () => echo('192.0.2.1'), 200)
  })

  it('leaves who has proven himself alone, whatever his neighbours behind the same address do', async () => {
    node = await start({ address: 10 })
    await alice.handshake(node.url)
    while ((await stranger('/open', '127.0.0.1')).status !== 429);
    await times(50, () => alice.post(node.url, '/echo', {}), 200)
    const error = await bob.handshake(node.url).catch(String)
    expect(error).to.include('429')
  })

  it('takes whoever forges requests in a good session for a stranger, until one is good', async () => {
    node = await start({ address: 10 })
    const session = await alice.handshake(node.url)
    const forged = () => {
      const sent = alice.sign(session, { method: 'POST', target: '/echo', body: Buffer.from('{}') })
      return alice.send(node.url, { ...sent, body: Buffer.from('[]') })
    }
    await times(2, forged, 401)
    await times(1, () => alice.post(node.url, '/echo', {}), 200)
    let refusals = 0
    for (let answer = await forged(); answer.status !== 429; answer = await forged()) refusals++
    expect(refusals).to.be.within(4, 6)
    // Its last request was bad and its address has nothing left.
    expectRefused(await alice.post(node.url, '/echo', {}), 'address', 10, 'absent')
    node.clock.time += 60_000
    await times(50, () => alice.post(node.url, '/echo', {}), 200)
  })
})

describe('rates of message boxes', () => {
  let node: MessageBoxNode
  before(async () => {
    node = await startMessageBoxNode({ rates: { ...NO_LIMITS, pair: 12 } })
  })
  after(() => node?.stop())

  const send = (recipients: TestUser[], body: string) =>
    alice.post(node.url, '/sendMessage', {
      message: { recipients: recipients.map(user => user.identityKey), messageBox: 'rates', body }
    })

  it('bound what one sender sends to one recipient: all recipients of a request, or none', async () => {
    const carol = new TestUser('carol')
    let sent = 0
    await times(12, () => send([bob], `message ${sent++}`), 200)
    const answer = await send([bob, carol], 'to both')
    const retryAfter = expectRefused(answer, 'pair', 12, 'valid')
    expect(answer.json.recipients).to.deep.equal([{ recipient: bob.identityKey, code: 'ERR_RATE_LIMITED' }])
    // Nothing of it was counted for carol.
    await times(12, () => send([carol], `message ${sent++}`), 200)
    expectRefused(await send([carol], 'one more'), 'pair', 12, 'valid')
    const text = await node.context.metrics.text()
    expect(text).to.match(/^peerserv_rate_limited_total\{resource="pair"\} 2$/m)
    node.clock.forward(retryAfter * 1000)
    await times(12, () => send([bob], `message ${sent++}`), 200)
  })

  it('refuse for good: a copy of what was too much is not taken in the next minute', async () => {
    const emil = new TestUser('emil')
    let sent = 0
    await times(12, () => send([emil], `message ${sent++}`), 200)
    const refused = await send([emil], 'too much')
    const retryAfter = expectRefused(refused, 'pair', 12, 'valid')
    node.clock.forward(retryAfter * 1000)
    await times(2, () => alice.send(node.url, refused.request), 401)
    expect((await send([emil], 'too much')).status).to.equal(200)
  })

  it('refuse for good what comes too early, too', async () => {
    const fred = new TestUser('fred')
    const createdAt = node.clock.now() + 11 * 60_000
    const message = { recipient: fred.identityKey, messageBox: 'rates', body: 'early', createdAt }
    const text = ['peerserv message', 1, fred.identityKey, 'rates', null, 'early', createdAt]
    const signature = signPortably(alice.keys, JSON.stringify(text))
    const early = await alice.post(node.url, '/sendMessage', { message: { ...message, signature } })
    expect(early.json).to.include({ code: 'ERR_MESSAGE_EARLY' })
    node.clock.forward(5 * 60_000)
    await times(2, () => alice.send(node.url, early.request), 401)
    const again = await alice.post(node.url, '/sendMessage', { message: { ...message, signature } })
    expect(again.status, again.body.toString()).to.equal(200)
  })

  it('spend nothing on requests that come again', async () => {
    const dora = new TestUser('dora')
    const first = await send([dora], 'once')
    expect(first.status).to.equal(200)
    await times(20, () => alice.send(node.url, first.request), 401)
    let sent = 0
    await times(11, () => send([dora], `message ${sent++}`), 200)
    expectRefused(await send([dora], 'one more'), 'pair', 12, 'valid')
  })
})

describe('the rate of an identity', () => {
  let node: MessageBoxNode
  before(async () => {
    node = await startMessageBoxNode({ rates: { ...NO_LIMITS, identity: 10 } })
  })
  after(() => node?.stop())

  it('leaves nothing behind: a copy of what was too much works once, as if it had been held back', async () => {
    const remembered = async () =>
      (await node.context.database.query({ name: '', text: 'select from seen_requests' }, [])).length
    const send = (body: string) =>
      alice.post(node.url, '/sendMessage', {
        message: { recipient: bob.identityKey, messageBox: 'copies', body }
      })
    for (let i = 0; i < 10; i++) await times(1, () => send(`message ${i}`), 200)
    const before = await remembered()
    const refused = await send('too much')
    const retryAfter = expectRefused(refused, 'identity', 10, 'valid')
    expect(await remembered()).to.equal(before)
    node.clock.forward(retryAfter * 1000)
    await times(1, () => alice.send(node.url, refused.request), 200)
    await times(3, () => alice.send(node.url, refused.request), 401)
  })
})

describe('rates of a node', () => {
  let node: TestNode
  const clock = new ManualClock()
  const peer = new TestUser('another host')
  before(async function () {
    this.timeout(60_000)
    node = await startTestNode('with rates', {
      environment: {
        LIMIT_RATE_ADDRESS: '30',
        LIMIT_RATE_IDENTITY: '10',
        LIMIT_RATE_PEER: '20',
        LIMIT_RATE_PAIR: '12'
      },
      options: { clock }
    })
  })
  after(() => node?.remove())

  it('are told in the node document', async () => {
    const answer = await fetch(`${node.url}/.well-known/peerserv`)
    const { limits } = (await answer.json()) as { limits: { rates: unknown } }
    expect(limits.rates).to.deep.equal({ address: 30, identity: 10, peer: 20, pair: 12 })
  })

  const propagate = (user: TestUser) => user.post(node.url, '/propagateMessage', {})
  const list = (user: TestUser) => user.post(node.url, '/listMessages', { messageBox: 'box' })

  it('give the operator of a live token more where hosts call', async () => {
    await times(10, () => propagate(bob), 400)
    expectRefused(await propagate(bob), 'identity', 10, 'valid')

    await node.databases.database.query(
      {
        name: 'insert-token',
        text: `insert into phip_tokens (txid, output_index, operator_key, domain, recipient,
          authorization_text_digest, admitted_at) values ($1, 0, $2, 'peer.example', $2, $1, 1)`
      },
      [Buffer.alloc(32, 1), Buffer.from(peer.identityKey, 'hex')]
    )
    // Until the answer is there, a host is an identity; that it has come is seen by what was counted as such.
    let before = 0
    let refused: Answer
    do {
      refused = await propagate(peer)
      before++
    } while (refused.status === 400)
    expect(before).to.be.within(21, 24)
    const retryAfter = expectRefused(refused, 'peer', 20, 'valid')
    // Elsewhere it is an identity like others.
    await times(7, () => list(peer), 200)
    clock.forward(retryAfter * 1000)
    await times(20, () => propagate(peer), 400)
  })

  it('do not bound questions for its health, nor the operator', async () => {
    const status = async (url: string) => (await fetch(url)).status
    let last = 0
    for (let i = 0; i < 40; i++) last = await status(`${node.url}/.well-known/peerserv`)
    expect(last).to.equal(429)
    for (let i = 0; i < 40; i++) expect(await status(`${node.url}/healthz`)).to.equal(200)
    expect(await status(`${node.url}/readyz`)).to.equal(200)
    for (let i = 0; i < 40; i++) expect(await status(`${node.node.adminUrl}/metrics`)).to.equal(200)
    const text = await (await fetch(`${node.node.adminUrl}/metrics`)).text()
    expect(text).to.match(/^peerserv_rate_limited_total\{resource="address"\} 1\d$/m)
  })
})
