import { expect } from 'chai'
import { Folder, Program } from '../cli/program.js'
import { exchange, TestUser } from '../support/client.js'
import { createTestDatabase, type TestDatabase } from '../support/database.js'
import { freePort, until } from '../support/nodes.js'
import { createProcessNode, type ProcessNode } from '../support/process-node.js'

/** Two processes of one node, on one database, and the operator's commands. */
describe('lists of the operator, in every process', function () {
  this.timeout(60_000)
  const folder = new Folder()
  const operator = new TestUser('node lists')
  const processes: ProcessNode[] = []
  let databases: TestDatabase
  let adminPorts: number[]
  let program: Program

  before(async () => {
    databases = await createTestDatabase()
    const [one, two, ...admin] = await Promise.all([freePort(), freePort(), freePort(), freePort()])
    adminPorts = admin
    for (const [i, port] of [one, two].entries()) {
      const environment = {
        ADMIN_PORT: String(admin[i]),
        PUBLIC_DOMAIN: 'localhost:1',
        ROLE: ['all', 'api'][i]!
      }
      processes.push(createProcessNode({ name: 'lists', port: port!, databases, environment }))
    }
    await Promise.all(processes.map(process => process.start()))
    program = new Program(folder, {
      ADMIN_PORT: String(admin[0]),
      SERVER_PRIVATE_KEY: operator.privateKey.toString('hex')
    })
  })
  after(async () => {
    await Promise.all(processes.map(process => process.remove()))
    folder.remove()
  })

  const adminUrl = (i: number) => `http://127.0.0.1:${adminPorts[i]}`
  const list = (user: TestUser, process: ProcessNode) =>
    user.post(process.url, '/listMessages', { messageBox: 'inbox' })
  const statuses = async (user: TestUser) =>
    (await Promise.all(processes.map(process => list(user, process)))).map(({ status }) => status)

  it('refuse a blocked user as soon as the command has returned, and serve him as soon as he is unblocked', async () => {
    const mallory = new TestUser('mallory of lists')
    const bystander = new TestUser('bystander of lists')
    expect(await statuses(mallory)).to.deep.equal([200, 200])
    for (let round = 0; round < 3; round++) {
      const { code, events } = await program.json(
        'block',
        'identity',
        mallory.identityKey,
        '--reason',
        'spam'
      )
      expect(code).to.equal(0)
      expect(events).to.deep.equal([
        {
          status: 'success',
          list: 'block',
          kind: 'identity',
          value: mallory.identityKey,
          listed: true,
          processes: { running: 2, applied: 2 }
        }
      ])
      // No waiting here: the command has waited.
      expect(await statuses(mallory)).to.deep.equal([403, 403])
      expect(await statuses(bystander)).to.deep.equal([200, 200])
      expect((await program.call('unblock', 'identity', mallory.identityKey)).code).to.equal(0)
      expect(await statuses(mallory)).to.deep.equal([200, 200])
    }
  })

  it('tell him in a signed answer, which says nothing of the reason', async () => {
    const mallory = new TestUser('mallory who is told')
    await program.call('block', 'identity', mallory.identityKey, '--reason', 'reported by carol')
    for (const process of processes) {
      const answer = await list(mallory, process)
      expect([answer.status, answer.signature]).to.deep.equal([403, 'valid'])
      expect(answer.json).to.deep.include({ status: 'error', code: 'ERR_BLOCKED', blocked: 'identity' })
      expect(answer.json.description).to.be.a('string').and.not.contain('carol')
    }
    const metrics = await (await fetch(`${adminUrl(1)}/metrics`)).text()
    expect(metrics).to.match(/^peerserv_blocked_total\{kind="identity"\} [1-9]/m)
  })

  it('keep mail from a blocked recipient, and name him to the sender', async () => {
    const [alice, mallory, bob] = ['alice', 'mallory', 'bob'].map(name => new TestUser(`${name} who writes`))
    await program.call('block', 'identity', mallory!.identityKey)
    for (const process of processes) {
      const recipients = [bob!.identityKey, mallory!.identityKey]
      const answer = await alice!.post(process.url, '/sendMessage', {
        message: { recipients, messageBox: 'inbox', body: 'to both' }
      })
      expect([answer.status, answer.signature]).to.deep.equal([403, 'valid'])
      expect(answer.json).to.deep.include({
        code: 'ERR_BLOCKED',
        recipients: [{ recipient: mallory!.identityKey, code: 'ERR_BLOCKED' }],
        blockedRecipients: [mallory!.identityKey]
      })
      expect((await list(bob!, process)).json.messages).to.deep.equal([])
    }
  })

  it('let no copy of a refused message in once its recipient is unblocked', async () => {
    const [alice, mallory] = [new TestUser('alice who is told no'), new TestUser('mallory who comes back')]
    await program.call('block', 'identity', mallory.identityKey)
    const message = { recipient: mallory.identityKey, messageBox: 'inbox', body: 'too late' }
    const refused = await alice.post(processes[0]!.url, '/sendMessage', { message })
    expect(refused.json.code).to.equal('ERR_BLOCKED')
    await program.call('unblock', 'identity', mallory.identityKey)
    expect((await exchange(processes[1]!.url, refused.request)).status).to.equal(401)
    expect((await list(mallory, processes[0]!)).json.messages).to.deep.equal([])
  })

  it('make a private node of it where somebody is allowed; a block wins', async () => {
    const [member, stranger] = [new TestUser('member of lists'), new TestUser('stranger of lists')]
    await program.call('allow', 'identity', member.identityKey)
    expect(await statuses(member)).to.deep.equal([200, 200])
    expect(await statuses(stranger)).to.deep.equal([403, 403])
    await program.call('block', 'identity', member.identityKey)
    expect(await statuses(member)).to.deep.equal([403, 403])
    await program.call('unblock', 'identity', member.identityKey)
    await program.call('unallow', 'identity', member.identityKey)
    expect(await statuses(stranger)).to.deep.equal([200, 200])
  })

  it('hold after the processes were killed', async () => {
    const mallory = new TestUser('mallory who waits')
    await program.call('block', 'identity', mallory.identityKey)
    await Promise.all(processes.map(process => process.crash()))
    expect(await statuses(mallory)).to.deep.equal([403, 403])
  })

  it('reach a process whose connection was lost', async () => {
    const mallory = new TestUser('mallory of the lost connection')
    const cut = await databases.database.query<{ pid: number }>({
      name: '',
      text: `select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name like 'peerserv lists%'`
    })
    expect(cut).to.have.length(2)
    await program.call('block', 'identity', mallory.identityKey)
    await until(
      () => statuses(mallory),
      found => found.every(status => status === 403),
      5_000
    )
  })

  it('are shown, by kind', async () => {
    const host = new TestUser('a host on a list')
    await program.call('block', 'host', host.identityKey, '--reason', 'ticket 12')
    await program.call('block', 'domain', 'Evil.Example', 'other.example')
    const { events } = await program.json('block', 'list', 'domain')
    expect(events.map(({ kind, value }) => `${kind} ${value}`)).to.deep.equal([
      'domain evil.example',
      'domain other.example'
    ])
    const { stdout } = await program.call('block', 'list')
    expect(stdout).to.match(
      new RegExp(`^block  host      ${host.identityKey}  since .*  \\(ticket 12\\)$`, 'm')
    )
    expect((await program.call('allow', 'list')).stdout).to.equal("Nothing is on the list 'allow'.\n")
  })

  it('are never so long that a process could not hold them', async () => {
    const fill = (count: number) =>
      databases.database.query({
        name: '',
        text: `insert into operator_list_entries (list, kind, value, added_at)
          select 'block', 'domain', 'filler' || n || '.example', 0 from generate_series(1, ${count}) n`
      })
    const filled = `delete from operator_list_entries where value like 'filler%'`
    await fill(99_999)
    const { code, events } = await program.json(
      'block',
      'domain',
      'one.example',
      'too.example',
      'many.example'
    )
    await databases.database.query({ name: '', text: filled })
    expect(code).to.equal(1)
    expect(events[0]).to.include({ code: 'ERR_TOO_MANY_ENTRIES' })
    expect((await program.call('block', 'domain', 'one.example')).code).to.equal(0)
  })

  it('cannot name the node itself, or what is no key and no domain', async () => {
    for (const [kind, value] of [
      ['identity', operator.identityKey],
      ['host', operator.identityKey],
      ['domain', 'localhost:1'],
      ['domain', 'https://evil.example'],
      ['domain', 'evil.example/path']
    ] as const) {
      const { code, events } = await program.json('block', kind, value)
      expect([code, events[0]?.code], value).to.deep.equal([1, 'ERR_INVALID_OPERATOR_REQUEST'])
    }
  })

  describe('and the admin port', () => {
    const change = (user: TestUser) =>
      user.post(adminUrl(0), '/operator/changeList', {
        list: 'block',
        kind: 'domain',
        values: ['victim.example']
      })
    const blocked = async () =>
      (await program.json('block', 'list', 'domain')).events.map(({ value }) => value)

    it('is closed to whoever has not the key of the node, be he a user of it', async () => {
      const answer = await change(new TestUser('another user of this machine'))
      expect([answer.status, answer.json.code, answer.signature]).to.deep.equal([
        403,
        'ERR_NOT_OPERATOR',
        'valid'
      ])
      // As a page in a browser asks, to whose name the loopback address was given.
      const body = JSON.stringify({ list: 'block', kind: 'domain', values: ['victim.example'] })
      for (const path of ['changeList', 'readList', 'deliveries', 'hosts', 'dropDeliveries', 'holdHost']) {
        const response = await fetch(`${adminUrl(0)}/operator/${path}`, { method: 'POST', body })
        expect(response.status, path).to.equal(401)
        await response.text()
      }
      expect(await blocked()).not.to.include('victim.example')
    })

    it('takes a signed request once', async () => {
      const answer = await change(operator)
      expect(answer.status).to.equal(200)
      await program.call('unblock', 'domain', 'victim.example')
      const { method, headers, target, body } = answer.request
      const again = await fetch(adminUrl(0) + target, { method, headers, body: new Uint8Array(body) })
      expect(again.status).to.equal(401)
      expect(await blocked()).not.to.include('victim.example')
    })

    it('alone has these calls: the API knows none of them', async () => {
      const answer = await operator.post(processes[0]!.url, '/operator/readList', { list: 'block' })
      expect(answer.status).to.equal(404)
    })

    const elsewhere: readonly (readonly [string, Record<string, string>, string])[] = [
      ['a node that does not run', { ADMIN_PORT: '1' }, 'No node answers at http://127.0.0.1:1 '],
      ['another key', { SERVER_PRIVATE_KEY: '11'.repeat(32) }, 'has another key'],
      ['no key at all', { SERVER_PRIVATE_KEY: '' }, 'There is no key of a node in']
    ]
    for (const [name, environment, sentence] of elsewhere) {
      it(`is not reached with ${name}: one sentence, exit code 1`, async () => {
        const { code, stdout, stderr } = await program
          .with({ DATA_DIR: folder.file('no data'), ...environment })
          .run('hosts')
        expect([code, stdout]).to.deep.equal([1, ''])
        expect(stderr).to.contain(sentence)
        expect(stderr.trim().split('\n')).to.have.length(1)
      })
    }

    it('is not the port of the API: one sentence, exit code 1', async () => {
      const port = new URL(processes[0]!.url).port
      const { code, stderr } = await program.call('block', 'list', '--admin-port', port)
      expect(code).to.equal(1)
      expect(stderr).to.match(/^What answers at http:\/\/127\.0\.0\.1:\d+ is no admin port of a node .*\n$/)
    })
  })

  it('are not taken for applied while a process hangs', async () => {
    const mallory = new TestUser('mallory of the hanging process')
    const { code, events } = await databases.database.transaction(async tx => {
      // A connection like that of a process that does not read.
      const text = `select set_config('application_name', 'peerserv lists 0', true)`
      await tx.query({ name: '', text })
      return program.json('block', 'identity', mallory.identityKey)
    })
    expect(code).to.equal(1)
    expect(events.at(-1)).to.include({ code: 'ERR_PROCESS_BEHIND' })
    expect(await statuses(mallory)).to.deep.equal([403, 403])
  })
})
