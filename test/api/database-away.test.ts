import { expect } from 'chai'
import pg from 'pg'
import { type Answer, exchange, type RawAnswer, TestUser } from '../support/client.js'
import { startCrashingPostgres } from '../support/crashing-postgres.js'
import {
  authorizeRouting,
  listMessages,
  startMesh,
  startTestNode,
  type TestNode,
  until
} from '../support/nodes.js'

/** An answer that comes later than this, ms, makes clients wait instead of trying elsewhere. */
const SOON = 10_000
/** The same for more requests than there are connections: they wait for their turn. */
const CROWD_SOON = 5_000

/** An exception that nobody catches, of whatever connection, fails a test here as it would end the node. */
describe('a node whose Postgres is away', () => {
  let postgres: Awaited<ReturnType<typeof startCrashingPostgres>>
  let node: TestNode
  /** On a Postgres that stays. */
  let neighbour: TestNode
  const alice = new TestUser('alice of an outage')
  const bob = new TestUser('bob of an outage')

  before(async function () {
    this.timeout(60_000)
    postgres = await startCrashingPostgres()
    const options = { federation: { random: () => 0 } }
    ;[neighbour] = (await startMesh(['neighbour of an outage'], { options })) as [TestNode]
    node = await startTestNode('outage', {
      options,
      peers: [neighbour.url],
      environment: { DATABASE_URL: postgres.connectionString }
    })
    await authorizeRouting(bob, node)
    // The neighbour has no peers of its own: it learns of bob by the submission.
    await until(
      () =>
        neighbour.databases.database.query({ name: '', text: 'select from live_hosts($1)' }, [
          Buffer.from(bob.identityKey, 'hex')
        ]),
      rows => rows.length === 1
    )
  })
  after(async () => {
    await Promise.all([node?.remove(), neighbour?.remove()])
    await postgres?.stop()
  })

  const send = (from: TestUser, through: TestNode, messageBox: string, messageId: string): Promise<Answer> =>
    from.post(through.url, '/sendMessage', {
      message: {
        recipient: bob.identityKey,
        messageBox,
        messageId,
        body: JSON.stringify({ encryptedMessage: Buffer.alloc(60, messageId).toString('base64') })
      }
    })

  const get = (target: string): Promise<RawAnswer> =>
    exchange(node.url, { method: 'GET', target, headers: [], body: Buffer.alloc(0) })

  async function soon<T>(ask: () => Promise<T>, limit = SOON): Promise<T> {
    const start = performance.now()
    const answer = await ask()
    expect(performance.now() - start).to.be.below(limit)
    return answer
  }

  function expectAway({ status, headers, json, signature }: Answer): void {
    expect(status).to.equal(503)
    expect(json).to.include({ status: 'error', code: 'ERR_DATABASE_UNAVAILABLE', retryAfter: 1 })
    expect(headers['retry-after']).to.equal('1')
    expect(signature).to.equal('valid')
  }

  const isReady = () =>
    until(
      () => get('/readyz'),
      ({ status }) => status === 200
    )

  const ids = async (messageBox: string): Promise<(string | number)[]> =>
    (await listMessages(bob, node, messageBox)).map(({ messageId }) => messageId)

  it('crashing: answers every request soon, loses nothing, and goes on by itself', async function () {
    this.timeout(60_000)
    await send(alice, node, 'crash', 'before')
    const accepted: string[] = []
    const statuses = new Set<number>()
    /** One after the other, each again until it is taken. */
    const sendAll = async (sender: number) => {
      const user = new TestUser(`sender ${sender} of an outage`)
      for (let i = 0; i < 30; i++) {
        const id = `${sender} ${i}`
        for (let status = 0; status !== 200; ) {
          const answer = await soon(() => send(user, node, 'crash', id))
          ;({ status } = answer)
          statuses.add(status)
          if (status !== 200) expectAway(answer)
        }
        accepted.push(id)
        if (accepted.length === 60) process.kill(postgres.pid!, 'SIGKILL')
      }
    }
    await Promise.all([0, 1, 2, 3, 4, 5].map(sendAll))
    expect([...statuses].sort()).to.deep.equal([200, 503])
    expect((await ids('crash')).sort()).to.deep.equal(['before', ...accepted].sort())
    await isReady()
  })

  it('silent: says so within a second or two, whoever asks, and serves again when it is back', async function () {
    this.timeout(60_000)
    await isReady()
    await send(alice, node, 'silent', 'before silence')
    const resume = await silence()
    try {
      expectAway(await soon(() => send(alice, node, 'silent', 'meanwhile')))
      // More than there are connections.
      const crowd = Array.from({ length: 60 }, (_, i) =>
        soon(() => send(alice, node, 'silent', `crowd ${i}`), CROWD_SOON)
      )
      for (const answer of await Promise.all(crowd)) expectAway(answer)
      const calls: [path: string, body: object][] = [
        ['/listMessages', { messageBox: 'silent' }],
        ['/acknowledgeMessage', { messageIds: ['before silence'] }],
        ['/deliveryStatus', { messageIds: ['before silence'] }],
        ['/revokeRouting', {}],
        ['/lookup', { service: 'ls_phip', query: { recipient: bob.identityKey } }]
      ]
      const told = calls.map(([path, body]) => soon(() => bob.post(node.url, path, body)))
      for (const answer of await Promise.all(told)) expectAway(answer)
      const ready = await soon(() => get('/readyz'))
      expect(ready.status).to.equal(503)
      const { code, checks } = JSON.parse(ready.body.toString()) as Record<string, unknown>
      expect(code).to.equal('ERR_NOT_READY')
      expect(checks).to.include({ database: 'away' })
      // These need no database.
      expect((await soon(() => get('/healthz'))).status).to.equal(200)
      expect((await soon(() => get('/.well-known/peerserv'))).status).to.equal(200)
      await soon(() => alice.handshake(node.url))

      // What another node hands on meanwhile waits there.
      expect((await send(alice, neighbour, 'silent', 'handed on')).status).to.equal(200)
      const state = async () =>
        (await alice.post(neighbour.url, '/deliveryStatus', { messageIds: ['handed on'] })).json
          .deliveries as { state: string; attempts: number }[]
      await until(state, ([delivery]) => delivery!.attempts > 0)
      expect((await state())[0]).to.include({ state: 'pending' })
    } finally {
      resume()
    }
    await isReady()
    expect((await send(alice, node, 'silent', 'meanwhile')).status).to.equal(200)
    await until(
      () => ids('silent'),
      found => found.length >= 3
    )
    expect(await ids('silent')).to.have.members(['before silence', 'meanwhile', 'handed on'])
  })

  it('away and back again many times never ends the node', async function () {
    this.timeout(60_000)
    for (let i = 0; i < 3; i++) {
      const pid = postgres.pid
      process.kill(pid!, 'SIGKILL')
      await until(
        async () => postgres.pid,
        now => now !== pid
      )
      await isReady()
      await until(
        () => send(alice, node, 'again', `again ${i}`),
        ({ status }) => status === 200
      )
    }
    expect(await ids('again')).to.deep.equal(['again 0', 'again 1', 'again 2'])
    // Its worker, too.
    expect((await send(alice, neighbour, 'again', 'handed on again')).status).to.equal(200)
    await until(
      () => ids('again'),
      found => found.length === 4
    )
  })

  /** Postgres takes no connection any more and has ended those there were; it neither answers nor refuses. */
  async function silence(): Promise<() => void> {
    const client = new pg.Client({ connectionString: postgres.connectionString })
    await client.connect()
    const { rows } = await client.query<{ pid: number }>(
      `select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()`
    )
    await client.end()
    const pid = postgres.pid!
    process.kill(pid, 'SIGSTOP')
    for (const backend of rows) process.kill(backend.pid, 'SIGTERM')
    return () => process.kill(pid, 'SIGCONT')
  }
})
