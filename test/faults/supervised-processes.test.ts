import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { expect } from 'chai'
import { isObject } from '../../src/message.js'
import { eventOf, Folder, Program } from '../cli/program.js'
import { TestUser } from '../support/client.js'
import { createTestDatabase } from '../support/database.js'
import { freePort, until } from '../support/nodes.js'

interface Introduced {
  readonly pid: number
  readonly url: string
  readonly adminUrl: string
}

describe('start --processes', function () {
  this.timeout(120_000)
  const folder = new Folder()
  const sender = new TestUser('sender to processes')
  const recipient = new TestUser('recipient of processes')
  let program: Program
  let node: ChildProcess & { readonly stdout: Readable; readonly stderr: Readable }
  let ended: Promise<unknown[]>
  let url: string
  let processes: Introduced[]
  let postgres: number
  let log = ''

  before(async () => {
    const [port, first] = [await freePort(), await freePorts(3)]
    program = new Program(folder, { PORT: String(port), ADMIN_PORT: '0', DRAIN_SECONDS: '0.5' })
    node = program
      .with({ DATA_DIR: folder.file('data'), PROCESS_PORTS: String(first) })
      .spawn('start', '--json', '--processes', '3')
    ended = once(node, 'exit')
    node.stderr.on('data', (piece: Buffer) => {
      log += piece.toString()
    })
    const started = await eventOf(node.stdout, ({ event }) => event === 'started')
    if (started === undefined) throw new Error(`it does not start: ${log}`)
    url = String(started.url)
    expect(url).to.equal(`http://127.0.0.1:${port}`)
    expect(started.database).to.equal('embedded')
    processes = introduced(started.processes)
    expect(processes.map(each => each.url)).to.deep.equal(
      [0, 1, 2].map(number => `http://127.0.0.1:${first + number}`)
    )
    const pidFile = join(folder.path, 'data', 'postgres', 'cluster', 'postmaster.pid')
    postgres = Number.parseInt(readFileSync(pidFile, 'utf8'), 10)
  })

  after(() => {
    if (node.exitCode === null) node.kill('SIGKILL')
    folder.remove()
  })

  async function send(messageId: string): Promise<number> {
    const message = { recipient: recipient.identityKey, messageBox: 'inbox', messageId, body: 'b' }
    return (await sender.post(url, '/sendMessage', { message })).status
  }

  async function listed(): Promise<string[]> {
    const answer = await recipient.post(url, '/listMessages', { messageBox: 'inbox' })
    expect(answer.status).to.equal(200)
    const messages: unknown = answer.json.messages
    return (Array.isArray(messages) ? messages : []).map(({ messageId }) => String(messageId))
  }

  /** Requests that this process has answered with 200. */
  async function answeredBy({ adminUrl }: Introduced, path: string): Promise<number> {
    const metrics = await (await fetch(`${adminUrl}/metrics`)).text()
    const pattern = new RegExp(`peerserv_http_request_seconds_count\\{path="${path}",status="200"\\} (\\d+)`)
    return Number(pattern.exec(metrics)?.[1] ?? 0)
  }

  it('shares one port and one database: each process takes its part, and any of them knows every session', async () => {
    const ids = Array.from({ length: 12 }, (_, number) => `shared ${number}`)
    // At once, so that each has a connection of its own, which goes to the next process.
    expect(new Set(await Promise.all(ids.map(send)))).to.deep.equal(new Set([200]))
    expect(await listed()).to.include.members(ids)
    for (const each of processes) expect(await answeredBy(each, '/sendMessage')).to.be.at.least(1)
    expect(new Set(processes.map(({ pid }) => pid)).size).to.equal(3)
  })

  it('reaches each process at its own port', async () => {
    for (const each of processes) {
      const before = await answeredBy(each, '/listMessages')
      for (let time = 0; time < 3; time++) {
        const answer = await recipient.post(each.url, '/listMessages', { messageBox: 'inbox' })
        expect(answer.status).to.equal(200)
      }
      expect(await answeredBy(each, '/listMessages')).to.equal(before + 3)
    }
  })

  it('tells by the sid of a socket which process has it', async () => {
    for (const [number, each] of processes.entries()) {
      const polling = `${each.url}/socket.io/?EIO=4&transport=polling`
      const opened = await (await fetch(polling)).text()
      const sid = /"sid":"([^"]+)"/.exec(opened)?.[1]
      expect(sid).to.match(new RegExp(`^${number}[.]`))
      const known = await fetch(`${polling}&sid=${sid}`, { method: 'POST', body: '40' })
      expect([known.status, await known.text()]).to.deep.equal([200, 'ok'])
    }
  })

  it('loses nothing it has answered for when a process is killed, and starts that one again', async () => {
    const victim = processes[1]!
    const accepted: string[] = []
    let failures = 0
    let isLoaded = true
    const load = Array.from({ length: 4 }, async (_, lane) => {
      for (let number = 0; isLoaded; number++) {
        const id = `under load ${lane} ${number}`
        const status = await send(id).catch(() => undefined)
        if (status === 200) accepted.push(id)
        else failures++
      }
    })
    try {
      await until(
        async () => accepted.length,
        count => count > 20
      )
      process.kill(victim.pid, 'SIGKILL')
      await until(
        () =>
          fetch(`${victim.url}/readyz`).then(
            ({ status }) => status,
            () => undefined
          ),
        status => status === 200
      )
      const atReturn = accepted.length
      await until(
        async () => accepted.length,
        count => count > atReturn + 20
      )
    } finally {
      isLoaded = false
    }
    await Promise.all(load)
    expect(failures, 'no more than what was with it').to.be.at.most(4)
    expect(await listed()).to.include.members(accepted)
    expect(log).to.match(/"level":50.*"process":1.*"ending":"SIGKILL".*is started again/)
    expect((await fetch(`${processes[0]!.url}/readyz`)).status).to.equal(200)
  })

  it("keeps the database's address out of what Postgres is given", function () {
    if (process.platform !== 'linux') this.skip()
    expect(readFileSync(`/proc/${postgres}/environ`, 'utf8')).not.to.contain('postgresql:')
    for (const { pid } of [processes[0]!, processes[2]!]) {
      expect(readFileSync(`/proc/${pid}/environ`, 'utf8')).not.to.contain('postgresql:')
      expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).not.to.contain('postgresql:')
    }
  })

  it('stops all of it after SIGTERM: drained, Postgres last, no process left', async () => {
    const pids = [...processes.map(({ pid }) => pid).filter(isAlive), postgres]
    expect(pids).to.have.length(3)
    node.kill('SIGTERM')
    await until(
      async () => (await fetch(`${processes[0]!.adminUrl}/readyz`)).status,
      status => status === 503
    )
    expect(await listed()).to.have.length.above(0)
    expect(await ended).to.deep.equal([0, null])
    expect(pids.filter(isAlive)).to.deep.equal([])
    expect(log).not.to.contain('does not stop')
    expect(await fetch(url).catch(() => 'refused')).to.equal('refused')
  })

  it('ends with one sentence where the port is taken, also the own one of a later process', async () => {
    const databases = await createTestDatabase()
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const taken = typeof address === 'object' ? Number(address?.port) : Number.NaN
    const configured = program.with({
      DATA_DIR: folder.file('other'),
      DATABASE_URL: databases.connectionString,
      LOG_LEVEL: 'fatal'
    })
    for (const [name, port] of [
      ['PORT', taken],
      ['PROCESS_PORTS', taken - 1]
    ] as const) {
      const { code, stdout, stderr } = await configured
        .with({ [name]: String(port) })
        .run('start', '--processes', '2')
      expect({ code, stdout }).to.deep.equal({ code: 1, stdout: '' })
      expect(stderr).to.match(new RegExp(`^Port ${taken} on 127\\.0\\.0\\.1 is taken .* ${name}\\.\\n$`))
    }
    server.close()
    await databases.drop()
  })

  it('prints one box', async () => {
    const databases = await createTestDatabase()
    const child = program
      .with({ DATA_DIR: folder.file('boxed'), DATABASE_URL: databases.connectionString, LOG_LEVEL: 'fatal' })
      .spawn('start', '--processes', '2')
    const complaints = text(child.stderr)
    let shown = ''
    for await (const piece of child.stdout) {
      shown += piece
      if (shown.includes('┘\n') && !child.killed) child.kill('SIGTERM')
    }
    expect(shown.match(/┌/g)).to.have.length(1)
    expect(shown).to.match(/Processes {5}2 /)
    expect(shown).to.match(/made just now/)
    expect(shown).to.match(/┘\nStopping \(SIGTERM\) …\nStopped\.\n$/)
    expect(await complaints).to.equal('')
    await databases.drop()
  })

  it('refuses what is no number of processes', async () => {
    for (const wrong of ['0', 'many', '1.5', '257']) {
      const { code, stderr } = await program.call('start', '--processes', wrong)
      expect(code).to.equal(2)
      expect(stderr).to.contain(`--processes is '${wrong}'; it may be a whole number from 1 to 256`)
    }
    const { code, stderr } = await program.with({ PROCESSES: 'many' }).call('start')
    expect(code).to.equal(1)
    expect(stderr).to.contain('PROCESSES is "many"')
  })
})

function introduced(value: unknown): Introduced[] {
  if (!Array.isArray(value)) throw new Error('no processes are named')
  return value.filter(isObject).map(({ pid, url, adminUrl }) => ({
    pid: Number(pid),
    url: String(url),
    adminUrl: String(adminUrl)
  }))
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** The first of some ports in a row that were free a moment ago. */
async function freePorts(count: number): Promise<number> {
  for (;;) {
    const first = 30_100 + Math.floor(Math.random() * 2_000)
    const ports = Array.from({ length: count }, (_, number) => first + number)
    const servers = ports.map(port => createServer().listen(port, '127.0.0.1'))
    const opened = await Promise.allSettled(servers.map(server => once(server, 'listening')))
    for (const server of servers) server.close()
    if (opened.every(({ status }) => status === 'fulfilled')) return first
  }
}
