import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { PrivateKey } from '@bsv/sdk'
import { expect } from 'chai'
import { createLogger } from '../../src/logger.js'
import { createDatabase } from '../../src/storage/database.js'
import { startEmbeddedPostgres } from '../../src/storage/embedded-postgres.js'
import { submitScript, tokenScript } from '../support/advertised.js'
import { exchange, jsonRequest, type RawAnswer, TestUser } from '../support/client.js'
import {
  authorizeRouting,
  authorizeSending,
  freePort,
  listMessages,
  startTestNode,
  type TestNode,
  until
} from '../support/nodes.js'
import { eventOf, Folder, Program } from './program.js'

/** A real process with a key in its environment, at work and in trouble, with the log at its most talkative. */
describe("a node's key", function () {
  this.timeout(120_000)
  const folder = new Folder()
  const owner = new TestUser('node of secrecy')
  const { privateKey } = owner
  const sdkKey = PrivateKey.fromHex(privateKey.toString('hex'))
  const spellings: Record<string, Buffer> = {
    'raw bytes': privateKey,
    hex: Buffer.from(privateKey.toString('hex')),
    'HEX in capitals': Buffer.from(privateKey.toString('hex').toUpperCase()),
    base64: Buffer.from(privateKey.toString('base64').replace(/=+$/, '')),
    base64url: Buffer.from(privateKey.toString('base64url')),
    WIF: Buffer.from(sdkKey.toWif()),
    decimal: Buffer.from(BigInt(`0x${privateKey.toString('hex')}`).toString()),
    'list of numbers': Buffer.from([...privateKey].join(','))
  }
  /** What everybody was answered, headers and all. */
  const answers: string[] = []
  let other: TestNode
  let log = ''
  let metrics = ''
  /** Environments of the processes that the node started, by what they run. */
  const environments: [command: string, environment: Buffer][] = []
  let own: Buffer
  let dump = ''

  before(async function () {
    if (process.platform !== 'linux') this.skip()
    const port = await freePort()
    const program = new Program(folder, {
      PORT: String(port),
      ADMIN_PORT: '0',
      DATA_DIR: folder.file('data'),
      SERVER_PRIVATE_KEY: privateKey.toString('hex'),
      LOG_LEVEL: 'trace',
      DRAIN_SECONDS: '0'
    })
    other = await startTestNode('beside secrecy', { peers: [`http://localhost:${port}`] })
    const child = program.with({ PEERS: other.url }).spawn('start', '--json')
    const logged = text(child.stderr)
    const started = await eventOf(child.stdout, ({ event }) => event === 'started')
    if (started === undefined) throw new Error(`it does not start: ${await logged}`)
    const node = {
      url: String(started.url),
      domain: String(started.domain),
      identityKey: String(started.identityKey)
    }
    expect(node.identityKey).to.equal(owner.identityKey)

    await work(node)
    own = readFileSync(`/proc/${child.pid}/environ`)
    for (const pid of descendants(child.pid!)) {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      // The compiler under which tests run the program is no child of the node's.
      if (command.includes('esbuild')) continue
      environments.push([command, readFileSync(`/proc/${pid}/environ`)])
    }
    metrics = await (await fetch(`${started.adminUrl}/metrics`)).text()
    await trouble(node, child.pid!)
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    await ended
    log = await logged
    dump = await dumpOf(folder.file('data'))
  })
  after(async () => {
    await other?.remove()
    folder.remove()
  })

  function noted<Answer extends RawAnswer>(answer: Answer): Answer {
    answers.push(`${answer.status} ${JSON.stringify(answer.headers)} ${answer.body.toString('latin1')}`)
    return answer
  }

  /** What a node does all day, refusals included. */
  async function work(node: { url: string; domain: string; identityKey: string }): Promise<void> {
    const [alice, bob, carol] = ['alice', 'bob', 'carol'].map(name => new TestUser(`${name} of secrecy`)) as [
      TestUser,
      TestUser,
      TestUser
    ]
    const post = async (user: TestUser, path: string, body: unknown) =>
      noted(await user.post(node.url, path, body))
    const message = (to: TestUser, more: object = {}) => ({
      message: { recipient: to.identityKey, messageBox: 'inbox', body: 'words', ...more }
    })
    await authorizeRouting(bob, other)
    await authorizeRouting(carol, node)
    await authorizeSending(alice, node)
    await until(
      async () => (await post(alice, '/sendMessage', message(bob, { messageId: 'far' }))).json.results,
      results => (results as { delivery: string }[] | undefined)?.[0]?.delivery === 'forwarding'
    )
    await until(
      () => listMessages(bob, other, 'inbox'),
      messages => messages.length > 0
    )
    await post(alice, '/sendMessage', message(carol, { messageId: 'near' }))
    await post(alice, '/sendMessage', message(carol, { messageId: 'near', body: 'other words' }))
    await post(alice, '/sendMessage', message(carol, { recipient: 'nobody' }))
    await post(alice, '/sendMessage', message(carol, { messageBox: 'delivery_reports' }))
    await post(alice, '/sendMessage', '{"message": ')
    await post(carol, '/listMessages', { messageBox: 'inbox' })
    await post(carol, '/acknowledgeMessage', { messageIds: ['near'] })
    await post(alice, '/deliveryStatus', { messageIds: ['far'] })
    await post(alice, '/propagateMessage', { originalSender: alice.identityKey })
    await post(carol, '/authorizeRouting', { message: 'nothing', signature: '00' })
    await post(carol, '/revokeRouting', {})
    // Forged, replayed, unknown.
    const session = await alice.session(node.url)
    const request = alice.sign(session, { method: 'POST', target: '/listMessages', body: Buffer.from('{}') })
    noted(await exchange(node.url, request))
    noted(await exchange(node.url, request))
    noted(await exchange(node.url, { ...request, body: Buffer.from('{ }') }))
    noted(await exchange(node.url, jsonRequest('/sendMessage', message(carol))))
    noted(await exchange(node.url, jsonRequest('/.well-known/auth', { version: '0.1' })))
    noted(await exchange(node.url, jsonRequest('/lookup', { service: 'ls_phip', query: { recipient: 1 } })))
    noted(await exchange(node.url, jsonRequest('/submit', 'no BEEF')))
    for (const target of ['/.well-known/peerserv', '/healthz', '/readyz', '/listTopicManagers', '/nowhere']) {
      noted(await exchange(node.url, { method: 'GET', target, headers: [], body: Buffer.alloc(0) }))
    }
    // Hosts that are others than they claim, or are not there.
    const deadDomain = `localhost:${await freePort()}`
    for (const [name, domain] of [
      ['impostor', other.domain],
      ['absent', deadDomain]
    ] as const) {
      const recipient = new TestUser(`recipient of the ${name}`)
      await submitScript({ ...other, ...node }, tokenScript(new TestUser(name), domain, recipient))
      await post(alice, '/sendMessage', message(recipient, { messageId: name }))
      await until(
        async () =>
          (await post(alice, '/deliveryStatus', { messageIds: [name] })).json.deliveries as {
            lastAnswer: string | null
          }[],
        ([delivery]) => delivery?.lastAnswer !== null
      )
    }
  }

  /** The database is killed under it. */
  async function trouble(node: { url: string }, pid: number): Promise<void> {
    const postgres = descendants(pid).find(each =>
      readFileSync(`/proc/${each}/cmdline`, 'utf8').includes('-D')
    )
    process.kill(postgres!, 'SIGKILL')
    const user = new TestUser('user in trouble')
    await until(
      async () => noted(await user.post(node.url, '/listMessages', { messageBox: 'inbox' })).status,
      status => status === 200
    )
  }

  /** Fails with the spellings in which the key is there. */
  function expectNoKey(where: string, bytes: Buffer | string): void {
    const haystack = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes
    const found = Object.entries(spellings).filter(([, spelling]) => haystack.includes(spelling))
    expect(
      found.map(([name]) => name),
      where
    ).to.deep.equal([])
  }

  it('would be found where it is: in the environment that it was given in', () => {
    expect(() => expectNoKey('its own environment', own)).to.throw(/hex/)
    const bytea = `\\x${Buffer.concat([Buffer.from('before'), privateKey]).toString('hex')}`
    expect(() => expectNoKey('a column', bytea)).to.throw(/hex/)
  })

  it('is in no line of the log, whatever goes wrong', () => {
    expect(log).to.match(/a token was passed over/)
    expect(log).to.match(/could not be reached/)
    expect(log.split('\n').length).to.be.above(20)
    expectNoKey('log', log)
  })

  it('is in no answer, and not in the metrics', () => {
    const statuses = new Set(answers.map(answer => answer.slice(0, 3)))
    for (const status of ['200', '400', '401', '403', '404', '409']) expect(statuses).to.include(status)
    expectNoKey('answers', answers.join('\n'))
    expect(metrics).to.contain('peerserv_tokens_passed_over_total')
    expectNoKey('metrics', metrics)
  })

  it('is in the environment and the command line of no process that the node starts', () => {
    expect(environments.some(([command]) => command.includes('postgres'))).to.equal(true)
    for (const [command, environment] of environments) {
      expectNoKey(`environment of ${command}`, environment)
      expectNoKey(`command ${command}`, command)
      expect(environment.toString(), command).not.to.contain('SERVER_PRIVATE_KEY')
    }
  })

  it('is in no column of the database, and in none of its files', () => {
    for (const table of ['messages', 'envelopes', 'phip_tokens', 'deliveries', 'node']) {
      expect(dump, table).to.contain(`public.${table} `)
    }
    expect(dump).to.contain(owner.identityKey)
    expectNoKey('database', dump)
    for (const file of filesBelow(folder.file('data'))) expectNoKey(file, readFileSync(file))
  })
})

/** All processes below one, as Linux tells. */
function descendants(pid: number): number[] {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc').filter(entry => /^\d+$/.test(entry))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]))
    } catch {
      // Gone meanwhile.
    }
  }
  const isBelow = (each: number): boolean => {
    const parent = parents.get(each)
    return parent !== undefined && (parent === pid || isBelow(parent))
  }
  return [...parents.keys()].filter(isBelow)
}

/** Every row of every table as text, the queue's too; bytes as hex. */
async function dumpOf(dataDirectory: string): Promise<string> {
  const logger = createLogger('silent')
  const postgres = await startEmbeddedPostgres({ dataDirectory, logger, durable: false })
  const database = createDatabase({
    connectionString: postgres.connectionString,
    logger,
    maxConnections: 2,
    applicationName: 'dump'
  })
  try {
    const tables = await database.query<{ name: string }>({
      name: '',
      text: `select format('%I.%I', table_schema, table_name) as name from information_schema.tables
        where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')`
    })
    const parts: string[] = []
    for (const { name } of tables) {
      const rows = await database.query<{ row: string }>({
        name: '',
        text: `select t::text as row from ${name} t`
      })
      parts.push(`${name} ${rows.map(({ row }) => row).join('\n')}`)
    }
    return parts.join('\n')
  } finally {
    await database.close()
    await postgres.stop()
  }
}

function filesBelow(path: string): string[] {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))
}
