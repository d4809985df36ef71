import { expect } from 'chai'
import { OperatorLists } from '../../src/operator-lists.js'
import { TestUser } from '../support/client.js'
import { authorization, type OverlayNode, startOverlayNode } from '../support/overlay.js'

describe('tokens of a blocked host', () => {
  const lists = new OperatorLists({
    own: { identityKey: 'the reader', domain: 'reader.example' },
    onRefused: () => undefined
  })
  let one: OverlayNode
  let reader: OverlayNode
  let users = 0

  before(async () => {
    one = await startOverlayNode('blocked')
    reader = await startOverlayNode('reader', { peers: [one.url], overlay: { operatorLists: lists } })
  })
  after(() => Promise.all([one?.remove(), reader?.remove()]))

  const advertise = (user: TestUser, boxExpression?: string) =>
    one.overlay.advertise(authorization(one, user, boxExpression))
  const block = (): void => lists.replace([{ list: 'block', kind: 'host', value: one.keys.identityKey }])
  const hosts = (user: TestUser) => reader.liveHosts(user)

  /** As the operator's command does. */
  async function unblock(): Promise<void> {
    lists.replace([])
    await reader.overlay.readAgain()
  }

  it('are not taken from peers, and are once it is unblocked, however far they had been read', async () => {
    const [bob, carol] = [new TestUser(`blocked ${users++}`), new TestUser(`blocked ${users++}`)]
    block()
    await advertise(bob)
    const first = await reader.overlay.syncOnce()
    expect(first.get(one.url)).to.include({ listed: 1, taken: 0, refused: 1 })
    expect(await hosts(bob)).to.deep.equal([])
    // Read on, so that the first one lies far behind.
    one.clock.time += 10 * 60_000
    reader.clock.time += 10 * 60_000
    await advertise(carol)
    await reader.overlay.syncOnce()
    await unblock()
    await reader.overlay.syncOnce()
    expect(await hosts(bob)).to.deep.equal([one.keys.identityKey])
    expect(await hosts(carol)).to.deep.equal([one.keys.identityKey])
  })

  it('end when they are spent meanwhile, and their successors come once it is unblocked', async () => {
    const bob = new TestUser(`blocked ${users++}`)
    await advertise(bob)
    await reader.overlay.syncOnce()
    expect(await hosts(bob)).to.deep.equal([one.keys.identityKey])
    block()
    one.clock.time += 10 * 60_000
    // Spends the first token.
    await advertise(bob, '.*')
    await reader.overlay.syncOnce()
    expect(await hosts(bob)).to.deep.equal([])
    await unblock()
    await reader.overlay.syncOnce()
    expect(await hosts(bob)).to.deep.equal([one.keys.identityKey])
  })
})
