import { expect } from 'chai'
import { TestUser } from '../support/client.js'
import {
  authorization,
  gate,
  makeToken,
  type OverlayNode,
  operator,
  spendToken,
  startOverlayMesh,
  startOverlayNode,
  submit,
  withdrawal
} from '../support/overlay.js'

describe('overlay hosts in step', () => {
  let nodes: OverlayNode[]
  let [one, two] = [] as unknown as [OverlayNode, OverlayNode]
  let users = 0
  before(async () => {
    nodes = await startOverlayMesh(['one', 'two'])
    ;[one, two] = nodes as [OverlayNode, OverlayNode]
  })
  after(() => Promise.all(nodes.map(node => node.remove())))

  const someone = (): TestUser => new TestUser(`in step ${users++}`)
  const keyOf = (node: Pick<OverlayNode, 'keys'>): string => node.keys.identityKey
  const advertise = (node: OverlayNode, user: TestUser, boxExpression?: string) =>
    node.overlay.advertise(authorization(node, user, boxExpression))

  /** Transactions of the node that a peer has not acknowledged. */
  async function pending(node: OverlayNode): Promise<number> {
    const [row] = await node.query<{ count: number }>('select count(*) as count from overlay_submissions')
    return row!.count
  }

  it('tell each other of new tokens and of spends at once', async () => {
    const bob = someone()
    await advertise(one, bob)
    await one.overlay.settled()
    expect(await two.liveHosts(bob)).to.deep.equal([keyOf(one)])
    expect(two.changed).to.include(bob.identityKey)
    await one.overlay.revoke(bob.identityKey)
    await one.overlay.settled()
    expect(await two.liveHosts(bob)).to.deep.equal([])
    expect(await pending(one)).to.equal(0)
  })

  it('catch up after an absence, in both directions, spends included', async () => {
    const [bob, carol, dave] = [someone(), someone(), someone()]
    await advertise(one, dave)
    await one.overlay.settled()
    await two.goDown()
    await advertise(one, bob)
    await advertise(two, carol)
    await one.overlay.revoke(dave.identityKey)
    await Promise.all([one.overlay.settled(), two.overlay.settled()])
    expect(await two.liveHosts(bob)).to.deep.equal([])
    expect(await two.liveHosts(dave)).to.deep.equal([keyOf(one)])
    expect(await pending(one)).to.equal(2)

    await two.comeBack()
    await one.overlay.syncOnce()
    expect(await two.liveHosts(bob), 'a token').to.deep.equal([keyOf(one)])
    expect(await two.liveHosts(dave), 'a spend').to.deep.equal([])
    expect(await one.liveHosts(carol), 'the other direction').to.deep.equal([keyOf(two)])
    expect(await pending(one)).to.equal(0)
  })

  it('read on where they ended, and nothing twice', async () => {
    one.clock.time += 10 * 60_000
    const tokens = await Promise.all(Array.from({ length: 30 }, () => makeToken(operator('far'), someone())))
    for (const { beef } of tokens) await submit(one, beef)
    const first = await two.overlay.syncOnce()
    expect(first.get(one.url)).to.include({ taken: 30, refused: 0, complete: true })
    const asked = one.requests.length
    const second = await two.overlay.syncOnce()
    expect(second.get(one.url)).to.include({ taken: 0, refused: 0 })
    expect(
      one.requests.slice(asked).filter(request => request.includes('requestForeignGASPNode'))
    ).to.deep.equal([])
    one.clock.time += 10 * 60_000
    await submit(one, (await makeToken(operator('far'), someone())).beef)
    const third = await two.overlay.syncOnce()
    expect(third.get(one.url)).to.include({ taken: 1 })
    const fourth = await two.overlay.syncOnce()
    expect(fourth.get(one.url), 'the last minute is read again').to.include({ listed: 1, taken: 0 })
  })

  it('ask for many at once, so that dozens cost a few requests', async () => {
    one.clock.time += 10 * 60_000
    const tokens = await Promise.all(Array.from({ length: 40 }, () => makeToken(operator('far'), someone())))
    for (const { beef } of tokens) await submit(one, beef)
    const asked = one.requests.length
    const report = await two.overlay.syncOnce()
    expect(report.get(one.url)).to.include({ taken: 40, refused: 0, complete: true })
    const paths = one.requests.slice(asked).map(request => request.replace(/^POST /, ''))
    // One of them may be about the tokens of an operator that are known.
    expect(paths.filter(path => path === '/lookup')).to.have.length.within(1, 2)
    expect(paths.filter(path => path === '/requestForeignGASPNode')).to.deep.equal([])
  })

  it('pass tokens on with their whole ancestry', async () => {
    const bob = someone()
    await two.goDown()
    for (let count = 0; count < 4; count++) await advertise(one, bob, `box${count}`)
    await one.overlay.settled()
    await two.comeBack()
    const report = await two.overlay.syncOnce()
    expect(report.get(one.url)).to.deep.include({ taken: 1, refused: 0 })
    expect(await two.liveHosts(bob)).to.deep.equal([keyOf(one)])
  })

  it('keep ages and pass on withdrawals', async () => {
    const bob = someone()
    await advertise(one, bob)
    await one.overlay.settled()
    await two.goDown()
    await one.overlay.publishWithdrawal(withdrawal(one, bob))
    await one.overlay.settled()
    await two.comeBack()
    await two.overlay.syncOnce()
    expect(await two.liveHosts(bob)).to.deep.equal([])
  })

  it('obey a withdrawal that was given to another host: the one named spends its token', async () => {
    const bob = someone()
    const { txid } = await advertise(one, bob)
    await one.overlay.settled()
    const id = [Buffer.from(txid, 'hex')]
    const spentAt = async (node: OverlayNode) =>
      (
        await node.query<{ spent_at: number | null }>('select spent_at from phip_tokens where txid = $1', id)
      )[0]?.spent_at
    await two.overlay.publishWithdrawal(withdrawal(one, bob))
    await two.overlay.settled()
    await one.overlay.settled()
    expect(await spentAt(one)).to.be.a('number')
    expect(await spentAt(two), 'and every index learns of it').to.be.a('number')
  })

  it('obey it also if it came while nobody looked, and leave other texts alone', async () => {
    const bob = someone()
    await advertise(one, bob, '^kept$')
    const copy = await makeToken(one, bob)
    await one.overlay.host.submit(copy.beef)
    await one.query('update phip_tokens set withdrawn = true where txid = $1', [
      Buffer.from(copy.txid, 'hex')
    ])
    await one.overlay.syncOnce()
    const left = await one.query<{ box: string }>(
      'select box_expression as box from phip_tokens where recipient = $1 and spent_at is null',
      [Buffer.from(bob.identityKey, 'hex')]
    )
    expect(left).to.deep.equal([{ box: '^kept$' }])
  })

  it('remember a withdrawal whose token is gone, for the day when somebody copies it', async () => {
    const bob = someone()
    const host = operator('disobedient')
    const token = await makeToken(host, bob)
    const withdrawals = async () =>
      (
        await two.query('select from phip_withdrawals where recipient = $1', [
          Buffer.from(bob.identityKey, 'hex')
        ])
      ).length
    await submit(one, token.beef)
    await one.overlay.publishWithdrawal(withdrawal(host, bob))
    await one.overlay.settled()
    await submit(one, (await spendToken(token)).beef)
    // Two has never seen the token: what it was submitted, it could not use.
    expect(await withdrawals()).to.equal(0)
    await two.overlay.syncOnce()
    const copy = await makeToken(host, bob)
    await submit(two, copy.beef)
    expect(await withdrawals()).to.equal(1)
    expect(await two.liveHosts(bob)).to.deep.equal([])
  })

  it('know nothing of scores that are not committed yet', async () => {
    const [bob, carol] = [someone(), someone()]
    const [first, second] = await Promise.all([
      makeToken(operator('a'), bob),
      makeToken(operator('b'), carol)
    ])
    const [inserted, release] = [gate(), gate()]
    const holding = one.overlay.host.submit(first.beef, {
      after() {
        inserted.open()
        return release.opened
      }
    })
    await inserted.opened
    const overtaking = submit(one, second.beef)
    await two.overlay.syncOnce()
    expect(await two.liveHosts(carol)).to.deep.equal([])
    release.open()
    await Promise.all([holding, overtaking])
    const late = await two.overlay.syncOnce()
    expect(late.get(one.url)).to.include({ taken: 2 })
  })

  it('begin at the start, go on by themselves, and end when they are stopped', async () => {
    const [bob, carol] = [someone(), someone()]
    await submit(one, (await makeToken(operator('before'), bob)).beef)
    const arrivals = new Map([bob, carol].map(user => [user.identityKey, gate()]))
    const late = await startOverlayNode('late', {
      peers: [one.url],
      overlay: {
        syncInterval: 10,
        onHostsChanged: recipient => arrivals.get(recipient)?.open()
      }
    })
    try {
      late.overlay.start()
      await submit(one, (await makeToken(operator('after'), carol)).beef)
      await Promise.all([...arrivals.values()].map(({ opened }) => opened))
      expect(await late.liveHosts(bob)).to.have.lengthOf(1)
      await late.overlay.stop()
      const asked = one.requests.length
      await one.overlay.syncOnce()
      expect(one.requests.slice(asked).filter(request => request.includes('Sync'))).to.deep.equal([])
    } finally {
      await late.remove()
    }
  })

  describe('ask each operator about his tokens', () => {
    it('and set aside what he does not list, until he lists it again', async () => {
      const bob = someone()
      const { txid } = await advertise(one, bob)
      await one.overlay.settled()
      two.changed.length = 0
      // The spend reached nobody, and nobody submits it any more.
      const id = [Buffer.from(txid, 'hex')]
      await one.query('update phip_tokens set spent_at = 1 where txid = $1', id)
      await two.overlay.syncOnce()
      expect(await two.liveHosts(bob)).to.deep.equal([])
      expect(two.changed).to.include(bob.identityKey)
      const [row] = await two.query<{ spent_at: null }>(
        'select spent_at from phip_tokens where txid = $1',
        id
      )
      expect(row?.spent_at, 'set aside, not spent').to.equal(null)
      await one.query('update phip_tokens set spent_at = null where txid = $1', id)
      await two.overlay.syncOnce()
      expect(await two.liveHosts(bob)).to.deep.equal([keyOf(one)])
    })

    it('and believe only him: a host that shows another key changes nothing', async () => {
      const bob = someone()
      const impostor = { keys: operator('impostor').keys, domain: one.domain }
      await submit(two, (await makeToken(impostor, bob)).beef)
      await two.overlay.syncOnce()
      expect(await two.liveHosts(bob)).to.deep.equal([keyOf(impostor)])
    })

    it('and conclude nothing from silence', async () => {
      const bob = someone()
      await advertise(one, bob)
      await one.overlay.settled()
      await one.goDown()
      await two.overlay.syncOnce()
      await one.comeBack()
      expect(await two.liveHosts(bob)).to.deep.equal([keyOf(one)])
    })

    it('page by page, whatever their number', async () => {
      const many = await Promise.all(Array.from({ length: 130 }, () => makeToken(one, someone())))
      for (const { beef } of many) await Promise.all([one, two].map(node => node.overlay.host.submit(beef)))
      const gone = many.slice(1).map(({ txid }) => Buffer.from(txid, 'hex'))
      await one.query('update phip_tokens set spent_at = 1 where txid = any ($1)', [gone])
      await two.overlay.syncOnce()
      const aside = await two.query(
        'select from phip_tokens where set_aside_at is not null and not withdrawn'
      )
      expect(aside).to.have.lengthOf(129)
    })
  })

  describe('look up a recipient whom they do not know', () => {
    it('at their peers, and take what verifies', async () => {
      const bob = someone()
      await submit(one, (await makeToken(operator('far'), bob)).beef)
      expect(await two.overlay.lookUpRecipient(bob.identityKey)).to.deep.equal({ answered: 1, tokens: 1 })
      expect(await two.liveHosts(bob)).to.have.lengthOf(1)
    })

    it('and tell an empty answer from none', async () => {
      expect(await two.overlay.lookUpRecipient(someone().identityKey)).to.deep.equal({
        answered: 1,
        tokens: 0
      })
      await one.goDown()
      expect(await two.overlay.lookUpRecipient(someone().identityKey)).to.deep.equal({
        answered: 0,
        tokens: 0
      })
      await one.comeBack()
    })
  })
})
