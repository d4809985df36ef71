import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { text } from 'node:stream/consumers'
import { expect } from 'chai'
import { TestUser } from '../support/client.js'
import { createTestDatabase, type TestDatabase } from '../support/database.js'
import { freePort, until } from '../support/nodes.js'
import { eventOf, Folder, type Outcome, Program } from './program.js'

describe('start', function () {
  this.timeout(60_000)
  const folder = new Folder()
  let databases: TestDatabase
  let program: Program
  let port: number

  before(async () => {
    databases = await createTestDatabase()
    port = await freePort()
    program = new Program(folder, {
      PORT: String(port),
      ADMIN_PORT: '0',
      DATA_DIR: folder.file('data'),
      DATABASE_URL: databases.connectionString,
      LOG_LEVEL: 'warn'
    })
  })

  after(async () => {
    await databases.drop()
    folder.remove()
  })

  /** Resolves once the node takes requests. */
  async function start(
    extra: Record<string, string>
  ): Promise<ChildProcess & { url: string; ended: Promise<unknown[]> }> {
    const child = program.with(extra).spawn('start', '--json')
    const ended = once(child, 'exit')
    const complaints = text(child.stderr)
    const started = await eventOf(child.stdout, ({ event }) => event === 'started')
    if (started === undefined) throw new Error(`it does not start: ${await complaints}`)
    return Object.assign(child, { url: String(started.url), ended })
  }

  it('goes on serving for DRAIN_SECONDS after SIGTERM while /readyz says 503, and then ends with 0', async () => {
    const node = await start({ DRAIN_SECONDS: '1' })
    const user = new TestUser('served to the end')
    const readiness = async () => (await fetch(`${node.url}/readyz`)).status
    expect(await readiness()).to.equal(200)

    const signalled = performance.now()
    node.kill('SIGTERM')
    await until(readiness, status => status === 503)
    const answer = await user.post(node.url, '/listMessages', { messageBox: 'inbox' })
    expect([answer.status, answer.signature]).to.deep.equal([200, 'valid'])
    expect(answer.headers.connection).to.equal('close')
    expect(await node.ended).to.deep.equal([0, null])
    expect(performance.now() - signalled).to.be.within(1_000, 10_000)
  })

  it('stops in order when whoever started it is gone, and nobody reads it any more', async () => {
    const node = await start({ DRAIN_SECONDS: '0' })
    node.stdout?.destroy()
    node.disconnect()
    expect(await node.ended).to.deep.equal([0, null])
  })

  it('prints one box with what a newcomer needs', async () => {
    const child = program.with({ DRAIN_SECONDS: '0' }).spawn('start')
    const ended = once(child, 'exit')
    let shown = ''
    for await (const piece of child.stdout) {
      shown += piece
      if (shown.includes('┘\n') && !child.killed) child.kill('SIGTERM')
    }
    expect(await ended).to.deep.equal([0, null])
    for (const part of [
      /^┌─+┐\n/,
      /Identity key {2}0[23][0-9a-f]{64} /,
      new RegExp(`URL {11}http://127.0.0.1:${port} `),
      /Data folder {3}\/.*\/data /,
      /Database {6}DATABASE_URL /,
      /Queue {9}on Postgres /,
      /Curve {9}secp256k1, (native|webassembly) /,
      new RegExp(`peerserv send --as alice --to bob --body hello --node ${port} `),
      /Go public {5}NETWORK=private /,
      /└─+┘\nStopping \(SIGTERM\) …\nStopped\.\n$/
    ]) {
      expect(shown).to.match(part)
    }
    expect(shown).not.to.contain(new URL(databases.connectionString).password || 'no password')
  })

  it('says in the box that nothing can be advertised without a wallet', async () => {
    const child = program
      .with({ DRAIN_SECONDS: '0', NETWORK: 'test', PUBLIC_DOMAIN: 'relay.example.org' })
      .spawn('start')
    let shown = ''
    for await (const piece of child.stdout) {
      shown += piece
      if (shown.includes('┘\n') && !child.killed) child.kill('SIGTERM')
    }
    expect(shown).to.contain('ERR_NO_FUNDING')
  })

  /** One sentence, or one line for each problem, on standard error; nothing else anywhere. */
  function expectComplaint({ code, stdout, stderr }: Outcome, complaint: RegExp): void {
    expect(stderr).to.match(complaint)
    expect({ code, stdout }).to.deep.equal({ code: 1, stdout: '' })
    expect(stderr).not.to.contain('    at ')
  }

  it('refuses a port that is taken, in one sentence', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const taken = String(typeof address === 'object' && address?.port)
    const outcome = await program.with({ PORT: taken }).run('start')
    server.close()
    expectComplaint(outcome, new RegExp(`^Port ${taken} on 127\\.0\\.0\\.1 is taken .*\\.\\n$`))
  })

  it('refuses a database that is away, in one sentence', async () => {
    const away = `postgresql://u:pass-of-mine@127.0.0.1:${await freePort()}/x`
    const outcome = await program.with({ DATABASE_URL: away }).run('start')
    expectComplaint(outcome, /^The database cannot be reached \(.*ECONNREFUSED.*\); .*\n$/)
    expect(outcome.stderr).not.to.contain('pass-of-mine')
  })

  it('refuses another key than the database knows, and a key that is none', async () => {
    const another = randomBytes(32).toString('hex')
    const foreign = await program.with({ SERVER_PRIVATE_KEY: another }).run('start')
    expectComplaint(foreign, /^The database belongs to the node 0[23][0-9a-f]{64}, but .*\n$/)

    writeFileSync(folder.file('zero.key'), '00'.repeat(32), { mode: 0o600 })
    const zero = await program.with({ SERVER_PRIVATE_KEY_FILE: folder.file('zero.key') }).run('start')
    expectComplaint(zero, /zero\.key is no private key/)
  })

  it('lists every problem of the configuration at once', async () => {
    const outcome = await program
      .with({ PORT: 'http', NETWORK: 'moon', SERVER_PRIVATE_KEY: 'secret' })
      .run('start')
    expectComplaint(outcome, /PORT is "http".*\n.*NETWORK is "moon".*\n.*SERVER_PRIVATE_KEY is set/)
    expect(outcome.stderr).not.to.contain('secret')
  })
})
