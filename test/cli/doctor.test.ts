import { once } from 'node:events'
import { chmodSync, existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect } from 'chai'
import { TestUser } from '../support/client.js'
import { createTestDatabase, type TestDatabase } from '../support/database.js'
import { freePort, startTestNode, type TestNode } from '../support/nodes.js'
import { Folder, Program } from './program.js'

type States = Record<string, string>

describe('doctor', function () {
  this.timeout(60_000)
  const folder = new Folder()
  let program: Program
  let databases: TestDatabase
  let node: TestNode

  before(async () => {
    databases = await createTestDatabase()
    const port = await freePort()
    program = new Program(folder, { PORT: String(port), ADMIN_PORT: '0', DATA_DIR: folder.file('data') })
    node = await startTestNode('examined')
  })

  after(async () => {
    await node.remove()
    await databases.drop()
    folder.remove()
  })

  /** Runs it, and says what each check found. */
  async function examine(program: Program): Promise<{ code: number | null; states: States; texts: States }> {
    const { code, events } = await program.json('doctor')
    const findings = events.filter(({ check }) => check !== undefined)
    return {
      code,
      states: Object.fromEntries(findings.map(({ check, state }) => [check, state])),
      texts: Object.fromEntries(findings.map(({ check, text, advice }) => [check, `${text} ${advice ?? ''}`]))
    }
  }

  /** As the node in this process was configured. */
  function ofNode(extra: Record<string, string> = {}): Program {
    return program.with({
      PORT: new URL(node.url).port,
      SERVER_PRIVATE_KEY: new TestUser('node examined').privateKey.toString('hex'),
      DATABASE_URL: node.databases.connectionString,
      ...extra
    })
  }

  it('finds nothing wrong where nothing runs yet, and changes nothing', async () => {
    const { code, stdout } = await program.run('doctor')
    expect(code).to.equal(0)
    expect(stdout).to.match(/^OK {4}config {6}network local, role all\n/)
    expect(stdout).to.match(/^- {5}node {8}nothing runs at http:\/\/127\.0\.0\.1:\d+\n +→ npm start\n/m)
    expect(existsSync(folder.file('data'))).to.equal(false)
    const { states } = await examine(program)
    expect(states).to.deep.equal({
      config: 'ok',
      key: 'skipped',
      node: 'skipped',
      database: 'ok',
      queue: 'ok',
      clock: 'skipped',
      domain: 'skipped',
      'round trip': 'skipped'
    })
  })

  it('finds a node that runs in order, to its authenticated answer', async () => {
    const { code, states, texts } = await examine(ofNode())
    expect(texts['round trip']).to.contain('authenticated both ways')
    expect(texts.key).to.contain(node.identityKey)
    const checks = ['config', 'key', 'node', 'database', 'queue', 'clock', 'domain', 'round trip']
    expect(states).to.deep.equal(Object.fromEntries(checks.map(check => [check, 'ok'])))
    expect(code).to.equal(0)
  })

  it('says what to do about each problem of the configuration, and no secret', async () => {
    const { code, events } = await program
      .with({ NETWORK: 'moon', PORT: '-1', DATABASE_URL: 'mysql://u:pass-of-mine@h/x' })
      .json('doctor')
    expect(code).to.equal(1)
    expect(events.map(({ state, code }) => state ?? code)).to.deep.equal([
      ...['failed', 'failed', 'failed'],
      'ERR_UNHEALTHY'
    ])
    expect(JSON.stringify(events)).not.to.contain('pass-of-mine')
  })

  it('finds database and queue away', async () => {
    const away = await freePort()
    const { code, states, texts } = await examine(
      program.with({
        DATABASE_URL: `postgresql://u:pass-of-mine@127.0.0.1:${away}/x`,
        REDIS_URL: `redis://:pass-of-mine@127.0.0.1:${away}`
      })
    )
    expect(code).to.equal(1)
    expect(states).to.include({ database: 'failed', queue: 'failed' })
    expect(texts.database).to.match(/ECONNREFUSED.*DATABASE_URL/)
    expect(texts.queue).to.match(/ECONNREFUSED.*REDIS_URL/)
    expect(JSON.stringify(texts)).not.to.contain('pass-of-mine')
  })

  it('tells the database that answers, though the node does not run', async () => {
    const { states, texts } = await examine(program.with({ DATABASE_URL: databases.connectionString }))
    expect(states).to.include({ database: 'ok', clock: 'ok' })
    expect(texts.database).to.match(/^Postgres \d+/)
  })

  it('recognizes that another node answers, here or at the domain', async () => {
    const here = await examine(ofNode({ SERVER_PRIVATE_KEY: '11'.repeat(32) }))
    expect(here.states).to.include({ node: 'failed', domain: 'failed', 'round trip': 'skipped' })
    expect(here.texts.node).to.contain(node.identityKey)
    const there = await examine(program.with({ PUBLIC_DOMAIN: new URL(node.url).host }))
    expect(there.states).to.include({ node: 'skipped', domain: 'failed' })
    expect(there.code).to.equal(1)
  })

  it('is not confused by another program on the port', async () => {
    const stranger = createServer((_request, response) => response.end('<html>')).listen(0, '127.0.0.1')
    await once(stranger, 'listening')
    const { port } = stranger.address() as AddressInfo
    const { code, states, texts } = await examine(program.with({ PORT: String(port) }))
    stranger.close()
    expect(code).to.equal(1)
    expect(states).to.include({ node: 'failed', domain: 'failed', 'round trip': 'skipped' })
    expect(texts.node).to.contain('another program answers')
  })

  it('finds a clock that is wrong by those of the peers', async () => {
    const hour = 3_600_000
    const peer = createServer((_request, response) => {
      response.setHeader('date', new Date(Date.now() + hour).toUTCString())
      response.end('{}')
    }).listen(0, '127.0.0.1')
    await once(peer, 'listening')
    const { port } = peer.address() as AddressInfo
    const { states, texts } = await examine(program.with({ PEERS: `http://127.0.0.1:${port}` }))
    peer.close()
    expect(states.clock).to.equal('failed')
    expect(texts.clock).to.match(/^3(599|600|601)\.\d s behind 1 other clock\(s\) .*NTP/)
  })

  it('warns of a key that others may read', async () => {
    await program.call('keygen', '--key', folder.file('data', 'identity.key'))
    chmodSync(folder.file('data', 'identity.key'), 0o644)
    const { states, texts } = await examine(program)
    expect(states.key).to.equal('failed')
    expect(texts.key).to.contain('chmod 600')
  })

  it('says on test and main that there is no wallet', async () => {
    const { states, texts } = await examine(program.with({ NETWORK: 'main', PUBLIC_DOMAIN: 'relay.invalid' }))
    expect(states.wallet).to.equal('skipped')
    expect(texts.wallet).to.contain('nothing can be advertised')
  })
})
