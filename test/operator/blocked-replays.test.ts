import { expect } from 'chai'
import { exchange, type RawRequest, TestUser } from '../support/client.js'
import { authorizeRouting, listMessages, startTestNode, type TestNode } from '../support/nodes.js'
import { block, unblock } from '../support/operator.js'
import { propagated } from '../support/propagated.js'

describe('requests refused while somebody was blocked', () => {
  let node: TestNode
  const bob = new TestUser('bob of blocked replays')
  let names = 0
  before(async () => {
    node = await startTestNode('blocked replays')
    await authorizeRouting(bob, node)
  })
  after(() => node?.remove())

  const newUser = () => new TestUser(`somebody ${names++} of blocked replays`)

  async function signed(user: TestUser, target: string, body: object): Promise<RawRequest> {
    const bytes = Buffer.from(JSON.stringify(body))
    const headers = { 'content-type': 'application/json' }
    return user.sign(await user.session(node.url), { method: 'POST', target, headers, body: bytes })
  }

  /** Refused while the value is blocked, and of no effect when it is played again afterwards. */
  async function refusedForGood(kind: string, value: string, request: RawRequest): Promise<void> {
    await block(node, kind, value)
    expect((await exchange(node.url, request)).status).to.equal(403)
    await unblock(node, kind, value)
    expect((await exchange(node.url, request)).status).to.equal(401)
    expect((await listMessages(bob, node, 'inbox')).map(({ body }) => body)).to.deep.equal([])
  }

  const mail = { recipient: bob.identityKey, messageBox: 'inbox', body: 'refused' }

  it('by a sender are not carried out afterwards', async () => {
    const alice = newUser()
    await refusedForGood(
      'identity',
      alice.identityKey,
      await signed(alice, '/sendMessage', { message: mail })
    )
  })

  it('by a host are not carried out afterwards', async () => {
    const host = newUser()
    const body = propagated(host, newUser(), { ...mail, body: `refused ${names}` })
    await refusedForGood('host', host.identityKey, await signed(host, '/propagateMessage', body))
  })

  it('by a host for a sender are not carried out afterwards', async () => {
    const [host, alice] = [newUser(), newUser()]
    const body = propagated(host, alice, { ...mail, body: `refused ${names}` })
    await refusedForGood('identity', alice.identityKey, await signed(host, '/propagateMessage', body))
  })
})
