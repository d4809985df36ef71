import { expect } from 'chai'
import { formatRoutingText, signRoutingText } from '../../federation/phip/routing-authorization.js'
import { signWithdrawalText } from '../../federation/phip/withdrawal.js'
import { inspect, liveOperators } from '../support/advertised.js'
import { type Answer, TestUser } from '../support/client.js'
import { startTestNode, type TestNode, until } from '../support/nodes.js'
import { propagated } from '../support/propagated.js'

const DOMAIN = 'host.example.org'
const DAY = 24 * 60 * 60_000
const TOKENS = 3
const WITHDRAWALS = 2

const textFor = (node: TestNode) =>
  formatRoutingText({ hostKey: node.identityKey, domain: DOMAIN, boxExpression: undefined })

const authorize = (user: TestUser, node: TestNode): Promise<Answer> => {
  const message = textFor(node)
  const signature = signRoutingText(user.keys, message).toString('base64')
  return user.post(node.url, '/authorizeRouting', { message, signature })
}

/** Whether a host that hands on a message is told that this user is at home here. */
async function isAtHome(user: TestUser, node: TestNode): Promise<boolean> {
  const [host, sender] = [new TestUser('a host that hands on'), new TestUser('a sender')]
  const message = { recipient: user.identityKey, messageBox: 'inbox', body: `for ${user.identityKey}` }
  const { json } = await host.post(node.url, '/propagateMessage', propagated(host, sender, message))
  return json.code !== 'ERR_NOT_HOME'
}

describe('what an operator pays for in a day', () => {
  let processes: readonly [TestNode, TestNode]
  /** The noon of tomorrow: no message of the test is early there, and none is too old. */
  const clock = { time: (Math.floor(Date.now() / DAY) + 1.5) * DAY, now: () => clock.time }
  let users = 0

  before(async function () {
    this.timeout(60_000)
    const environment = {
      NETWORK: 'private',
      PUBLIC_DOMAIN: DOMAIN,
      LIMIT_DAILY_TOKENS: String(TOKENS),
      LIMIT_DAILY_WITHDRAWALS: String(WITHDRAWALS)
    }
    const first = await startTestNode('ceilings', { environment, options: { clock } })
    // The same key and the same database, on another port.
    const second = await startTestNode('ceilings', {
      environment: { ...environment, DATABASE_URL: first.databases.connectionString },
      options: { clock }
    })
    processes = [first, second]
  })
  after(async () => {
    await processes?.[1].remove()
    await processes?.[0].remove()
  })

  const newUsers = (count: number) => Array.from({ length: count }, () => new TestUser(`daily ${users++}`))

  /** Everybody at once, at one process or the other; answers who succeeded, and expects the others to be told. */
  async function race(
    crowd: readonly TestUser[],
    call: (user: TestUser, node: TestNode) => Promise<Answer>
  ): Promise<TestUser[]> {
    // On a busy machine a database may be slow to answer; then the same may be asked again.
    const settled = (user: TestUser, node: TestNode) =>
      until(
        () => call(user, node),
        ({ status }) => status !== 503
      )
    const answers = await Promise.all(crowd.map((user, index) => settled(user, processes[index % 2]!)))
    const seconds = Math.ceil((DAY - (clock.time % DAY)) / 1000)
    for (const { status, headers, json } of answers) {
      if (status === 200) continue
      expect(status, JSON.stringify(json)).to.equal(429)
      expect(json).to.include({ status: 'error', code: 'ERR_DAILY_CEILING', retryAfter: seconds })
      expect(headers['retry-after']).to.equal(String(seconds))
    }
    return crowd.filter((_, index) => answers[index]!.status === 200)
  }

  it('are so many tokens, however many ask two processes at once; who gets none is not at home', async () => {
    const crowd = newUsers(12)
    const lucky = await race(crowd, authorize)
    expect(lucky).to.have.length(TOKENS)
    for (const user of crowd) {
      const isLucky = lucky.includes(user)
      expect(await isAtHome(user, processes[0])).to.equal(isLucky)
      expect(await liveOperators(processes[0], user)).to.have.length(isLucky ? 1 : 0)
    }
    const rows = await inspect(processes[0], 'select from routing_authorizations')
    expect(rows).to.have.length(TOKENS)
    // What costs nothing is still there.
    expect((await authorize(lucky[0]!, processes[1])).status).to.equal(200)
  })

  it('and begin anew with the day', async () => {
    clock.time += DAY / 2 - 1
    expect(await race(newUsers(1), authorize)).to.have.length(0)
    clock.time += 1
    expect(await race(newUsers(5), authorize)).to.have.length(TOKENS)
  })

  it('and so many withdrawals, which are counted apart, and obeyed here all the same', async () => {
    clock.time += DAY
    const crowd = await race(newUsers(TOKENS), authorize)
    const withdraw = (user: TestUser, node: TestNode): Promise<Answer> => {
      const message = textFor(node)
      const signature = signWithdrawalText(user.keys, message).toString('base64')
      return user.post(node.url, '/revokeRouting', { message, signature })
    }
    // Nothing is left for tokens.
    expect(await race(newUsers(1), authorize)).to.have.length(0)
    expect(await race(crowd, withdraw)).to.have.length(WITHDRAWALS)
    for (const user of crowd) {
      expect(await isAtHome(user, processes[1])).to.equal(false)
      expect(await liveOperators(processes[0], user)).to.deep.equal([])
    }
    const published = await inspect(processes[0], 'select from phip_withdrawals')
    expect(published).to.have.length(WITHDRAWALS)
  })
})

describe('a host that nobody pays for', () => {
  for (const network of ['test', 'main']) {
    it(`is nobody's home on ${network}, and keeps nothing of an authorization`, async () => {
      const node = await startTestNode(`unfunded on ${network}`, {
        environment: { NETWORK: network, PUBLIC_DOMAIN: DOMAIN }
      })
      try {
        const bob = new TestUser('bob of nobody')
        const answer = await authorize(bob, node)
        expect(answer.status, answer.body.toString()).to.equal(503)
        expect(answer.json).to.include({ status: 'error', code: 'ERR_NO_FUNDING' })
        expect(await isAtHome(bob, node)).to.equal(false)
        for (const table of ['routing_authorizations', 'phip_tokens', 'messages', 'message_boxes']) {
          expect(await inspect(node, `select from ${table}`), table).to.have.length(0)
        }
        expect(await inspect(node, 'select count from overlay_mints')).to.deep.equal([{ count: 0 }])
      } finally {
        await node.remove()
      }
    })
  }
})
