import { expect } from 'chai'
import { MadeUpFunding } from '../../federation/overlay/funding.js'
import { inspect, liveOperators, submitScript, tokenScript, untilHosts } from '../support/advertised.js'
import { exchange, TestUser } from '../support/client.js'
import { MailToHosts } from '../support/mail-to-hosts.js'
import { authorizeRouting, listMessages, startTestNode, type TestNode, until } from '../support/nodes.js'
import { block, steer, unblock } from '../support/operator.js'
import { propagated } from '../support/propagated.js'

describe('lists of the operator, towards other hosts', function () {
  this.timeout(60_000)
  let node: TestNode
  let mail: MailToHosts
  const alice = new TestUser('alice of blocked hosts')
  const clock = { ahead: 0, now: () => Date.now() + clock.ahead }
  let names = 0

  before(async () => {
    node = await startTestNode('blocked hosts', { options: { clock, federation: { random: () => 0 } } })
    mail = new MailToHosts(node, alice)
  })
  after(async () => {
    await node?.remove()
    await mail?.close()
  })

  const newUser = () => new TestUser(`somebody ${names++} of blocked hosts`)
  const newHost = (recipient: TestUser, status = 200) => mail.hostOf(`blocked ${names++}`, recipient, status)

  for (const kind of ['host', 'domain'] as const) {
    describe(`with a blocked ${kind}`, () => {
      const entryOf = (host: { operator: TestUser; domain: string }) =>
        kind === 'host' ? host.operator.identityKey : host.domain

      it('nothing goes there: the delivery ends as refused, and its sender is told', async () => {
        const bob = newUser()
        const host = await newHost(bob)
        await mail.send(bob, `${kind} before`)
        expect((await mail.settled(`${kind} before`))[0]).to.include({ state: 'delivered' })
        await block(node, kind, entryOf(host))
        await mail.send(bob, `${kind} blocked`)
        expect(await mail.settled(`${kind} blocked`)).to.have.length(1)
        expect((await mail.settled(`${kind} blocked`))[0]).to.include({
          state: 'refused',
          lastAnswer: 'ERR_HOST_BLOCKED'
        })
        expect(await mail.report(`${kind} blocked`)).to.include({
          host: host.domain,
          state: 'refused',
          code: 'ERR_HOST_BLOCKED'
        })
        expect(host.asked).to.equal(1)
        await unblock(node, kind, entryOf(host))
        await mail.send(bob, `${kind} after`)
        expect((await mail.settled(`${kind} after`))[0]).to.include({ state: 'delivered' })
        expect(host.asked).to.equal(2)
      })

      it('what waits for it is refused at once, although it would wait for an hour', async () => {
        const bob = newUser()
        const host = await newHost(bob, 503)
        await mail.send(bob, `${kind} pending`)
        await until(
          () => mail.deliveries(`${kind} pending`),
          ([delivery]) => delivery?.lastAnswer === 'HTTP 503'
        )
        await inspect(node, 'update destinations set backoff_until = backoff_until + 3600000')
        await block(node, kind, entryOf(host))
        const [delivery] = await mail.settled(`${kind} pending`)
        expect(delivery).to.include({ state: 'refused', lastAnswer: 'ERR_HOST_BLOCKED' })
        await unblock(node, kind, entryOf(host))
      })

      it('its place goes to the next host', async () => {
        const bob = newUser()
        const hosts = []
        for (let i = 0; i < 5; i++) {
          hosts.push(await newHost(bob))
          clock.ahead += 10
        }
        const blocked = hosts[2]!
        await block(node, kind, entryOf(blocked))
        await mail.send(bob, `${kind} next`)
        await until(
          () => mail.deliveries(`${kind} next`),
          found => found.filter(({ state }) => state === 'delivered').length === 4
        )
        expect(hosts.map(({ asked }) => asked)).to.deep.equal([1, 1, 0, 1, 1])
        await unblock(node, kind, entryOf(blocked))
      })

      it('its tokens are not admitted, and whoever submits one is told; unblocked, the same one is', async () => {
        const bob = newUser()
        const host = { operator: newUser(), domain: `localhost:${10_000 + names++}` }
        await block(node, kind, entryOf(host))
        const lockingScript = tokenScript(host.operator, host.domain, bob)
        const { beef } = await new MadeUpFunding().fund([{ lockingScript, satoshis: 1 }], [])
        const submit = () =>
          exchange(node.url, {
            method: 'POST',
            target: '/submit',
            headers: [
              ['content-type', 'application/octet-stream'],
              ['x-topics', '["tm_phip"]']
            ],
            body: Buffer.from(beef)
          })
        const refused = await submit()
        expect(refused.status).to.equal(403)
        expect(JSON.parse(refused.body.toString())).to.include({ code: 'ERR_BLOCKED', blocked: kind })
        expect(await liveOperators(node, bob)).to.deep.equal([])
        await unblock(node, kind, entryOf(host))
        expect((await submit()).status).to.equal(200)
        expect(await liveOperators(node, bob)).to.deep.equal([host.operator.identityKey])
      })

      it('nothing is taken from it', async () => {
        const [bob, carol] = [newUser(), newUser()]
        const host = { operator: newUser(), domain: `localhost:${10_000 + names++}` }
        await authorizeRouting(bob, node)
        // Any token of its own says where it is.
        await submitScript(node, tokenScript(host.operator, host.domain, carol))
        const handOn = (messageId: string) => {
          const message = { recipient: bob.identityKey, messageBox: 'inbox', messageId, body: 'body' }
          return host.operator.post(node.url, '/propagateMessage', propagated(host.operator, carol, message))
        }
        await block(node, kind, entryOf(host))
        const refused = await handOn('from the blocked')
        expect([refused.status, refused.signature]).to.deep.equal([403, 'valid'])
        expect(refused.json).to.include({ code: 'ERR_BLOCKED', blocked: kind })
        await unblock(node, kind, entryOf(host))
        expect((await handOn('from the unblocked')).status).to.equal(200)
        const found = await listMessages(bob, node, 'inbox')
        expect(found.map(({ messageId }) => messageId)).to.deep.equal(['from the unblocked'])
      })
    })
  }

  it('a blocked sender is refused in the hands of any host, and a blocked recipient alone', async () => {
    const [bob, carol, dave, host] = [newUser(), newUser(), newUser(), newUser()]
    await authorizeRouting(bob, node)
    await authorizeRouting(dave, node)
    const message = { recipients: [bob.identityKey, dave.identityKey], messageBox: 'inbox', body: 'body' }
    const handOn = () => host.post(node.url, '/propagateMessage', propagated(host, carol, message))

    await block(node, 'identity', carol.identityKey)
    const refused = await handOn()
    expect([refused.status, refused.json.code, refused.json.blocked]).to.deep.equal([
      403,
      'ERR_BLOCKED',
      'identity'
    ])
    await unblock(node, 'identity', carol.identityKey)

    await block(node, 'identity', dave.identityKey)
    const { status, json } = await handOn()
    expect(status).to.equal(200)
    expect(json.results).to.have.deep.members([
      { recipient: bob.identityKey, status: 'success' },
      { recipient: dave.identityKey, status: 'error', code: 'ERR_BLOCKED', httpStatus: 403 }
    ])
    await unblock(node, 'identity', dave.identityKey)
    expect(await listMessages(dave, node, 'inbox')).to.have.length(0)
  })

  it('where hosts are allowed, no other hands on or is handed anything', async () => {
    const [bob, carol, stranger] = [newUser(), newUser(), newUser()]
    const friend = await newHost(bob)
    const other = await newHost(carol)
    await authorizeRouting(stranger, node)
    const allow = { list: 'allow', kind: 'host', values: [friend.operator.identityKey] }
    await steer(node, 'changeList', allow)
    await mail.send(bob, 'to the allowed')
    await mail.send(carol, 'to another')
    expect((await mail.settled('to the allowed'))[0]).to.include({ state: 'delivered' })
    expect((await mail.settled('to another'))[0]).to.include({
      state: 'refused',
      lastAnswer: 'ERR_HOST_BLOCKED'
    })
    expect(other.asked).to.equal(0)
    const message = { recipient: stranger.identityKey, messageBox: 'inbox', body: 'body' }
    const from = (host: TestUser) =>
      host.post(node.url, '/propagateMessage', propagated(host, carol, message))
    expect((await from(friend.operator)).status).to.equal(200)
    expect((await from(other.operator)).json.code).to.equal('ERR_BLOCKED')
    await steer(node, 'changeList', { ...allow, remove: true })
    expect((await from(other.operator)).status).to.equal(200)
  })

  it('where identities are allowed, they write to anybody, and mail comes for them alone', async () => {
    const [bob, host] = [newUser(), newUser()]
    const remote = await newHost(bob)
    await authorizeRouting(bob, node)
    const allow = { list: 'allow', kind: 'identity', values: [alice.identityKey] }
    await steer(node, 'changeList', allow)
    await mail.send(bob, 'from a member')
    expect((await mail.settled('from a member'))[0]).to.include({ state: 'delivered' })
    expect(remote.asked).to.equal(1)
    const message = { recipient: bob.identityKey, messageBox: 'inbox', messageId: 'no member', body: 'body' }
    const { json } = await host.post(node.url, '/propagateMessage', propagated(host, newUser(), message))
    expect(json.results).to.deep.equal([
      { recipient: bob.identityKey, status: 'error', code: 'ERR_BLOCKED', httpStatus: 403 }
    ])
    await steer(node, 'changeList', { ...allow, remove: true })
  })

  it('a peer at a blocked domain is not called, and its tokens come when it is unblocked', async () => {
    const bob = newUser()
    const peer = await startTestNode('blocked peer')
    const reader = await startTestNode('reader of peers', { peers: [peer.url] })
    try {
      await block(reader, 'domain', peer.domain)
      await authorizeRouting(bob, peer)
      await reader.stop()
      await reader.restart()
      // The first round of sync begins with the start.
      await until(
        () =>
          inspect<{ n: number }>(
            reader,
            "select count(*) as n from overlay_interactions where topic = 'tm_phip' and claimed_until = 0"
          ),
        ([row]) => row!.n === 1
      )
      expect(await liveOperators(reader, bob)).to.deep.equal([])
      await unblock(reader, 'domain', peer.domain)
      await reader.stop()
      await reader.restart()
      await untilHosts(reader, bob, 1)
    } finally {
      await reader.remove()
      await peer.remove()
    }
  })
})
