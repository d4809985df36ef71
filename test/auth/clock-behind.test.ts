import { expect } from 'chai'
import { pruneMessageBoxes } from '../../src/storage/messages.js'
import { TestUser } from '../support/client.js'
import { type MessageBoxNode, startMessageBoxNode } from '../support/message-box-node.js'

const HOUR = 60 * 60_000

/** Its memory of requests was begun by a clock that was ahead, or its own clock has fallen behind since. */
describe('a node whose clock is hours behind its memory of requests', () => {
  let node: MessageBoxNode
  const alice = new TestUser('alice of a slow clock')
  const list = () => alice.post(node.url, '/listMessages', { messageBox: 'inbox' })

  before(async () => {
    node = await startMessageBoxNode()
    await list()
    node.clock.forward(-3 * HOUR)
  })
  after(() => node?.stop())

  it('serves its users, and goes on doing so while the clock catches up', async () => {
    for (let hours = 0; hours < 6; hours++) {
      expect((await list()).status).to.equal(200)
      node.clock.forward(HOUR)
    }
    node.clock.forward(-6 * HOUR)
  })

  it('takes no request twice, however late it comes', async () => {
    await alice.handshake(node.url)
    const { request, status } = await list()
    expect(status).to.equal(200)
    for (let hours = 0; hours < 6; hours++) {
      expect((await alice.send(node.url, request)).status).to.equal(401)
      await pruneMessageBoxes(node.context.database, node.clock.now(), 100)
      node.clock.forward(HOUR)
    }
  })
})
