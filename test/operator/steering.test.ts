import { expect } from 'chai'
import { Folder, Program } from '../cli/program.js'
import { inspect } from '../support/advertised.js'
import { TestUser } from '../support/client.js'
import type { FakeHost } from '../support/fake-host.js'
import { MailToHosts } from '../support/mail-to-hosts.js'
import { startTestNode, type TestNode, until } from '../support/nodes.js'

type Line = Record<string, unknown>

describe('deliveries and hosts', function () {
  this.timeout(60_000)
  const folder = new Folder()
  const alice = new TestUser('alice of steering')
  const clock = { ahead: 0, now: () => Date.now() + clock.ahead }
  let node: TestNode
  let mail: MailToHosts
  let program: Program
  let names = 0

  before(async () => {
    // Without jitter a failing host is left alone for 0.2 s and more; nothing here waits for longer than that.
    node = await startTestNode('steering', { options: { clock, federation: { random: () => 0 } } })
    mail = new MailToHosts(node, alice)
    program = new Program(folder, {
      ADMIN_PORT: new URL(node.node.adminUrl).port,
      SERVER_PRIVATE_KEY: new TestUser('node steering').privateKey.toString('hex')
    })
  })
  after(async () => {
    await node?.remove()
    await mail?.close()
    folder.remove()
  })

  const newUser = () => new TestUser(`somebody ${names++} of steering`)
  const newHost = (recipient: TestUser, status = 200) => mail.hostOf(`steered ${names++}`, recipient, status)

  async function command(...args: string[]): Promise<Line[]> {
    const { code, events } = await program.json(...args)
    if (code !== 0) throw new Error(JSON.stringify(events))
    return events
  }

  const idOf = async (messageId: string) => {
    const [row] = await inspect<{ id: number }>(
      node,
      'select id from deliveries where message_id = $1',
      messageId
    )
    return String(row!.id)
  }
  const failed = (messageId: string) =>
    until(
      () => mail.deliveries(messageId),
      ([delivery]) => delivery?.lastAnswer === 'HTTP 503'
    )
  /** The host is left alone for an hour more. */
  const leaveAlone = (host: FakeHost) =>
    inspect(
      node,
      `with waiting as (update deliveries set next_attempt_at = next_attempt_at + 3600000 where domain = $1)
       update destinations set backoff_until = backoff_until + 3600000 where domain = $1`,
      host.domain
    )

  it('shows everything that is known of a host in one line', async () => {
    const bob = newUser()
    const host = await newHost(bob, 503)
    await mail.send(bob, 'shown 1')
    await failed('shown 1')
    await leaveAlone(host)
    await mail.send(bob, 'shown 2')
    const [line] = (await command('hosts')).filter(({ host: domain }) => domain === host.domain)
    expect(line).to.deep.include({
      operatorKey: host.operator.identityKey,
      isProven: true,
      waiting: 2,
      waitingIsMore: false,
      underWay: 0,
      lastAnswer: 'HTTP 503',
      heldAt: null,
      isServed: true
    })
    expect(line!.failures).to.be.a('number').and.greaterThan(0)
    expect(line!.failingSince).to.be.closeTo(Date.now(), 30_000)
    expect(line!.oldestAt).to.be.closeTo(Date.now(), 30_000)
    expect(line!.nextAttemptAt).to.be.closeTo(Date.now() + 3_600_000, 30_000)
    const { stdout } = await program.call('hosts', 'show', host.domain)
    expect(stdout.trim().split('\n')).to.have.length(1)
    expect(stdout).to.match(
      new RegExp(
        `^${host.domain}  2 wait, oldest since \\d+ s; failed \\d+ times since \\d+ s; last answer HTTP 503; next try in (59|60) min; operator ${host.operator.identityKey} \\(proven\\)\n$`
      )
    )
    expect((await command('hosts', 'show', 'localhost:2'))[0]).to.include({ waiting: 0, failures: 0 })
  })

  it('lists deliveries by host, recipient, sender and state, page by page', async () => {
    const [bob, carol] = [newUser(), newUser()]
    const [away, there] = [await newHost(bob, 503), await newHost(carol)]
    const ids = Array.from({ length: 7 }, (_, i) => `listed ${i}`)
    for (const id of ids) await mail.send(bob, id, id)
    await mail.send(carol, 'arrived')
    await mail.settled('arrived')
    const list = async (...args: string[]) =>
      (await command('deliveries', 'list', ...args)).map(({ messageId }) => messageId)

    expect(await list('--host', away.domain)).to.deep.equal(ids)
    expect(await list('--host', there.domain)).to.deep.equal([])
    expect(await list('--host', there.domain, '--state', 'delivered')).to.deep.equal(['arrived'])
    expect(await list('--recipient', bob.identityKey)).to.have.members(ids)
    expect(await list('--recipient', carol.identityKey, '--state', 'any')).to.deep.equal(['arrived'])
    expect(
      await list('--recipient', bob.identityKey, '--host', there.domain, '--state', 'any')
    ).to.deep.equal([])
    expect(await list('--sender', alice.identityKey)).to.include.members(ids)
    expect(await list('--sender', bob.identityKey, '--state', 'any')).to.deep.equal([])

    for (const filter of [
      ['--host', away.domain],
      ['--recipient', bob.identityKey],
      ['--sender', alice.identityKey, '--host', away.domain],
      ['--host', away.domain, '--state', 'any'],
      []
    ]) {
      const found: unknown[] = []
      let cursor: string[] = []
      for (let pages = 0; pages < 20; pages++) {
        const lines = await command('deliveries', ...filter, '--limit', '3', ...cursor)
        const next = lines.at(-1)?.nextCursor
        found.push(...lines.filter(({ id }) => id !== undefined).map(({ messageId }) => messageId))
        if (next === undefined) break
        cursor = ['--cursor', String(next)]
      }
      const wanted = found.filter(id => ids.includes(String(id)))
      expect(wanted, filter.join(' ')).to.have.members(ids)
    }
    const { code, events } = await program.json('deliveries', '--cursor', 'made-up')
    expect([code, events[0]?.code]).to.deep.equal([1, 'ERR_INVALID_OPERATOR_REQUEST'])
  })

  it('shows one delivery', async () => {
    const bob = newUser()
    const host = await newHost(bob)
    await mail.send(bob, 'one')
    await mail.settled('one')
    const [shown] = await command('deliveries', 'show', await idOf('one'))
    expect(shown).to.deep.include({
      host: host.domain,
      operatorKey: host.operator.identityKey,
      recipient: bob.identityKey,
      sender: alice.identityKey,
      messageBox: 'inbox',
      messageId: 'one',
      firstHand: true,
      state: 'delivered',
      attempts: 1,
      nextAttemptAt: null,
      lastAnswer: 'success'
    })
    expect((await program.json('deliveries', 'show', '999999999')).events[0]).to.include({
      code: 'ERR_DELIVERY_NOT_FOUND'
    })
  })

  it('tries a delivery now, and ends the wait of its host', async () => {
    const bob = newUser()
    const host = await newHost(bob, 503)
    await mail.send(bob, 'retried')
    await failed('retried')
    await leaveAlone(host)
    host.answers(200, { status: 'success' })
    expect(await command('deliveries', 'retry', await idOf('retried'))).to.have.length(1)
    expect((await mail.settled('retried'))[0]).to.include({ state: 'delivered' })
    const { code, events } = await program.json('deliveries', 'retry', await idOf('retried'))
    expect([code, events[0]?.code]).to.deep.equal([1, 'ERR_DELIVERY_NOT_PENDING'])
  })

  it('drops a delivery: it ends as refused, and its sender is told', async () => {
    const bob = newUser()
    const host = await newHost(bob, 503)
    await mail.send(bob, 'dropped')
    await failed('dropped')
    await leaveAlone(host)
    await command('deliveries', 'drop', await idOf('dropped'))
    expect((await mail.settled('dropped'))[0]).to.include({
      state: 'refused',
      lastAnswer: 'dropped by the operator'
    })
    const report = await mail.report('dropped')
    expect(report).to.include({ host: host.domain, state: 'refused', code: 'ERR_UNDELIVERED' })
    expect(report.description).to.contain('dropped by the operator')
  })

  it('drops all for one host; their messages go to the next host', async () => {
    const bob = newUser()
    const hosts: FakeHost[] = []
    for (let i = 0; i < 5; i++) {
      hosts.push(await newHost(bob, i === 4 ? 503 : 200))
      clock.ahead += 10
    }
    const [oldest, newest] = [hosts[0]!, hosts[4]!]
    await command('hosts', 'hold', newest.domain)
    const ids = ['all 1', 'all 2', 'all 3']
    for (const id of ids) await mail.send(bob, id)
    expect((await command('deliveries', 'drop', '--host', newest.domain))[0]).to.deep.include({
      dropped: 3,
      left: 0
    })
    await command('hosts', 'release', newest.domain)
    for (const id of ids) await mail.settled(id)
    expect([oldest.asked, newest.asked]).to.deep.equal([3, 0])
  })

  it('flushes what waits for a host, one message first', async () => {
    const bob = newUser()
    const host = await newHost(bob, 503)
    const ids = ['flushed 1', 'flushed 2', 'flushed 3']
    await mail.send(bob, ids[0]!, 'box 0')
    await failed(ids[0]!)
    await leaveAlone(host)
    for (const [i, id] of ids.slice(1).entries()) await mail.send(bob, id, `box ${i + 1}`)

    const before = host.asked
    expect((await command('deliveries', 'flush', host.domain))[0]).to.include({ flushed: 3 })
    await until(
      async () => host.asked,
      asked => asked > before
    )
    await leaveAlone(host)
    // Still failing: the others have not been tried.
    expect(host.asked).to.equal(before + 1)
    host.answers(200, { status: 'success' })
    await command('deliveries', 'flush', host.domain)
    for (const id of ids) expect((await mail.settled(id))[0]).to.include({ state: 'delivered' })
  })

  it('holds what goes to a host until it is released, across a restart', async () => {
    const bob = newUser()
    const host = await newHost(bob)
    const [held] = await command('hosts', 'hold', host.domain, '--reason', 'they asked for it')
    expect(held).to.include({ heldReason: 'they asked for it' })
    await mail.send(bob, 'held')
    expect((await command('hosts', 'show', host.domain))[0]).to.include({ waiting: 1, nextAttemptAt: null })
    expect((await command('deliveries', '--host', host.domain))[0]).to.include({
      isHeld: true,
      nextAttemptAt: null
    })
    expect((await program.call('hosts')).stdout).to.match(/; HELD since \d+ s \(they asked for it\)/)
    await node.stop()
    await node.restart()
    program = program.with({ ADMIN_PORT: new URL(node.node.adminUrl).port })
    // Whatever tries to send: nothing goes.
    await command('deliveries', 'flush', host.domain)
    await command('deliveries', 'retry', await idOf('held'))
    const carol = newUser()
    await newHost(carol)
    await mail.send(carol, 'not held')
    await mail.settled('not held')
    expect(host.asked).to.equal(0)
    await command('hosts', 'release', host.domain)
    expect((await mail.settled('held'))[0]).to.include({ state: 'delivered', attempts: 1 })
    expect((await program.call('hosts', 'release', host.domain)).stdout).to.contain('It was not held.')
  })

  it('forgets the failures of a host', async () => {
    const bob = newUser()
    const host = await newHost(bob, 503)
    await mail.send(bob, 'forgotten')
    await failed('forgotten')
    await leaveAlone(host)
    host.answers(200, { status: 'success' })
    await inspect(node, 'update deliveries set next_attempt_at = 0 where domain = $1', host.domain)
    expect((await command('hosts', 'forget', host.domain))[0]).to.include({ forgotten: true, failures: 0 })
    expect((await mail.settled('forgotten'))[0]).to.include({ state: 'delivered' })
  })

  it('lets what is held expire, in its own time and not because its host failed for a week', async () => {
    const [bob, carol] = [newUser(), newUser()]
    const host = await newHost(bob, 503)
    await newHost(carol, 503)
    await mail.send(bob, 'held for long')
    await mail.send(carol, 'given up')
    await failed('held for long')
    await failed('given up')
    await command('hosts', 'hold', host.domain)
    clock.ahead += 8 * 24 * 3_600_000
    expect((await mail.settled('given up'))[0]).to.include({ state: 'expired' })
    expect((await mail.deliveries('held for long'))[0]).to.include({ state: 'pending' })
    clock.ahead += 30 * 24 * 3_600_000
    expect(await mail.report('held for long')).to.include({ host: host.domain, state: 'expired' })
  })
})
