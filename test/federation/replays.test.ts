import { expect } from 'chai'
import { senderAuthorizationText } from '../../federation/origin/sender-authorization.js'
import { formatRoutingText, signRoutingText } from '../../federation/phip/routing-authorization.js'
import { signPortably } from '../../src/keys/portable-signature.js'
import { type Answer, exchange, type RawAnswer, type RawRequest, TestUser } from '../support/client.js'
import {
  authorizeRouting,
  listMessages,
  startMesh,
  startTestNode,
  type TestNode,
  until
} from '../support/nodes.js'
import { propagated } from '../support/propagated.js'

const STALE = 'Session not found for nonce'
const AT_ONCE = 10

/** What clients and peers have sent to a node, captured and sent again. */
describe('replays of requests', () => {
  let [node, other]: TestNode[] = []
  let replica: TestNode
  const alice = new TestUser('alice of replays')
  const bob = new TestUser('bob of replays')
  const carol = new TestUser('carol of replays')
  const peer = new TestUser('peer of replays')
  /** Every request that was answered with success, by what it was for. */
  const captured = new Map<string, RawRequest>()

  before(async function () {
    this.timeout(60_000)
    ;[node, other] = await startMesh(['replays', 'other than replays'])
    // The same key and the same database, on another port.
    replica = await startTestNode('replays', {
      peers: [other!.url],
      environment: {
        DATABASE_URL: node!.databases.connectionString,
        PUBLIC_DOMAIN: node!.domain,
        NETWORK: 'local'
      }
    })
    await authorizeRouting(carol, other!)
    await until(
      () => query('select from live_hosts($1)', [bytesOf(carol)]),
      hosts => hosts.length === 1
    )
  })
  after(() => Promise.all([replica, node, other].map(one => one?.remove())))

  const bytesOf = (user: TestUser): Buffer => Buffer.from(user.identityKey, 'hex')
  const query = <Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> =>
    node!.databases.database.query<Row>({ name: '', text }, values)

  /** What a replay could change, content and all. */
  async function state(): Promise<unknown> {
    const tables = [
      'messages',
      'recipients',
      'message_boxes',
      'message_names',
      'envelopes',
      'client_message_ids',
      'sent_ciphertexts',
      'routing_authorizations',
      'sender_authorizations',
      'deliveries',
      'phip_tokens',
      'phip_withdrawals',
      'seen_requests'
    ]
    const parts = tables.map(
      table =>
        `select '${table}' as name, count(*)::int as n, md5(string_agg(t::text, ' ' order by t::text)) as content from ${table} t`
    )
    return query(parts.join(' union all '))
  }

  /** The state once the workers have nothing left to do. */
  async function settled(): Promise<unknown> {
    let last: unknown
    await until(
      async () => {
        const [before, now] = [last, await state()]
        const waiting = await query(
          `select from deliveries where state = 'pending' union all select from catch_ups`
        )
        last = now
        return waiting.length === 0 && JSON.stringify(before) === JSON.stringify(now)
      },
      isSame => isSame
    )
    return last
  }

  async function capture(what: string, call: Promise<Answer>): Promise<Answer> {
    const answer = await call
    expect(answer, `${what}: ${answer.body}`).to.include({ status: 200, signature: 'valid' })
    captured.set(what, answer.request)
    return answer
  }

  function expectStale({ status, headers, body }: RawAnswer, what: string): void {
    expect(status, `${what}: ${body}`).to.equal(401)
    expect(body.toString(), what).to.contain(STALE)
    expect(headers, what).not.to.have.property('x-bsv-auth-signature')
  }

  /** Sends all that was captured to these nodes, and nothing may come of it. */
  async function replayAll(...nodes: readonly TestNode[]): Promise<void> {
    const before = await settled()
    const handled = await query<{ n: number }>('select count(*)::int as n from seen_requests')
    expect(handled[0]!.n).to.be.at.least(captured.size)
    for (const { url } of nodes) {
      for (const [what, request] of captured) expectStale(await exchange(url, request), `${what} at ${url}`)
    }
    expect(await settled()).to.deep.equal(before)
  }

  const to = (user: TestUser, more: object) => ({
    recipient: user.identityKey,
    messageBox: 'replays',
    ...more
  })
  const routing = (user: TestUser) => {
    const text = formatRoutingText({
      hostKey: node!.identityKey,
      domain: node!.domain,
      boxExpression: undefined
    })
    return { message: text, signature: signRoutingText(user.keys, text).toString('hex') }
  }

  it('does nothing at once, at another process and at another node', async function () {
    this.timeout(30_000)
    const { url } = node!
    const given = Date.now()
    const expires = given + 60_000
    const signature = signPortably(alice.keys, senderAuthorizationText(node!.identityKey, given, expires))
    await capture('authorizeRouting', bob.post(url, '/authorizeRouting', routing(bob)))
    await capture('authorizeSending', alice.post(url, '/authorizeSending', { given, expires, signature }))
    await capture(
      'sendMessage',
      alice.post(url, '/sendMessage', { message: to(bob, { body: 'without an id' }) })
    )
    await capture(
      'sendMessage with an id',
      alice.post(url, '/sendMessage', { message: to(bob, { body: 'with an id', messageId: 'an id' }) })
    )
    await capture(
      'sendMessage to another host',
      alice.post(url, '/sendMessage', { message: to(carol, { body: 'far away', messageId: 'far' }) })
    )
    await capture(
      'propagateMessage',
      peer.post(url, '/propagateMessage', propagated(peer, carol, to(bob, { body: 'from afar' })))
    )
    await capture('listMessages', bob.post(url, '/listMessages', { messageBox: 'replays' }))
    await capture('deliveryStatus', alice.post(url, '/deliveryStatus', { messageIds: ['far'] }))
    expect(await listMessages(bob, node!, 'replays')).to.have.length(3)
    await replayAll(node!, replica, other!)
    expect(await listMessages(bob, node!, 'replays')).to.have.length(3)
  })

  it('does nothing after the messages were acknowledged, and acknowledges none of later ones', async () => {
    const messages = await listMessages(bob, node!, 'replays')
    const messageIds = messages.map(({ messageId }) => messageId)
    const answer = await capture(
      'acknowledgeMessage',
      bob.post(node!.url, '/acknowledgeMessage', { messageIds })
    )
    expect(answer.json.acknowledged).to.equal(3)
    await replayAll(node!, replica)
    expect(await listMessages(bob, node!, 'replays')).to.deep.equal([])
    // Another sender's message under an id that was acknowledged before.
    await carol.post(node!.url, '/sendMessage', { message: to(bob, { body: 'later', messageId: 'an id' }) })
    await replayAll(node!, replica)
    expect((await listMessages(bob, node!, 'replays')).map(({ body }) => body)).to.deep.equal(['later'])
  })

  it('does not undo what the user has changed since', async function () {
    this.timeout(30_000)
    const inForce = () =>
      query('select from routing_authorizations where recipient = $1 and revoked_at is null', [bytesOf(bob)])
    await capture('revokeRouting', bob.post(node!.url, '/revokeRouting', {}))
    await replayAll(node!, replica)
    expect(await inForce()).to.deep.equal([])
    // Signed anew: authorizations have a rate.
    const again = () => bob.post(node!.url, '/authorizeRouting', routing(bob))
    await until(again, ({ status }) => status === 200)
    await replayAll(node!, replica)
    expect(await inForce()).to.have.length(1)
    expect(await query('select from live_hosts($1)', [bytesOf(bob)])).to.have.length(1)
  })

  it('does nothing after a restart, though the session goes on', async function () {
    this.timeout(30_000)
    const session = await alice.session(node!.url)
    await node!.stop()
    await node!.restart()
    await replayAll(node!, replica, other!)
    const fresh = alice.sign(session, {
      method: 'POST',
      target: '/deliveryStatus',
      body: Buffer.from('{"messageIds":["far"]}')
    })
    expect((await alice.send(node!.url, fresh)).status).to.equal(200)
  })

  it('does nothing in a database restored from a dump, which has forgotten the requests', async function () {
    this.timeout(30_000)
    // What another cluster has after reading a dump from before: no memory of these requests, and a foreign birth row.
    await query('delete from seen_requests')
    await query('update seen_requests_birth set system_identifier = system_identifier # 1')
    const counted = async (): Promise<unknown> =>
      ((await settled()) as { name: string }[]).filter(({ name }) => name !== 'seen_requests')
    const before = await counted()
    for (const { url } of [node!, replica, node!]) {
      for (const [what, request] of captured) expectStale(await exchange(url, request), `${what} at ${url}`)
    }
    expect(await counted()).to.deep.equal(before)
    // Its clients shake hands again, unnoticed.
    expect((await alice.post(node!.url, '/deliveryStatus', { messageIds: ['far'] })).status).to.equal(200)
  })

  it('is the second of two that come together, at whichever process', async () => {
    const session = await alice.session(node!.url)
    const calls: Record<string, object> = {
      '/sendMessage': { message: to(bob, { body: 'together', messageBox: 'together' }) },
      '/deliveryStatus': { messageIds: ['far'] },
      '/acknowledgeMessage': { messageIds: ['nothing'] },
      '/listMessages': { messageBox: 'replays' },
      '/revokeRouting': {},
      '/propagateMessage': propagated(peer, carol, to(bob, { body: 'together', messageBox: 'together' }))
    }
    for (const [target, body] of Object.entries(calls)) {
      const headers = { 'content-type': 'application/json' }
      const request = alice.sign(session, {
        method: 'POST',
        target,
        headers,
        body: Buffer.from(JSON.stringify(body))
      })
      const urls = Array.from({ length: AT_ONCE }, (_, index) => [node!, replica][index % 2]!.url)
      const answers = await Promise.all(urls.map(url => exchange(url, request)))
      const statuses = answers.map(({ status }) => status).sort()
      expect(statuses, target).to.deep.equal([200, ...new Array(AT_ONCE - 1).fill(401)])
    }
    expect(await listMessages(bob, node!, 'together')).to.have.length(2)
  })
})
