import { expect } from 'chai'
import { signPortably } from '../../src/keys/portable-signature.js'
import { permissionText } from '../../src/permissions/rule.js'
import { inspect, untilHosts } from '../support/advertised.js'
import { type Answer, TestUser } from '../support/client.js'
import {
  authorizeRouting,
  authorizeSending,
  listMessages,
  startMesh,
  type TestNode,
  until
} from '../support/nodes.js'
import { propagated } from '../support/propagated.js'

const BOX = 'inbox'

describe('permissions of a recipient with several hosts', () => {
  let nodes: TestNode[]
  const operators = ['one', 'two', 'three'].map(name => new TestUser(`node permission statements ${name}`))
  let users = 0
  const newUser = () => new TestUser(`user ${users++} of permission statements`)

  before(async function () {
    this.timeout(60_000)
    nodes = await startMesh(
      ['one', 'two', 'three'].map(name => `permission statements ${name}`),
      { options: { federation: { random: () => 0 } } }
    )
  })
  after(() => Promise.all(nodes.map(node => node.remove())))

  async function recipientAt(...homes: TestNode[]): Promise<TestUser> {
    const user = newUser()
    for (const home of homes) await authorizeRouting(user, home)
    for (const node of nodes) await untilHosts(node, user, homes.length)
    return user
  }

  function signed(
    user: TestUser,
    recipientFee: number | null,
    setAt = Date.now(),
    sender?: TestUser,
    signer = user
  ) {
    const rule = { messageBox: BOX, sender: sender?.identityKey, recipientFee, setAt }
    return { ...rule, signature: signPortably(signer.keys, permissionText(user.identityKey, rule)) }
  }

  async function set(user: TestUser, node: TestNode, rule: object): Promise<void> {
    const answer = await user.post(node.url, '/permissions/set', rule)
    expect(answer.status, answer.body.toString()).to.equal(200)
  }

  async function feeAt(node: TestNode, user: TestUser, sender?: TestUser): Promise<unknown> {
    const query = new URLSearchParams({ messageBox: BOX, ...(sender && { sender: sender.identityKey }) })
    const { json } = await user.get(node.url, `/permissions/get?${query}`)
    return (json.permission as { recipientFee: number } | null)?.recipientFee
  }

  const untilFee = (node: TestNode, user: TestUser, fee: number | undefined, sender?: TestUser) =>
    until(
      () => feeAt(node, user, sender),
      found => found === fee
    )

  const passOn = (
    caller: TestUser,
    node: TestNode,
    user: TestUser,
    ...permissions: unknown[]
  ): Promise<Answer> =>
    caller.post(node.url, '/propagatePermission', { recipient: user.identityKey, permissions })

  it('go to all of them, also taken back, and those that are set plainly stay', async () => {
    const [bob, alice] = [await recipientAt(...nodes), newUser()]
    await set(bob, nodes[0]!, signed(bob, 25))
    await set(bob, nodes[1]!, signed(bob, -1, Date.now(), alice))
    await set(bob, nodes[2]!, { messageBox: 'plain', recipientFee: 3 })
    for (const node of nodes) {
      await untilFee(node, bob, 25)
      await untilFee(node, bob, -1, alice)
    }
    const answer = await bob.post(nodes[2]!.url, '/permissions/delete', signed(bob, null))
    expect(answer.status, answer.body.toString()).to.equal(200)
    for (const node of nodes) await untilFee(node, bob, undefined)
    for (const [i, count] of [1, 1, 2].entries()) {
      const { json } = await bob.get(nodes[i]!.url, '/permissions/list')
      expect(json.permissions).to.have.length(count)
    }
  })

  it('converge when hosts were down, whatever was said where meanwhile', async () => {
    const bob = await recipientAt(...nodes)
    const [one, two, three] = nodes as [TestNode, TestNode, TestNode]
    const now = Date.now()
    await three.stop()
    await set(bob, one, signed(bob, 10, now + 2))
    await untilFee(two, bob, 10)
    await one.stop()
    // Two heard it from one, which is gone when three comes back.
    await three.restart()
    await untilFee(three, bob, 10)
    await set(bob, three, signed(bob, 30, now + 3))
    await untilFee(two, bob, 30)
    await two.stop()
    await one.restart()
    await untilFee(one, bob, 30)
    await set(bob, one, signed(bob, 40, now + 5))
    await untilFee(three, bob, 40)
    await two.restart()
    for (const node of nodes) await untilFee(node, bob, 40)
  })

  it('are told to a host that comes later, and what was sent before still moves there', async () => {
    const [one, two, three] = nodes as [TestNode, TestNode, TestNode]
    const [bob, alice, carol] = [await recipientAt(one), newUser(), newUser()]
    await authorizeSending(alice, two)
    const send = (from: TestUser, body: string) =>
      from.post(two.url, '/sendMessage', { message: { recipient: bob.identityKey, messageBox: BOX, body } })
    expect((await send(alice, 'before')).status).to.equal(200)
    const bodies = async (node: TestNode) => (await listMessages(bob, node, BOX)).map(({ body }) => body)
    await until(
      () => bodies(one),
      found => found.length === 1
    )
    await set(bob, one, signed(bob, -1, Date.now(), alice))
    for (let i = 0; i < 60; i++) {
      const rule = { messageBox: `box ${i}`, sender: carol.identityKey, recipientFee: i, setAt: Date.now() }
      await set(bob, one, {
        ...rule,
        signature: signPortably(bob.keys, permissionText(bob.identityKey, rule))
      })
    }
    await authorizeRouting(bob, three)
    await untilFee(three, bob, -1, alice)
    await until(
      async () => (await bob.get(three.url, '/permissions/list?limit=1')).json.totalCount,
      count => count === 61
    )
    await until(
      () => bodies(three),
      found => found.length === 1
    )
    expect((await send(alice, 'after')).status).to.equal(200)
    await until(
      () => listMessages(alice, two, 'delivery_reports'),
      reports => reports.length === 1
    )
    expect([await bodies(one), await bodies(three)]).to.deep.equal([['before'], ['before']])
  })

  it('are changed by nobody else, and never back', async () => {
    const bob = await recipientAt(nodes[0]!)
    const [host, at] = [operators[1]!, nodes[0]!]
    const now = Date.now()
    const old = signed(bob, 50, now - 1)
    await set(bob, at, old)
    await set(bob, at, signed(bob, 60, now))
    const refusals: [Answer, number, string][] = [
      [await passOn(host, at, bob, signed(bob, 0, now + 1, undefined, host)), 403, 'ERR_PERMISSION_UNPROVEN'],
      [
        await passOn(host, at, bob, { ...signed(bob, 0, now + 1), setAt: now + 2 }),
        403,
        'ERR_PERMISSION_UNPROVEN'
      ],
      [
        await passOn(host, at, bob, { ...signed(bob, 0, now + 1), signature: null }),
        403,
        'ERR_PERMISSION_UNPROVEN'
      ],
      [await passOn(host, at, bob, signed(bob, 0, now + 700_000)), 425, 'ERR_INVALID_SET_AT'],
      [await passOn(host, nodes[1]!, bob, signed(bob, 0, now + 1)), 403, 'ERR_NOT_HOME'],
      [await passOn(host, at, bob), 400, 'ERR_INVALID_REQUEST'],
      [await passOn(host, at, bob, 5), 400, 'ERR_INVALID_REQUEST'],
      [await passOn(host, at, bob, { ...old, recipientFee: 0.5 }), 400, 'ERR_INVALID_FEE_VALUE'],
      [await passOn(host, at, bob, ...Array.from({ length: 51 }, () => old)), 400, 'ERR_TOO_MANY_PERMISSIONS']
    ]
    for (const [{ status, json }, wanted, code] of refusals) {
      expect({ status, code: json.code }).to.deep.equal({ status: wanted, code })
    }
    const stale = await passOn(host, at, bob, old)
    expect(stale.json).to.deep.equal({ status: 'success', changed: 0 })
    expect(await feeAt(at, bob)).to.equal(60)
    // Taken back, too.
    await bob.post(at.url, '/permissions/delete', signed(bob, null, now + 5))
    expect((await passOn(host, at, bob, signed(bob, 60, now + 4))).json).to.include({ changed: 0 })
    expect(await feeAt(at, bob)).to.equal(undefined)
    expect((await passOn(host, at, bob, signed(bob, 70, now + 6))).json).to.include({ changed: 1 })
    expect(await feeAt(at, bob)).to.equal(70)
  })

  it('are not in the way of acknowledgements: both are told to the host', async () => {
    const bob = await recipientAt(nodes[0]!, nodes[1]!)
    await nodes[1]!.stop()
    await set(bob, nodes[0]!, signed(bob, 5))
    await nodes[1]!.restart()
    await untilFee(nodes[1]!, bob, 5)
    for (const node of [nodes[0]!, nodes[1]!]) {
      await until(
        () =>
          inspect(
            node,
            'select from statement_deliveries where recipient = $1',
            Buffer.from(bob.identityKey, 'hex')
          ),
        rows => rows.length === 0
      )
    }
  })

  it('refuse what nothing but its encryption proves, where the recipient wants that', async () => {
    const [bob, alice] = [await recipientAt(nodes[0]!), newUser()]
    const body = JSON.stringify({ encryptedMessage: Buffer.alloc(60, 7).toString('base64') })
    const message = { recipient: bob.identityKey, messageBox: BOX, body }
    const { hostAttestation, ...sealed } = propagated(operators[1]!, alice, message)
    await set(bob, nodes[0]!, { messageBox: BOX, sealed: false })
    const refused = await operators[1]!.post(nodes[0]!.url, '/propagateMessage', sealed)
    expect((refused.json.results as object[])[0]).to.deep.include({
      code: 'ERR_ORIGIN_UNPROVEN',
      httpStatus: 403,
      check: 'unsealed-only'
    })
    const proven = await operators[1]!.post(nodes[0]!.url, '/propagateMessage', {
      ...sealed,
      hostAttestation
    })
    expect((proven.json.results as object[])[0]).to.include({ status: 'success' })
  })
})
