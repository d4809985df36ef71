import { Transaction } from '@bsv/sdk'
import { expect } from 'chai'
import { createFunding } from '../../federation/overlay/funding.js'
import { ApiError } from '../../src/errors.js'
import { parseBeef } from '../../src/transactions/beef.js'
import { TestUser } from '../support/client.js'
import {
  authorization,
  makeToken,
  type OverlayNode,
  operator,
  startOverlayNode,
  withdrawal
} from '../support/overlay.js'

describe('advertising', () => {
  let node: OverlayNode
  let users = 0
  before(async () => {
    node = await startOverlayNode('advertiser')
  })
  after(() => node.remove())

  const someone = (): TestUser => new TestUser(`advertised ${users++}`)
  const advertise = (user: TestUser, boxExpression?: string) =>
    node.overlay.advertise(authorization(node, user, boxExpression))

  /** Unspent tokens of the recipient at this host. */
  async function tokens(user: TestUser): Promise<string[]> {
    const text = `select encode(txid, 'hex') as txid from phip_tokens
      where recipient = $1 and operator_key = $2 and spent_at is null`
    const keys = [Buffer.from(user.identityKey, 'hex'), Buffer.from(node.keys.publicKey)]
    return (await node.query<{ txid: string }>(text, keys)).map(({ txid }) => txid)
  }

  async function codeOf(work: Promise<unknown>): Promise<unknown> {
    return work.then(
      () => undefined,
      (error: unknown) => (error instanceof ApiError ? [error.httpStatus, error.code] : error)
    )
  }

  it('makes a token that routes to this host', async () => {
    const bob = someone()
    const { txid, created } = await advertise(bob)
    expect(created).to.equal(true)
    expect(await tokens(bob)).to.deep.equal([txid])
    expect(await node.liveHosts(bob)).to.deep.equal([node.keys.identityKey])
  })

  it('makes no second one for the same authorization', async () => {
    const bob = someone()
    const { txid } = await advertise(bob, '^inbox$')
    expect(await advertise(bob, '^inbox$')).to.deep.equal({ txid, created: false })
    expect(await tokens(bob)).to.deep.equal([txid])
  })

  it('makes one for twenty same authorizations at once', async () => {
    const bob = someone()
    const made = await Promise.all(Array.from({ length: 20 }, () => advertise(bob)))
    expect(new Set(made.map(({ txid }) => txid)).size).to.equal(1)
    expect(made.filter(({ created }) => created)).to.have.lengthOf(1)
  })

  it('spends the old token in the transaction of the new one', async () => {
    const bob = someone()
    const old = await advertise(bob)
    const { txid } = await advertise(bob, '^inbox$')
    expect(await tokens(bob)).to.deep.equal([txid])
    const text = 'select beef from overlay_transactions where txid = $1'
    const [row] = await node.query<{ beef: Buffer }>(text, [Buffer.from(txid, 'hex')])
    const transaction = Transaction.fromBEEF([...row!.beef])
    expect(transaction.inputs.map(({ sourceTXID }) => sourceTXID)).to.include(old.txid)
    expect(await transaction.verify('scripts only')).to.equal(true)
  })

  it('keeps the ancestry of a token short, however often it is replaced', async () => {
    const bob = someone()
    for (let count = 0; count < 40; count++) await advertise(bob, `box${count}`)
    expect(await tokens(bob)).to.have.lengthOf(1)
    const rows = await node.query<{ beef: Buffer }>('select beef from overlay_transactions')
    expect(Math.max(...rows.map(({ beef }) => parseBeef(beef).transactions.length))).to.be.lessThan(20)
  })

  it('spends everything at a revocation, and can begin anew', async () => {
    const bob = someone()
    await advertise(bob)
    expect(await node.overlay.revoke(bob.identityKey)).to.have.lengthOf(1)
    expect(await node.liveHosts(bob)).to.deep.equal([])
    expect(await node.overlay.revoke(bob.identityKey)).to.deep.equal([])
    const again = await advertise(bob)
    expect(again.created).to.equal(true)
    expect(await tokens(bob)).to.deep.equal([again.txid])
  })

  it('spends many tokens too, such as copies that others made of it', async () => {
    const bob = someone()
    const copies = await Promise.all(Array.from({ length: 20 }, () => makeToken(node, bob)))
    for (const { beef } of copies) await node.overlay.host.submit(beef)
    expect(await node.overlay.revoke(bob.identityKey)).to.have.lengthOf(2)
    expect(await tokens(bob)).to.deep.equal([])
  })

  it('ends in one state when advertising and revoking race', async () => {
    const bob = someone()
    await Promise.all([
      advertise(bob),
      advertise(bob, 'a'),
      node.overlay.revoke(bob.identityKey),
      advertise(bob, 'b')
    ])
    expect((await tokens(bob)).length).to.be.lessThan(2)
  })

  describe('withdrawing', () => {
    it('publishes what the recipient signed, once, and never advertises that text again', async () => {
      const bob = someone()
      await advertise(bob)
      expect(await node.overlay.publishWithdrawal(withdrawal(node, bob))).to.match(/^[0-9a-f]{64}$/)
      expect(await node.liveHosts(bob)).to.deep.equal([])
      expect(await node.overlay.publishWithdrawal(withdrawal(node, bob))).to.equal(undefined)
      expect(await codeOf(advertise(bob))).to.deep.equal([409, 'ERR_AUTHORIZATION_WITHDRAWN'])
      const { txid } = await advertise(bob, '.*')
      expect(await tokens(bob), 'the void token is spent as well').to.deep.equal([txid])
    })

    it('publishes nothing of a text that nobody has advertised', async () => {
      const bob = someone()
      expect(await node.overlay.publishWithdrawal(withdrawal(operator('nobody'), bob))).to.equal(undefined)
    })

    it('of another host', async () => {
      const bob = someone()
      const other = operator('disobedient')
      await node.overlay.host.submit((await makeToken(other, bob)).beef)
      expect(await node.overlay.publishWithdrawal(withdrawal(other, bob))).to.be.a('string')
      expect(await node.liveHosts(bob)).to.deep.equal([])
    })
  })

  it('is funded by nobody on test and main', async () => {
    for (const network of ['test', 'main'] as const) {
      const funding = createFunding(network)
      expect(await codeOf(funding.fund([], []))).to.deep.equal([503, 'ERR_NO_FUNDING'])
    }
  })

  it('is funded on private, for a domain that is reached over HTTPS', async () => {
    const bob = someone()
    const environment = { NETWORK: 'private', PUBLIC_DOMAIN: 'relay.example.org' }
    const guarded = await startOverlayNode('private', { environment })
    try {
      const domain = 'relay.example.org'
      const { txid } = await guarded.overlay.advertise(authorization({ keys: guarded.keys, domain }, bob))
      expect(txid).to.match(/^[0-9a-f]{64}$/)
      expect(await guarded.liveHosts(bob)).to.deep.equal([guarded.keys.identityKey])
    } finally {
      await guarded.remove()
    }
  })

  it('answers 503 on main before anything is written', async () => {
    const bob = someone()
    const environment = { NETWORK: 'main', PUBLIC_DOMAIN: 'relay.example.org' }
    const real = await startOverlayNode('main', { environment })
    try {
      const given = authorization({ keys: real.keys, domain: 'relay.example.org' }, bob)
      expect(await codeOf(real.overlay.advertise(given))).to.deep.equal([503, 'ERR_NO_FUNDING'])
      expect(await real.query('select from phip_tokens')).to.deep.equal([])
      const madeUp = await makeToken({ keys: real.keys, domain: 'relay.example.org' }, bob)
      expect(await codeOf(real.overlay.host.submit(madeUp.beef))).to.deep.equal([400, 'ERR_INVALID_BEEF'])
    } finally {
      await real.remove()
    }
  })
})
