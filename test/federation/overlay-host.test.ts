import { expect } from 'chai'
import { TestUser } from '../support/client.js'
import { authorization, type OverlayNode, startOverlayNode } from '../support/overlay.js'

describe('an overlay host', () => {
  let node: OverlayNode
  before(async () => {
    node = await startOverlayNode('host')
  })
  after(() => node.remove())

  it('x', async () => {
    const bob = new TestUser('bob')
    const { txid, created } = await node.overlay.advertise(authorization(node, bob))
    expect(created).to.equal(true)
    expect(await node.liveHosts(bob)).to.deep.equal([node.keys.identityKey])
    expect(await node.overlay.advertise(authorization(node, bob))).to.deep.equal({ txid, created: false })
    const two = await node.overlay.advertise(authorization(node, bob, '^a$'))
    expect(await node.liveHosts(bob)).to.deep.equal([node.keys.identityKey])
    console.log(await node.overlay.revoke(bob.identityKey))
    expect(await node.liveHosts(bob)).to.deep.equal([])
    for (let i = 0; i < 40; i++) await node.overlay.advertise(authorization(node, bob, `a{${i}}`))
    console.log(await node.query('select count(*), max(octet_length(beef)) from overlay_transactions'), (await node.liveHosts(bob)).length)
  })
})
