import { expect } from 'chai'
import { signPortably } from '../../src/keys/portable-signature.js'
import { signedMessageText } from '../../src/message.js'
import { inspect, liveOperators, submitScript, tokenScript, untilHosts } from '../support/advertised.js'
import { TestUser } from '../support/client.js'
import { type FakeHost, startFakeHost, TAKEN } from '../support/fake-host.js'
import {
  authorizeRouting,
  freePort,
  type ListedMessage,
  listMessages,
  startTestNode,
  type TestNode,
  until
} from '../support/nodes.js'
import { propagated } from '../support/propagated.js'
import { type RoundRobin, startRoundRobin } from '../support/round-robin.js'

const REFUSED = { status: 'error', code: 'ERR_DELIVERY_BLOCKED', description: 'no' }
const NOT_HOME = { status: 'error', code: 'ERR_NOT_HOME', description: 'no' }

interface Delivery {
  readonly host: string
  readonly state: string
  readonly lastAnswer: string | null
}

describe('hosts of one recipient', () => {
  let one: TestNode
  let two: TestNode
  /** What stands before node two, and sees who comes. */
  let door: RoundRobin
  const alice = new TestUser('alice of hosts')
  const clock = { ahead: 0, now: () => Date.now() + clock.ahead }
  const fakes: FakeHost[] = []
  let names = 0

  before(async function () {
    this.timeout(60_000)
    const options = { clock, federation: { random: () => 0 } }
    const [portOne, portTwo] = [await freePort(), await freePort()]
    door = await startRoundRobin([`http://localhost:${portTwo}`])
    const urls = [`http://localhost:${portOne}`, door.url]
    ;[one, two] = await Promise.all([
      startTestNode('hosts one', { port: portOne, peers: [urls[1]!], options }),
      startTestNode('hosts two', {
        port: portTwo,
        peers: [urls[0]!],
        options,
        environment: { PUBLIC_DOMAIN: new URL(door.url).host }
      })
    ])
  })
  after(async () => {
    await Promise.all([one?.remove(), two?.remove()])
    await door?.stop()
    await Promise.all(fakes.map(fake => fake.close()))
  })

  /** Node two as its tokens name it. */
  const behindDoor = () => ({ ...two, domain: new URL(door.url).host })
  const newUser = () => new TestUser(`recipient ${names++} of hosts`)

  /** Fake hosts of this recipient in node one's index, the oldest first. */
  async function hostsOf(
    recipient: TestUser,
    count: number,
    status = 200,
    body: object = TAKEN
  ): Promise<FakeHost[]> {
    const started: FakeHost[] = []
    for (let i = 0; i < count; i++) {
      const fake = await startFakeHost(`${names++}`, status, body)
      clock.ahead += 10
      await submitScript(one, tokenScript(fake.operator, fake.domain, recipient))
      started.push(fake)
    }
    fakes.push(...started)
    return started
  }

  /** Sends a message that its sender has signed; answers how it is delivered. */
  async function send(recipient: TestUser, messageId: string, messageBox = 'inbox'): Promise<string> {
    const createdAt = clock.now()
    const text = signedMessageText(recipient.identityKey, messageBox, messageId, 'body', createdAt)
    const signature = signPortably(alice.keys, text)
    const message = {
      recipient: recipient.identityKey,
      messageBox,
      messageId,
      body: 'body',
      createdAt,
      signature
    }
    const answer = await alice.post(one.url, '/sendMessage', { message })
    expect(answer.status, answer.body.toString()).to.equal(200)
    return (answer.json.results as { delivery: string }[])[0]!.delivery
  }

  async function deliveries(messageId: string): Promise<Delivery[]> {
    const { json } = await alice.post(one.url, '/deliveryStatus', { messageIds: [messageId] })
    return json.deliveries as Delivery[]
  }

  const settled = (messageId: string): Promise<Delivery[]> =>
    until(
      () => deliveries(messageId),
      found => found.length > 0 && found.every(({ state }) => state !== 'pending')
    )

  /** The reports that alice has got about a message. */
  async function reports(messageId: string): Promise<Record<string, unknown>[]> {
    const found = await listMessages(alice, one, 'delivery_reports')
    for (const { sender, origin } of found) {
      expect({ sender, origin }).to.deep.equal({ sender: one.identityKey, origin: 'local' })
    }
    const bodies = found.map(({ body }) => JSON.parse(body) as Record<string, unknown>)
    return bodies.filter(report => report.messageId === messageId)
  }

  const domains = (hosts: readonly { domain: string }[]) => hosts.map(({ domain }) => domain).sort()

  it('are four at most, the newest', async () => {
    const bob = newUser()
    const hosts = await hostsOf(bob, 6)
    expect(await send(bob, 'to four')).to.equal('forwarding')
    const found = await settled('to four')
    expect(found.map(({ state }) => state)).to.deep.equal(Array(4).fill('delivered'))
    expect(found.map(({ host }) => host).sort()).to.deep.equal(domains(hosts.slice(2)))
    expect(hosts.map(({ asked }) => asked)).to.deep.equal([0, 0, 1, 1, 1, 1])
    expect(await reports('to four')).to.have.length(0)
  })

  it('count once however many tokens they have, and become no younger by copies', async () => {
    const bob = newUser()
    const hosts = await hostsOf(bob, 5)
    const [oldest] = hosts as [FakeHost]
    clock.ahead += 10
    for (let i = 0; i < 3; i++) await submitScript(one, tokenScript(oldest.operator, oldest.domain, bob))
    await send(bob, 'no younger')
    await settled('no younger')
    expect(hosts.map(({ asked }) => asked)).to.deep.equal([0, 1, 1, 1, 1])
  })

  it('give their place to the next when they refuse', async () => {
    const bob = newUser()
    const hosts = await hostsOf(bob, 6)
    for (const host of hosts.slice(4)) host.answers(403, REFUSED)
    await send(bob, 'next')
    const found = await settled('next')
    const inState = (wanted: string) =>
      domains(found.filter(({ state }) => state === wanted).map(d => ({ domain: d.host })))
    expect(inState('refused')).to.deep.equal(domains(hosts.slice(4)))
    expect(inState('delivered')).to.deep.equal(domains(hosts.slice(0, 4)))
    expect(hosts.map(({ asked }) => asked)).to.deep.equal([1, 1, 1, 1, 1, 1])
    expect(await reports('next')).to.have.length(0)
  })

  it('are eight at most that are tried; when none took the message its sender finds one report', async () => {
    const bob = newUser()
    const hosts = await hostsOf(bob, 10, 403, REFUSED)
    await send(bob, 'nobody')
    const [report] = await until(
      () => reports('nobody'),
      found => found.length > 0
    )
    expect(report).to.deep.include({
      messageId: 'nobody',
      recipient: bob.identityKey,
      messageBox: 'inbox',
      state: 'refused',
      code: 'ERR_DELIVERY_BLOCKED'
    })
    expect(report!.description).to.be.a('string').and.not.empty
    const found = await settled('nobody')
    expect(found.map(({ state }) => state)).to.deep.equal(Array(8).fill('refused'))
    expect(domains(hosts)).to.include(report!.host)
    expect(hosts.map(({ asked }) => asked)).to.deep.equal([0, 0, 1, 1, 1, 1, 1, 1, 1, 1])
    expect(await reports('nobody')).to.have.length(1)
    expect(await listMessages(bob, one, 'inbox')).to.have.length(0)
  })

  it('are reported about once also where many refuse the same message at once', async () => {
    const bob = newUser()
    await hostsOf(bob, 4, 403, REFUSED)
    const ids = Array.from({ length: 10 }, (_, i) => `many ${i}`)
    await Promise.all(ids.map(id => send(bob, id, id)))
    for (const id of ids) {
      await settled(id)
      expect(await reports(id), id).to.have.length(1)
    }
  })

  it('who are none of it: a message that all of them disown is parked, and follows when a home appears', async () => {
    const bob = newUser()
    const hosts = await hostsOf(bob, 3, 403, NOT_HOME)
    expect(await send(bob, 'disowned', 'parked')).to.equal('forwarding')
    const [parked] = await until(
      () => listMessages(bob, one, 'parked'),
      found => found.length === 1
    )
    expect(parked).to.include({ messageId: 'disowned', sender: alice.identityKey, body: 'body' })
    expect((await settled('disowned')).map(({ state }) => state)).to.deep.equal(Array(3).fill('refused'))
    expect(await reports('disowned')).to.have.length(0)

    await authorizeRouting(bob, behindDoor())
    const [arrived] = await until(
      () => listMessages(bob, two, 'parked'),
      found => found.length === 1
    )
    expect(arrived).to.include({ messageId: 'disowned', sender: alice.identityKey, origin: 'signature' })
    await until(
      () => listMessages(bob, one, 'parked'),
      found => found.length === 0
    )
    expect(hosts.map(({ asked }) => asked)).to.deep.equal([1, 1, 1])
    expect(await reports('disowned')).to.have.length(0)
  })

  describe('in whose name others advertise', () => {
    it('lose nothing: an impostor is refused without a contact while the right key is known', async () => {
      const [honest, deceived] = [newUser(), newUser()]
      const impostor = new TestUser('impostor')
      await authorizeRouting(honest, behindDoor())
      await untilHosts(one, honest, 1)
      await send(honest, 'honest 1')
      await settled('honest 1')

      await submitScript(one, tokenScript(impostor, behindDoor().domain, deceived))
      expect(await liveOperators(one, deceived)).to.deep.equal([impostor.identityKey])
      await quiet()
      const before = door.passed.length
      await send(deceived, 'deceived')
      const [delivery] = await settled('deceived')
      expect(delivery).to.include({ state: 'refused', lastAnswer: 'ERR_WRONG_IDENTITY' })
      expect(door.passed.slice(before).filter(fromOne)).to.have.length(0)
      expect(await passedOver('other-key-known')).to.equal(1)
      await until(
        () => reports('deceived'),
        found => found.length === 1
      )

      await send(honest, 'honest 2')
      const [taken] = await settled('honest 2')
      expect(taken).to.include({ state: 'delivered' })
      const messages = await listMessages(honest, two, 'inbox')
      expect(messages.map(({ messageId }) => messageId)).to.deep.equal(['honest 1', 'honest 2'])
      expect(await inspect(one, 'select domain from destinations')).to.deep.equal([])
    })

    it('are asked again after an hour, and nothing of the message leaves', async () => {
      const deceived = newUser()
      const impostor = new TestUser('another impostor')
      clock.ahead += 61 * 60_000
      await submitScript(one, tokenScript(impostor, behindDoor().domain, deceived))
      const before = door.passed.length
      await send(deceived, 'an hour later')
      const [delivery] = await settled('an hour later')
      expect(delivery).to.include({ state: 'refused', lastAnswer: 'ERR_WRONG_IDENTITY' })
      const came = door.passed.slice(before).filter(fromOne)
      expect(came.map(({ target }) => target)).to.include('/.well-known/auth')
      expect(came.map(({ target }) => target)).not.to.include('/propagateMessage')
      expect(await passedOver('wrong-identity')).to.equal(1)
      expect(await inspect(one, 'select domain from destinations')).to.deep.equal([])
    })

    /** How many tokens node one has counted as passed over for this. */
    async function passedOver(reason: string): Promise<number> {
      const text = await one.node.context.metrics.text()
      const line = new RegExp(`^peerserv_tokens_passed_over_total\\{reason="${reason}"\\} (\\d+)$`, 'm')
      return Number(line.exec(text)?.[1] ?? 0)
    }

    /** What deliveries ask for; overlay hosts ask each other for other things meanwhile. */
    const fromOne = ({ target }: { target: string }) =>
      /^\/(\.well-known\/auth|propagateMessage)$/.test(target)

    /** Waits until nothing is on its way to node two. */
    const quiet = () =>
      until(
        () => inspect<{ n: number }>(one, `select count(*) as n from deliveries where state = 'pending'`),
        ([row]) => row!.n === 0
      )
  })

  describe('and the reports', () => {
    it('can be written by nobody else', async () => {
      const bob = newUser()
      const message = {
        recipient: alice.identityKey,
        messageBox: 'delivery_reports',
        body: '{"messageId":"made up"}'
      }
      const answer = await bob.post(one.url, '/sendMessage', { message })
      expect(answer.status).to.equal(403)
      expect(answer.json).to.include({ code: 'ERR_RESERVED_MESSAGEBOX' })
      await authorizeRouting(alice, one)
      const host = new TestUser('a host that writes reports')
      const handed = await host.post(one.url, '/propagateMessage', propagated(host, bob, message))
      expect(handed.status).to.be.within(400, 403)
      expect(await reports('made up')).to.have.length(0)
    })

    it('stay at the node through which the message was sent, and nothing is reported about them', async () => {
      const before: ListedMessage[] = await listMessages(alice, one, 'delivery_reports')
      expect(before).not.to.have.length(0)
      // Her other home: what stands in her boxes at node one is handed to it, but for reports.
      await authorizeRouting(alice, behindDoor())
      await untilHosts(one, alice, 2)
      await until(
        () => inspect<{ n: number }>(one, 'select count(*) as n from catch_ups'),
        ([row]) => row!.n === 0
      )
      const planned = await inspect(one, `select from deliveries where message_box = 'delivery_reports'`)
      expect(planned).to.have.length(0)
      expect(await listMessages(alice, two, 'delivery_reports')).to.have.length(0)
      expect(await listMessages(alice, one, 'delivery_reports')).to.deep.equal(before)
      const toNode = await listMessages(new TestUser('node hosts one'), one, 'delivery_reports')
      expect(toNode).to.have.length(0)
    })
  })
})
