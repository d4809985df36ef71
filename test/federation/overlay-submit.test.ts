import { LockingScript, MerklePath, Transaction, UnlockingScript } from '@bsv/sdk'
import { expect } from 'chai'
import { Turnstile } from '../../federation/overlay/turnstile.js'
import { TestUser } from '../support/client.js'
import {
  fundScripts,
  gate,
  lookUp,
  makeToken,
  type OverlayNode,
  operator,
  spend,
  spendToken,
  startOverlayNode,
  submit
} from '../support/overlay.js'

const NOTHING = { outputsToAdmit: [], coinsToRetain: [], coinsRemoved: [] }
const ADMITTED = { tm_phip: { outputsToAdmit: [0], coinsToRetain: [], coinsRemoved: [] } }
const SPENT = { tm_phip: { outputsToAdmit: [], coinsToRetain: [], coinsRemoved: [0] } }

describe('POST /submit', () => {
  let node: OverlayNode
  let users = 0
  before(async () => {
    node = await startOverlayNode('submit')
  })
  after(() => node.remove())

  const someone = (): TestUser => new TestUser(`submit ${users++}`)
  const host = operator('somewhere')
  const hostKey = host.keys.identityKey

  async function applied(txid: string): Promise<number> {
    const rows = await node.query('select from overlay_applied_transactions where txid = $1', [
      Buffer.from(txid, 'hex')
    ])
    return rows.length
  }

  it('admits a token, tells a repeat the same, and routes by it', async () => {
    const bob = someone()
    const token = await makeToken(host, bob)
    const first = await submit(node, token.beef)
    expect(first).to.deep.include({ status: 200, json: ADMITTED })
    expect(await submit(node, token.beef)).to.deep.include({ status: 200, json: ADMITTED })
    expect(await node.liveHosts(bob)).to.deep.equal([hostKey])
    expect(node.changed).to.include(bob.identityKey)
  })

  it('takes a framed body, and any BEEF', async () => {
    const bob = someone()
    const token = await makeToken(host, bob)
    const length = Buffer.of(0xfd, token.beef.length & 0xff, token.beef.length >> 8)
    const framed = Buffer.concat([length, token.beef, Buffer.from('off-chain')])
    const answer = await submit(node, framed, { 'x-includes-off-chain-values': 'true' })
    expect(answer).to.deep.include({ status: 200, json: ADMITTED })
    const atomic = Transaction.fromBEEF([...(await makeToken(host, bob, 'x')).beef]).toAtomicBEEF()
    expect(await submit(node, Uint8Array.from(atomic))).to.deep.include({ status: 200, json: ADMITTED })
  })

  it('takes twenty copies of one submission at once: one outpoint, twenty same answers', async () => {
    const bob = someone()
    const token = await makeToken(host, bob)
    const answers = await Promise.all(Array.from({ length: 20 }, () => submit(node, token.beef)))
    for (const answer of answers) expect(answer).to.deep.include({ status: 200, json: ADMITTED })
    const id = [Buffer.from(token.txid, 'hex')]
    expect(await node.query('select from overlay_outputs where txid = $1', id)).to.have.lengthOf(1)
    expect(await node.query('select from phip_tokens where txid = $1', id)).to.have.lengthOf(1)
  })

  it('admits of many outputs those that verify', async () => {
    const [bob, carol] = [someone(), someone()]
    const good = await makeToken(host, bob)
    const other = await makeToken(operator('elsewhere'), carol, '^inbox$')
    const forged = Buffer.from(good.script)
    forged[60]! ^= 1
    const { beef } = await fundScripts([forged, good.script, Buffer.of(0x51), other.script, Buffer.alloc(0)])
    const answer = await submit(node, beef)
    expect(answer.json.tm_phip.outputsToAdmit).to.deep.equal([1, 3])
  })

  it('does not admit a token without a coin, which nobody could spend', async () => {
    const bob = someone()
    const { beef } = await fundScripts([(await makeToken(host, bob)).script], 0)
    expect((await submit(node, beef)).json).to.deep.equal({ tm_phip: NOTHING })
  })

  it('takes a spend, also before the token that it spends', async () => {
    const [bob, carol] = [someone(), someone()]
    const known = await makeToken(host, bob)
    await submit(node, known.beef)
    const spent = await spendToken(known)
    expect((await submit(node, spent.beef)).json).to.deep.equal(SPENT)
    expect((await submit(node, spent.beef)).json).to.deep.equal(SPENT)
    expect(await node.liveHosts(bob)).to.deep.equal([])

    const unknown = await makeToken(host, carol)
    expect((await submit(node, (await spendToken(unknown)).beef)).json).to.deep.equal(SPENT)
    expect((await submit(node, unknown.beef)).status).to.equal(200)
    expect(await node.liveHosts(carol)).to.deep.equal([])
    expect((await lookUp(node, { recipient: carol.identityKey })).json.outputs).to.deep.equal([])
  })

  it('takes no spend that the operator has not signed', async () => {
    const bob = someone()
    const token = await makeToken(host, bob)
    await submit(node, token.beef)
    const stranger = operator('stranger').keys
    const forged = await spend(token, digest => stranger.signDigest(digest, '2-phip-1', stranger.publicKey))
    const answer = await submit(node, forged.beef)
    expect(answer).to.deep.include({ status: 400 })
    expect(answer.json.code).to.equal('ERR_INVALID_TRANSACTION')
    expect(await node.liveHosts(bob)).to.deep.equal([hostKey])
    expect(await applied(forged.txid)).to.equal(0)
  })

  it('takes no spend that claims to be in a block, where there is no chain to ask', async () => {
    const bob = someone()
    const token = await makeToken(host, bob)
    await submit(node, token.beef)
    const sourceTransaction = Transaction.fromBEEF([...token.beef])
    const unlockingScript = new UnlockingScript()
    const input = { sourceTransaction, sourceOutputIndex: 0, unlockingScript, sequence: 0xffffffff }
    const claimed = new Transaction(1, [input], [{ satoshis: 1, lockingScript: LockingScript.fromHex('51') }])
    claimed.merklePath = new MerklePath(5, [[{ offset: 0, hash: claimed.id('hex'), txid: true }]])
    expect((await submit(node, Uint8Array.from(claimed.toBEEF()))).json.code).to.equal('ERR_INVALID_BEEF')
    expect(await node.liveHosts(bob)).to.deep.equal([hostKey])
  })

  it('neither verifies nor remembers what concerns nothing here', async () => {
    const made = await fundScripts([Buffer.of(0x51)])
    expect(await submit(node, made.beef)).to.deep.include({ status: 200, json: { tm_phip: NOTHING } })
    expect(await applied(made.txid)).to.equal(0)
  })

  it('does everything or nothing', async () => {
    const bob = someone()
    const token = await makeToken(host, bob)
    const failing = { after: () => Promise.reject(new Error('at the last moment')) }
    const error = await node.overlay.host.submit(token.beef, failing).catch((thrown: Error) => thrown.message)
    expect(error).to.equal('at the last moment')
    const id = [Buffer.from(token.txid, 'hex')]
    for (const table of [
      'overlay_outputs',
      'overlay_transactions',
      'overlay_applied_transactions',
      'phip_tokens'
    ]) {
      expect(await node.query(`select from ${table} where txid = $1`, id), table).to.deep.equal([])
    }
    expect(await node.liveHosts(bob)).to.deep.equal([])
    expect((await submit(node, token.beef)).json).to.deep.equal(ADMITTED)
  })

  it('also where the library would not notice that a spend failed', async () => {
    const bob = someone()
    const token = await makeToken(host, bob)
    await submit(node, token.beef)
    await node.query(
      `create function refuse() returns trigger language plpgsql as $$ begin raise 'no'; end $$`
    )
    await node.query(
      'create trigger refuse before update on phip_tokens for each row execute function refuse()'
    )
    const spent = await spendToken(token)
    expect((await submit(node, spent.beef)).status).to.equal(500)
    await node.query('drop trigger refuse on phip_tokens')
    expect(await applied(spent.txid)).to.equal(0)
    expect(await node.liveHosts(bob)).to.deep.equal([hostKey])
    expect((await submit(node, spent.beef)).json).to.deep.equal(SPENT)
  })

  it('makes strangers wait their turn, and sends away those that are too many', async () => {
    const turnstile = new Turnstile(1, 1)
    const first = gate()
    const order: string[] = []
    const passed = turnstile.pass(async () => {
      await first.opened
      order.push('first')
    })
    const waiting = turnstile.pass(async () => void order.push('second'))
    const refused = await turnstile.pass(async () => 'third').catch((error: unknown) => error)
    expect(refused).to.include({ httpStatus: 503, code: 'ERR_BUSY' })
    first.open()
    await Promise.all([passed, waiting])
    expect(order).to.deep.equal(['first', 'second'])
    expect(await turnstile.pass(async () => 'again')).to.equal('again')
  })

  describe('refuses', () => {
    const garbage = Buffer.from('0100beef0102030405060708', 'hex')
    const refusals: [
      what: string,
      body: Uint8Array,
      headers: Record<string, string>,
      status: number,
      code: string
    ][] = [
      ['an empty body', Buffer.alloc(0), {}, 400, 'ERR_INVALID_BEEF'],
      ['garbage', garbage, {}, 400, 'ERR_INVALID_BEEF'],
      [
        'a count that would keep a parser busy for ever',
        Buffer.from('0100beef00ffffffffffffff1f00', 'hex'),
        {},
        400,
        'ERR_INVALID_BEEF'
      ],
      [
        'a frame that is too long',
        Buffer.of(9, 1),
        { 'x-includes-off-chain-values': 'true' },
        400,
        'ERR_INVALID_BEEF'
      ],
      ['JSON', Buffer.from('{}'), { 'content-type': 'application/json' }, 400, 'ERR_INVALID_CONTENT_TYPE'],
      ['no topics', garbage, { 'x-topics': '' }, 400, 'ERR_INVALID_TOPICS'],
      ['topics that are no JSON', garbage, { 'x-topics': 'tm_phip' }, 400, 'ERR_INVALID_TOPICS'],
      ['topics that are no array', garbage, { 'x-topics': '"tm_phip"' }, 400, 'ERR_INVALID_TOPICS'],
      ['an empty list of topics', garbage, { 'x-topics': '[]' }, 400, 'ERR_INVALID_TOPICS'],
      ['a topic that is no text', garbage, { 'x-topics': '[1]' }, 400, 'ERR_INVALID_TOPICS'],
      ['a topic of others', garbage, { 'x-topics': '["tm_phip","tm_ship"]' }, 400, 'ERR_UNKNOWN_TOPIC'],
      ['more than a megabyte', Buffer.alloc(1024 * 1024 + 1), {}, 413, 'ERR_REQUEST_TOO_LARGE']
    ]
    for (const [what, body, headers, status, code] of refusals) {
      it(what, async () => {
        const answer = await submit(node, body, headers)
        expect(answer.status).to.equal(status)
        expect(answer.json).to.include({ status: 'error', code })
        if (status === 400) expect(answer.json.message).to.equal(answer.json.description)
      })
    }

    it('hundreds of tokens in ancestors', async () => {
      const { script } = await makeToken(host, someone())
      const parents = await Promise.all(
        [1, 2].map(() => fundScripts([Buffer.of(0x51), ...Array.from({ length: 60 }, () => script)]))
      )
      const sources = parents.map(({ beef }) => Transaction.fromBEEF([...beef]))
      const inputs = sources.map(sourceTransaction => ({
        sourceTransaction,
        sourceOutputIndex: 0,
        unlockingScript: new UnlockingScript(),
        sequence: 0xffffffff
      }))
      const child = new Transaction(1, inputs, [{ satoshis: 1, lockingScript: LockingScript.fromHex('51') }])
      const answer = await submit(node, Uint8Array.from(child.toBEEF()))
      expect(answer.json.code).to.equal('ERR_INVALID_BEEF')
    })

    it('thousands of outputs', async () => {
      const { script } = await makeToken(host, someone())
      const { beef } = await fundScripts(Array.from({ length: 900 }, () => script))
      const answer = await submit(node, beef)
      expect(answer.status).to.equal(400)
      expect(answer.json.code).to.equal('ERR_INVALID_BEEF')
    })
  })
})
