import { randomUUID } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { type Answer, TestUser } from '../support/client.js'
import { createTestDatabase, type TestDatabase } from '../support/database.js'
import { FaultProcess } from '../support/fault-process.js'
import { freePort, listMessages, until } from '../support/nodes.js'
import { watchReadiness } from '../support/ready-upstreams.js'
import { type RoundRobin, startRoundRobin } from '../support/round-robin.js'

const REPLICAS = 3
const SENDERS = 4

describe('three replicas restarted one after the other under load', function () {
  // Many processes start and stop; on a busy machine that takes long.
  this.timeout(120_000)
  let database: TestDatabase
  let replicas: FaultProcess[] = []
  let proxy: RoundRobin
  let watch: { stop(): Promise<void> } | undefined
  const node = new TestUser('node of replicas')
  const bob = new TestUser('bob of replicas')

  before(async () => {
    database = await createTestDatabase()
    const ports = await Promise.all(Array.from({ length: REPLICAS }, freePort))
    const servers = ports.map(port => `http://localhost:${port}`)
    proxy = await startRoundRobin([])
    replicas = ports.map(
      (port, i) =>
        new FaultProcess({
          name: `replica ${i}`,
          environment: {
            PORT: String(port),
            ADMIN_PORT: '0',
            PUBLIC_DOMAIN: new URL(proxy.url).host,
            DATA_DIR: join(tmpdir(), `peerserv-node-${randomUUID()}`),
            DATABASE_URL: database.connectionString,
            SERVER_PRIVATE_KEY: node.privateKey.toString('hex'),
            LOG_LEVEL: 'fatal',
            // Longer than it takes the proxy to notice.
            DRAIN_SECONDS: '1'
          }
        })
    )
    await Promise.all(replicas.map(replica => replica.start()))
    watch = watchReadiness(proxy, servers)
    await until(
      async () => proxy.upstreams.length,
      count => count === REPLICAS
    )
  })
  after(async () => {
    await watch?.stop()
    await Promise.all(replicas.map(replica => replica.kill()))
    await proxy?.stop()
    await database?.drop()
  })

  it('fail no call', async () => {
    const failures: string[] = []
    const sent: string[] = []
    let isOver = false
    const send = async (_: unknown, n: number) => {
      const user = new TestUser(`sender ${n} of replicas`)
      for (let i = 0; !isOver; i++) {
        const messageId = `${n} ${i}`
        const message = { recipient: bob.identityKey, messageBox: 'rolling', messageId, body: messageId }
        const answer: Answer | string = await user.post(proxy.url, '/sendMessage', { message }).catch(String)
        if (typeof answer === 'string') failures.push(answer)
        else if (answer.status === 200) sent.push(messageId)
        else failures.push(`${answer.status} ${answer.body}`)
      }
    }
    const load = Promise.all(Array.from({ length: SENDERS }, send))
    for (const replica of replicas) {
      await replica.terminate()
      await replica.start()
      await until(
        async () => proxy.upstreams.length,
        count => count === REPLICAS
      )
    }
    isOver = true
    await load
    expect(failures).to.deep.equal([])
    const address = { url: proxy.url, domain: '', identityKey: node.identityKey }
    // More than one page of them may have come.
    const listed = new Set<unknown>()
    for (let page = await listMessages(bob, address, 'rolling'); page.length > 0; ) {
      for (const { messageId } of page) listed.add(messageId)
      await bob.post(proxy.url, '/acknowledgeMessage', { messageIds: page.map(({ messageId }) => messageId) })
      page = await listMessages(bob, address, 'rolling')
    }
    expect(listed).to.deep.equal(new Set(sent))
  })
})
