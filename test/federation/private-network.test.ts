import { connect } from 'node:net'
import { expect } from 'chai'
import { signPortably } from '../../src/keys/portable-signature.js'
import { signedMessageText } from '../../src/message.js'
import type { NodeOptions } from '../../src/node.js'
import { inspect, liveOperators, submitScript, tokenScript, untilHosts } from '../support/advertised.js'
import { createTestAuthority } from '../support/certificates.js'
import { TestUser } from '../support/client.js'
import {
  authorizeRouting,
  freePort,
  listMessages,
  startTestNode,
  type TestNode,
  until
} from '../support/nodes.js'
import { startTlsFront, type TlsFront } from '../support/tls-front.js'

const ONE = 'one.example.org'
const TWO = 'two.example.org'
const ELSEWHERE = 'elsewhere.example.org'

/**
 * Whole nodes by the rules of `main`: HTTPS on 443 of public addresses. Only the connector's last step is replaced: it takes
 * the address that was judged to a listener on loopback.
 */
describe('two nodes of a private network, over TLS', () => {
  const authority = createTestAuthority()
  const stranger = createTestAuthority()
  const alice = new TestUser('alice of the private network')
  const bob = new TestUser('bob of the private network')
  const clock = { ahead: 0, now: () => Date.now() + clock.ahead }
  /** What name servers say. */
  const names = new Map([
    [ONE, ['93.184.216.34']],
    [TWO, ['2606:4700:4700::1111', '93.184.216.35']],
    [ELSEWHERE, ['93.184.216.36']]
  ])
  /** Where the packets to a public address end up. */
  const listeners = new Map<string, number>()
  const dialled: string[] = []
  let one: TestNode
  let two: TestNode
  let fronts: readonly TlsFront[] = []

  before(async function () {
    this.timeout(60_000)
    if (authority === undefined || stranger === undefined) this.skip()
    const ports = [await freePort(), await freePort()]
    fronts = await Promise.all([
      startTlsFront(ports[0]!, authority.issue(ONE)),
      startTlsFront(ports[1]!, authority.issue(TWO))
    ])
    listeners.set('93.184.216.34', fronts[0]!.port)
    listeners.set('2606:4700:4700::1111', fronts[1]!.port)
    const options: Partial<NodeOptions> = {
      clock,
      federation: {
        random: () => 0,
        outbound: {
          ca: authority.ca,
          resolver: async hostname => names.get(hostname) ?? [],
          connector({ hostname, port, addresses }) {
            dialled.push(`${hostname} ${addresses.join()} ${port}`)
            return connect(listeners.get(addresses[0]!) ?? 1, '127.0.0.1')
          }
        }
      }
    }
    const start = (name: string, port: number, domain: string, peer: string) =>
      startTestNode(name, {
        port,
        peers: [`https://${peer}`],
        environment: { NETWORK: 'private', PUBLIC_DOMAIN: domain },
        options
      })
    ;[one, two] = await Promise.all([
      start('private one', ports[0]!, ONE, TWO),
      start('private two', ports[1]!, TWO, ONE)
    ])
    await authorizeRouting(bob, { ...two, domain: TWO })
    await untilHosts(one, bob, 1)
  })
  after(async () => {
    await Promise.all([one?.remove(), two?.remove()])
    await Promise.all(fronts.map(front => front.close()))
    authority?.remove()
    stranger?.remove()
  })

  /** Signed by its sender, so that any host can be given it. */
  async function send(messageId: string, to = bob): Promise<void> {
    const createdAt = clock.now()
    const text = signedMessageText(to.identityKey, 'inbox', messageId, messageId, createdAt)
    const signature = signPortably(alice.keys, text)
    const message = {
      recipient: to.identityKey,
      messageBox: 'inbox',
      messageId,
      body: messageId,
      createdAt,
      signature
    }
    const answer = await alice.post(one.url, '/sendMessage', { message })
    expect(answer.status, answer.body.toString()).to.equal(200)
  }

  const arrived = async (): Promise<unknown[]> =>
    (await listMessages(bob, { ...two, domain: TWO }, 'inbox')).map(({ messageId }) => messageId)
  const arrives = (messageId: string) =>
    until(arrived, ids => {
      clock.ahead += 1_000
      return ids.includes(messageId)
    })
  /** Waits until node one has failed at a domain; answers at what. */
  async function failure(domain = TWO): Promise<string> {
    const rows = await until(
      () =>
        inspect<{ last_answer: string }>(
          one,
          'select last_answer from destinations where domain = $1',
          domain
        ),
      found => found.length > 0
    )
    return rows[0]!.last_answer
  }

  it('hand on a message at the judged addresses, on 443, asking for the name', async () => {
    await send('over TLS')
    await arrives('over TLS')
    const [message] = await listMessages(bob, { ...two, domain: TWO }, 'inbox')
    expect(message).to.include({ sender: alice.identityKey, body: 'over TLS', origin: 'signature' })
    expect(dialled).to.include(`${TWO} 2606:4700:4700::1111,93.184.216.35 443`)
    for (const dial of dialled) expect(dial).to.match(/^(one|two)\.example\.org [0-9a-f:.,]+ 443$/)
    expect(new Set(fronts[1]!.served)).to.deep.equal(new Set([TWO]))
  })

  for (const [what, certificate] of [
    ['for another name', () => authority!.issue(ONE, 'example.org')],
    ['of an unknown authority', () => stranger!.issue(TWO)]
  ] as const) {
    it(`send nothing to a host with a certificate ${what}, and try again`, async () => {
      fronts[1]!.show(certificate())
      const before = fronts[1]!.received()
      const id = `certificate ${what}`
      await send(id)
      expect(await failure()).to.equal('tls')
      expect(fronts[1]!.received()).to.equal(before)
      fronts[1]!.show(authority!.issue(TWO))
      await arrives(id)
    })
  }

  it('follow no redirect, and try again at the same host', async () => {
    listeners.set('93.184.216.36', fronts[0]!.port)
    fronts[1]!.answer(
      `HTTP/1.1 307 Temporary Redirect\r\nLocation: https://${ELSEWHERE}/.well-known/auth\r\nContent-Length: 0\r\n\r\n`
    )
    await send('redirected')
    expect(await failure()).to.match(/redirect/)
    fronts[1]!.answer(undefined)
    await arrives('redirected')
    expect(dialled.join()).not.to.contain(ELSEWHERE)
  })

  it('call no address that is not public, also beside public ones', async () => {
    const genuine = names.get(TWO)!
    for (const answers of [['10.0.0.1'], [...genuine, '::ffff:7f00:1']]) {
      names.set(TWO, answers)
      fronts[1]!.show(authority!.issue(TWO))
      const before = dialled.filter(dial => dial.startsWith(TWO)).length
      const id = `at ${answers.at(-1)}`
      await send(id)
      expect(await failure(), id).to.equal('refused-address')
      expect(
        dialled.filter(dial => dial.startsWith(TWO)),
        id
      ).to.have.length(before)
      names.set(TWO, genuine)
      await arrives(id)
    }
  })

  it('admit no token that names an address, a port or a scheme, in whatever spelling', async () => {
    const carol = new TestUser('carol of the private network')
    const operator = new TestUser('operator of a literal')
    for (const domain of [
      '127.0.0.1',
      '93.184.216.34',
      '2130706433',
      '0x7f000001',
      '127.1',
      '[::1]',
      'localhost',
      `${TWO}:8443`,
      `https://${TWO}`,
      `${TWO}.`,
      `user@${TWO}`
    ]) {
      const refused = await submitScript(one, tokenScript(operator, domain, carol)).catch(
        (error: Error) => error
      )
      expect(refused, domain).to.be.an('error')
    }
    expect(await liveOperators(one, carol)).to.deep.equal([])
    await submitScript(one, tokenScript(operator, ELSEWHERE, carol))
    expect(await liveOperators(one, carol)).to.deep.equal([operator.identityKey])
  })
})
