import { Engine } from '@bsv/overlay'
import { expect } from 'chai'
import { PhipScripts } from '../../federation/overlay/phip-scripts.js'
import { OverlayStorage } from '../../federation/overlay/storage.js'
import { PhipTopicManager } from '../../federation/overlay/topic-manager.js'
import { curve, TestUser } from '../support/client.js'
import { createTestDatabase, type TestDatabase } from '../support/database.js'
import { makeToken, type OverlayNode, operator, startOverlayNode, submit } from '../support/overlay.js'
import { json, ScriptedHost } from '../support/peer.js'

const TOPIC = 'tm_phip'

describe('a stock engine of @bsv/overlay', () => {
  let databases: TestDatabase
  let storage: OverlayStorage
  let host: ScriptedHost
  let node: OverlayNode
  let engine: Engine
  before(async () => {
    databases = await createTestDatabase()
    storage = new OverlayStorage(databases.database, Date.now())
    host = await ScriptedHost.start()
    node = await startOverlayNode('beside a stock engine', { peers: [`http://${host.domain}`] })
    const manager = new PhipTopicManager(databases.database, new PhipScripts(curve, 'local'))
    const silent = Object.assign(Object.create(console), { info() {}, error() {}, warn() {} })
    engine = new Engine(
      { [TOPIC]: manager },
      {},
      storage,
      'scripts only',
      `http://${host.domain}`,
      undefined,
      undefined,
      undefined,
      undefined,
      { [TOPIC]: [node.url] },
      false,
      '',
      false,
      undefined,
      silent
    )
    host.always('POST /requestSyncResponse', async (request, response) => {
      const answer = await engine.provideForeignSyncResponse(JSON.parse(request.body.toString()), TOPIC)
      return json(200, answer)(request, response)
    })
    host.always('POST /requestForeignGASPNode', async (request, response) => {
      const { graphID, txid, outputIndex } = JSON.parse(request.body.toString())
      return json(200, await engine.provideForeignGASPNode(graphID, txid, outputIndex))(request, response)
    })
  })
  after(async () => {
    await node.remove()
    await host.close()
    await databases.drop()
  })

  it('syncs from this host', async () => {
    const tokens = await Promise.all(
      ['a', 'b', 'c'].map(name => makeToken(operator(name), new TestUser(name)))
    )
    for (const { beef } of tokens) await submit(node, beef)
    await quietly(() => engine.startGASPSync())
    const held = await storage.findUTXOsForTopic(TOPIC)
    expect(held.map(({ txid }) => txid)).to.have.members(tokens.map(({ txid }) => txid))
    expect(await storage.getLastInteraction(node.url, TOPIC)).to.be.greaterThan(0)
  })

  it('is synced from by this host', async () => {
    const dave = new TestUser('d')
    const token = await makeToken(operator('d'), dave)
    await engine.submit({ beef: [...token.beef], topics: [TOPIC] }, undefined, 'historical-tx')
    const report = await node.overlay.syncOnce()
    expect(report.get(`http://${host.domain}`)).to.include({ taken: 1, refused: 0, complete: true })
    expect(await node.liveHosts(dave)).to.deep.equal([operator('d').keys.identityKey])
  })
})

/** The library narrates its sync on the console, whatever logger it is given. */
async function quietly(work: () => Promise<void>): Promise<void> {
  const { info, warn } = console
  Object.assign(console, { info() {}, warn() {} })
  try {
    await work()
  } finally {
    Object.assign(console, { info, warn })
  }
}
