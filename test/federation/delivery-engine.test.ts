import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { expect } from 'chai'
import { signPortably } from '../../src/keys/portable-signature.js'
import { signedMessageText } from '../../src/message.js'
import { inspect, submitScript, tokenScript } from '../support/advertised.js'
import { TestUser } from '../support/client.js'
import { type FakeHost, type HandedOn, startFakeHost, TAKEN } from '../support/fake-host.js'
import { startTestNode, type TestNode, until } from '../support/nodes.js'
import { reset, type Script } from '../support/peer.js'

interface Delivery {
  readonly messageId: string
  readonly state: string
  readonly skipped: boolean
  readonly attempts: number
  readonly lastAnswer: string | null
}

describe('the delivery engine', () => {
  let node: TestNode
  const alice = new TestUser('alice of deliveries')
  const clock = { ahead: 0, now: () => Date.now() + clock.ahead }
  const closed: (() => Promise<unknown>)[] = []
  let names = 0

  before(async function () {
    this.timeout(60_000)
    node = await startTestNode('deliveries', { options: { clock, federation: { random: () => 0 } } })
  })
  after(async () => {
    await node?.remove()
    await Promise.all(closed.map(close => close()))
  })

  const newUser = () => new TestUser(`recipient ${names++} of deliveries`)

  async function hostOf(...recipients: readonly TestUser[]): Promise<FakeHost> {
    const host = await startFakeHost(`delivering ${names++}`)
    closed.push(() => host.close())
    for (const recipient of recipients) {
      await submitScript(node, tokenScript(host.operator, host.domain, recipient))
    }
    return host
  }

  /** Sends a message that its sender has signed. */
  async function send(recipient: TestUser, messageBox: string, messageId: string): Promise<void> {
    const createdAt = clock.now()
    const text = signedMessageText(recipient.identityKey, messageBox, messageId, 'body', createdAt)
    const signature = signPortably(alice.keys, text)
    const { identityKey } = recipient
    const message = { recipient: identityKey, messageBox, messageId, body: 'body', createdAt, signature }
    const answer = await alice.post(node.url, '/sendMessage', { message })
    expect(answer.status, answer.body.toString()).to.equal(200)
    expect(answer.body.toString()).to.include('"delivery":"forwarding"')
  }

  async function deliveries(...messageIds: readonly string[]): Promise<Delivery[]> {
    const { json } = await alice.post(node.url, '/deliveryStatus', { messageIds })
    return json.deliveries as Delivery[]
  }

  const untilDelivered = (...messageIds: readonly string[]): Promise<Delivery[]> =>
    until(
      () => deliveries(...messageIds),
      found => found.length === messageIds.length && found.every(({ state }) => state === 'delivered')
    )

  async function destination(
    domain: string
  ): Promise<{ failures: number; backoff_until: string } | undefined> {
    const rows = await inspect<{ domain: string; failures: number; backoff_until: string }>(
      node,
      'select domain, failures, backoff_until from destinations'
    )
    return rows.find(row => row.domain === domain)
  }

  const refusing = (host: FakeHost, httpStatus: number, recipient: TestUser) =>
    host.signed(200, {
      status: 'success',
      results: [{ recipient: recipient.identityKey, status: 'error', code: 'ERR_X', httpStatus }]
    })

  /** A list of numbers that is the same in every run. */
  function* numbers(seed: number): Generator<number, never> {
    for (let state = seed; ; ) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      yield state / 2 ** 32
    }
  }

  it('keeps the order of each lane, one of it under way at a time, whatever the host answers', async function () {
    this.timeout(60_000)
    const recipients = [newUser(), newUser()]
    const host = await hostOf(...recipients)
    const random = numbers(Number(process.env.ORDER_SEED ?? 7))
    const taken: HandedOn[] = []
    const underWay = new Set<string>()
    const overlaps: string[] = []
    const failed = new Set<string>()
    let most = 0
    host.answersBy(message => async (request, response) => {
      const { messageId, messageBox } = message
      if (underWay.has(messageBox)) overlaps.push(messageId)
      underWay.add(messageBox)
      most = Math.max(most, underWay.size)
      await new Promise(resolve => setTimeout(resolve, 15 * random.next().value))
      underWay.delete(messageBox)
      // Each message fails once at most, so that none gives up its place.
      const fails = !failed.has(messageId) && random.next().value < 0.3
      const scripts: readonly Script[] = [
        refusing(host, 425, recipients[Number(messageBox.at(-1)) % 2]!),
        refusing(host, 429, recipients[Number(messageBox.at(-1)) % 2]!),
        host.signed(500, {}),
        host.signed(503, {}),
        reset
      ]
      if (fails) failed.add(messageId)
      else taken.push(message)
      const script = fails
        ? scripts[Math.floor(random.next().value * scripts.length)]!
        : host.signed(200, TAKEN)
      await script(request, response)
    })
    const sent: HandedOn[] = []
    for (let i = 0; i < 8; i++) {
      await Promise.all(
        Array.from({ length: 6 }, async (_, lane) => {
          const message = { messageBox: `lane ${lane}`, messageId: `${lane}/${i} of lanes` }
          await send(recipients[lane % 2]!, message.messageBox, message.messageId)
          sent.push(message)
        })
      )
    }
    await untilDelivered(...sent.map(({ messageId }) => messageId))
    expect(overlaps).to.deep.equal([])
    expect(most).to.be.above(1)
    expect(failed.size).to.be.above(3)
    for (let lane = 0; lane < 6; lane++) {
      const ids = taken.filter(({ messageBox }) => messageBox === `lane ${lane}`).map(one => one.messageId)
      // A connection that broke may have been taken before: then it is there twice.
      const first = ids.filter((id, i) => ids.indexOf(id) === i)
      expect(first).to.deep.equal(Array.from({ length: 8 }, (_, i) => `${lane}/${i} of lanes`))
    }
  })

  for (const [name, poison] of [
    ['breaks the host', (host: FakeHost) => host.signed(500, {})],
    ['breaks the connection', () => reset],
    ['has no place in this protocol', () => (_request, response) => response.writeHead(500).end('<html>')]
  ] as [string, (host: FakeHost) => Script][]) {
    it(`a message that ${name} holds its lane for three tries, and no other lane`, async () => {
      const bob = newUser()
      const host = await hostOf(bob)
      const id = (text: string) => `${text} where one ${name}`
      let tries = 0
      host.answersBy(({ messageId }) => {
        if (messageId !== id('poison')) return host.signed(200, TAKEN)
        tries++
        return poison(host)
      })
      await send(bob, 'a', id('poison'))
      await send(bob, 'a', id('behind it'))
      await send(bob, 'b', id('beside it'))
      await untilDelivered(id('beside it'))
      await untilDelivered(id('behind it'))
      expect(tries).to.be.within(2, 3)
      const [skipped] = await until(
        () => deliveries(id('poison')),
        ([delivery]) => delivery!.skipped
      )
      expect(skipped).to.include({ state: 'pending' })
      expect(skipped!.lastAnswer).to.be.a('string')
      const metrics = await (await fetch(`${node.node.adminUrl}/metrics`)).text()
      expect(metrics).to.match(/peerserv_delivery_attempts_total\{result="skipped"\} [1-9]/)
      // It is tried again by itself, and the host is not blamed for it any more.
      await until(
        async () => tries,
        count => count > 4
      )
      await send(bob, 'b', id('later'))
      await untilDelivered(id('later'))
      host.answers(200, TAKEN)
      clock.ahead += 10_000
      expect((await untilDelivered(id('poison')))[0]!.skipped).to.equal(false)
    })
  }

  it('lets a lane wait in order where the host says that its box is full, and no other lane', async () => {
    const bob = newUser()
    const host = await hostOf(bob)
    const taken: string[] = []
    let isFull = true
    host.answersBy(({ messageId, messageBox }) => {
      if (isFull && messageBox === 'full') return refusing(host, 507, bob)
      taken.push(messageId)
      return host.signed(200, TAKEN)
    })
    const ids = Array.from({ length: 5 }, (_, i) => `waits for room ${i}`)
    for (const id of ids) await send(bob, 'full', id)
    await send(bob, 'roomy', 'has room')
    await untilDelivered('has room')
    await until(
      () => deliveries(ids[0]!),
      ([delivery]) => delivery!.attempts > 3
    )
    expect(await deliveries(...ids)).to.satisfy((all: Delivery[]) => all.every(one => !one.skipped))
    isFull = false
    clock.ahead += 60_000
    await untilDelivered(...ids)
    expect(taken).to.deep.equal(['has room', ...ids])
    expect(await destination(host.domain)).to.equal(undefined)
  })

  it('costs a dead host one connection at a time, however much waits for it, until it shows that it lives', async () => {
    const bob = newUser()
    const host = await hostOf(bob)
    // The connection is the handshake's: not a message leaves.
    const dead = await deadHost(host)
    const ids = Array.from({ length: 100 }, (_, i) => `for the dead ${i}`)
    for (const id of ids) await send(bob, `box ${Number(id.slice(13)) % 10}`, id)
    const { failures } = (await until(
      () => destination(host.domain),
      found => (found?.failures ?? 0) >= 3
    ))!
    expect(dead.connections).to.be.within(3, failures + 1)
    expect(host.asked).to.equal(0)
    await inspect(node, `update destinations set backoff_until = backoff_until + 3600000, failures = 12`)
    await dead.revive()
    // Nothing but its own request says that it is back.
    await until(
      async () => {
        clock.ahead += 1_000
        await host.operator.post(node.url, '/propagateMessage', {})
        return deliveries(ids[0]!)
      },
      ([delivery]) => delivery!.state === 'delivered'
    )
    await untilDelivered(...ids)
    expect(await destination(host.domain)).to.equal(undefined)
  })

  /** Nobody gets an answer of this host until it is revived: connections are cut at once. */
  async function deadHost(
    host: FakeHost
  ): Promise<{ readonly connections: number; revive(): Promise<void> }> {
    const before = host.connections
    const revive = host.cutsConnections()
    return {
      get connections() {
        return host.connections - before
      },
      revive: async () => revive()
    }
  }

  it('a signed request clears nothing, and wakes a host that cannot be called no more than twice a minute', async () => {
    const bob = newUser()
    const host = await hostOf(bob)
    const dead = await deadHost(host)
    await send(bob, 'inbox', 'for one who only calls')
    await until(
      () => destination(host.domain),
      found => found !== undefined
    )
    await inspect(node, `update destinations set backoff_until = backoff_until + 3600000, failures = 12`)
    const before = dead.connections
    await until(
      async () => {
        await host.operator.post(node.url, '/propagateMessage', {})
        return destination(host.domain)
      },
      found => found!.failures === 13
    )
    for (let i = 0; i < 100; i++) await host.operator.post(node.url, '/propagateMessage', {})
    expect(dead.connections - before).to.be.at.most(2)
    await dead.revive()
    clock.ahead += 3_600_000 * 2
    await untilDelivered('for one who only calls')
  })

  it('a new token of a waiting host ends its wait', async () => {
    const [bob, carol] = [newUser(), newUser()]
    const host = await hostOf(bob)
    const dead = await deadHost(host)
    await send(bob, 'inbox', 'for one who advertises')
    await until(
      () => destination(host.domain),
      found => found !== undefined
    )
    await inspect(node, 'update destinations set backoff_until = backoff_until + 3600000, woken_at = 0')
    await dead.revive()
    await submitScript(node, tokenScript(new TestUser('impostor of deliveries'), host.domain, carol))
    expect(Number((await destination(host.domain))!.backoff_until)).to.be.above(clock.now() + 1_800_000)
    await submitScript(node, tokenScript(host.operator, host.domain, carol))
    await untilDelivered('for one who advertises')
  })

  it('serves a host that is well while a hundred others hang', async function () {
    this.timeout(60_000)
    const bob = newUser()
    const host = await hostOf(bob)
    await send(bob, 'inbox', 'makes it known')
    await untilDelivered('makes it known')
    const hole = await blackHole()
    const lost = Array.from({ length: 100 }, newUser)
    for (const [i, recipient] of lost.entries()) {
      await submitScript(node, tokenScript(host.operator, `127.1.1.${i + 1}:${hole.port}`, recipient))
    }
    await Promise.all(lost.map((recipient, i) => send(recipient, 'inbox', `hangs ${i}`)))
    await until(
      async () => hole.connections,
      count => count === 100
    )
    const ids = Array.from({ length: 50 }, (_, i) => `passes by ${i}`)
    await Promise.all(ids.map(id => send(bob, id, id)))
    await untilDelivered(...ids)
    // All of them still hang: nobody has waited for one of them.
    expect(hole.ended).to.equal(0)
    expect(await inspect(node, 'select from destinations')).to.have.length(0)
  })

  /** Takes every connection and says nothing. */
  async function blackHole(): Promise<{ port: number; connections: number; ended: number }> {
    const sockets = new Set<Socket>()
    const server: Server = createServer(socket => {
      sockets.add(socket)
      hole.connections++
      socket.on('error', () => {})
      socket.on('close', () => hole.ended++)
      socket.resume()
    }).listen(0, '0.0.0.0')
    await once(server, 'listening')
    const hole = { port: (server.address() as AddressInfo).port, connections: 0, ended: 0 }
    closed.push(async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    return hole
  }
})
