import { randomBytes } from 'node:crypto'
import { LockingScript, Transaction, UnlockingScript } from '@bsv/sdk'
import { expect } from 'chai'
import { TestUser } from '../support/client.js'
import {
  authorization,
  makeToken,
  type OverlayNode,
  operator,
  startOverlayNode,
  submit
} from '../support/overlay.js'
import { json, type Script, ScriptedHost } from '../support/peer.js'

const SYNC = 'POST /requestSyncResponse'
const NODE = 'POST /requestForeignGASPNode'
const SUBMIT = 'POST /submit'
const LOOKUP = 'POST /lookup'

describe('hostile overlay hosts', () => {
  let honest: OverlayNode
  let hostile: ScriptedHost
  let node: OverlayNode
  let users = 0
  before(async () => {
    honest = await startOverlayNode('honest')
    hostile = await ScriptedHost.start()
    node = await startOverlayNode('victim', { peers: [url(), honest.url] })
  })
  after(async () => {
    await Promise.all([node.remove(), honest.remove()])
    await hostile.close()
  })
  beforeEach(() => {
    hostile.always(SYNC, list())
    hostile.always(LOOKUP, json(400, { status: 'error' }))
    hostile.requests.length = 0
  })

  const someone = (): TestUser => new TestUser(`victim ${users++}`)
  const url = (): string => `http://${hostile.domain}`
  /** Of tokens, and of nothing else. */
  const list =
    (...outputs: unknown[]): Script =>
    (request, response) => {
      const isOfTokens = request.headers['x-bsv-topic'] === 'tm_phip'
      return json(200, { UTXOList: isOfTokens ? outputs : [], since: 0 })(request, response)
    }
  const listed = (txid: unknown, score: unknown = 1, outputIndex: unknown = 0) => ({
    txid,
    outputIndex,
    score
  })

  /** A round goes on to the honest peer, whatever the other one does. */
  async function survives(): Promise<void> {
    const bob = someone()
    honest.clock.time += 120_000
    await submit(honest, (await makeToken(operator('fine'), bob)).beef)
    await node.overlay.syncOnce()
    expect(await node.liveHosts(bob)).to.have.lengthOf(1)
  }

  const answers: Record<string, Script> = {
    'no JSON': (_request, response) => void response.writeHead(200).end('<html>'),
    'JSON of another shape': json(200, { UTXOList: { length: 9 }, since: 'x' }),
    null: json(200, null),
    'an error': json(500, { status: 'error' }),
    'a redirect': (_request, response) =>
      void response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
    'more than is read': (_request, response) =>
      void response.writeHead(200).end(Buffer.alloc(2 * 1024 * 1024, 0x20)),
    'a broken connection': (_request, response) => void response.destroy(),
    'deeply nested lists': (_request, response) => void response.end('['.repeat(500_000)),
    'entries that are none': list(
      null,
      7,
      'x',
      [],
      {},
      listed('zz'),
      listed('ab'.repeat(32), -1),
      listed('ab'.repeat(32), 1, 2 ** 40)
    )
  }
  for (const [what, answer] of Object.entries(answers)) {
    it(`that answer with ${what} are passed over`, async () => {
      hostile.always(SYNC, answer)
      await survives()
    })
  }

  it('that list without end are read a bounded time, and are read on in the next round', async () => {
    let score = 1_000
    hostile.always(SYNC, (_request, response) => {
      const page = Array.from({ length: 1_000 }, () => listed(randomBytes(32).toString('hex'), score++))
      return json(200, { UTXOList: page, since: 0 })(_request, response)
    })
    hostile.always(NODE, (request, response) => {
      node.clock.time += 200
      return json(404, { status: 'error' })(request, response)
    })
    const report = await node.overlay.syncOnce()
    expect(report.get(url())).to.include({ complete: false, listed: 1_000 })
    expect(hostile.count('/requestForeignGASPNode')).to.be.lessThan(110)
    await survives()
  })

  it('that answer nonsense where many are asked for together are asked for one after the other', async () => {
    const bob = someone()
    const tokens = await Promise.all(Array.from({ length: 12 }, () => makeToken(operator('many'), bob)))
    const other = await makeToken(operator('never asked for'), someone())
    const outputs = [
      { beef: [...other.beef], outputIndex: 0 },
      { beef: [1, 2, 3], outputIndex: 0 }
    ]
    hostile.next(LOOKUP, json(200, { type: 'output-list', outputs }))
    hostile.next(SYNC, list(...tokens.map(({ txid }) => listed(txid, node.clock.time))))
    hostile.always(NODE, serve(tokens.map(({ beef }) => Transaction.fromBEEF([...beef]))))
    const report = await node.overlay.syncOnce()
    expect(report.get(url())).to.include({ taken: 12, refused: 0 })
  })

  it('that list one score for ever do not stop the clock', async () => {
    hostile.always(SYNC, (request, response) => {
      const page = Array.from({ length: 1_000 }, (_, index) =>
        listed(index.toString(16).padStart(64, '0'), 5)
      )
      node.clock.time += 1_000
      return json(200, { UTXOList: page, since: 0 })(request, response)
    })
    hostile.always(NODE, json(404, {}))
    const report = await node.overlay.syncOnce()
    expect(report.get(url())?.complete).to.equal(false)
    expect(hostile.count('/requestSyncResponse')).to.be.lessThan(25)
  })

  it('that list the far future hide nothing that comes later', async () => {
    const bob = someone()
    const token = await makeToken(operator('late'), bob)
    hostile.next(SYNC, list(listed('ab'.repeat(32), Number.MAX_SAFE_INTEGER)))
    hostile.next(NODE, json(404, {}))
    await node.overlay.syncOnce()
    node.clock.time += 48 * 60 * 60_000
    hostile.next(SYNC, (request, response) => {
      const { since } = JSON.parse(request.body.toString()) as { since: number }
      return list(...(since <= node.clock.time ? [listed(token.txid, node.clock.time)] : []))(
        request,
        response
      )
    })
    hostile.always(NODE, serve([Transaction.fromBEEF([...token.beef])]))
    await node.overlay.syncOnce()
    expect(await node.liveHosts(bob)).to.have.lengthOf(1)
  })

  describe('that hand over', () => {
    const nodes: Record<string, () => Script> = {
      'another transaction': () =>
        json(200, { rawTx: new Transaction(1, [], [], 3).toHex(), graphID: '', outputIndex: 0 }),
      'no transaction': () => json(200, { rawTx: 'zz' }),
      'a number for a transaction': () => json(200, { rawTx: 7 }),
      'half a transaction': () => json(200, { rawTx: '0100000001' }),
      'a proof that is none': () => json(200, { rawTx: '01000000000000000000', proof: 'ffff' })
    }
    for (const [what, make] of Object.entries(nodes)) {
      it(`${what} are asked once, and not again for a while`, async () => {
        hostile.always(SYNC, list(listed(randomBytes(32).toString('hex'))))
        hostile.always(NODE, make())
        const report = await node.overlay.syncOnce()
        expect(report.get(url())).to.include({ listed: 1, taken: 0, refused: 1 })
        await node.overlay.syncOnce()
        expect(hostile.count('/requestForeignGASPNode')).to.equal(1)
      })
    }

    it('ancestors without end are followed a bounded way', async () => {
      let tip = new Transaction(1, [], [{ lockingScript: LockingScript.fromHex('51'), satoshis: 1 }])
      const chain = [tip]
      for (let depth = 0; depth < 100; depth++) {
        const input = {
          sourceTransaction: tip,
          sourceTXID: tip.id('hex'),
          sourceOutputIndex: 0,
          unlockingScript: new UnlockingScript(),
          sequence: 0xffffffff
        }
        tip = new Transaction(1, [input], [{ lockingScript: LockingScript.fromHex('51'), satoshis: 1 }])
        chain.push(tip)
      }
      hostile.always(SYNC, list(listed(tip.id('hex'))))
      hostile.always(NODE, serve(chain))
      const report = await node.overlay.syncOnce()
      expect(report.get(url())).to.include({ taken: 0, refused: 1 })
      expect(hostile.count('/requestForeignGASPNode')).to.equal(64)
    })

    it('a token whose spend was faked keep nothing alive and kill nothing', async () => {
      const bob = someone()
      const token = await makeToken(operator('real'), bob)
      const broken = Transaction.fromBEEF([...token.beef])
      hostile.always(SYNC, list(listed(token.txid)))
      // Without its funding's claim of a block, the token hangs in the air.
      broken.inputs[0]!.sourceTransaction!.merklePath = undefined as never
      hostile.always(NODE, serve([broken, broken.inputs[0]!.sourceTransaction!]))
      await node.overlay.syncOnce()
      expect(await node.liveHosts(bob)).to.deep.equal([])
    })
  })

  describe('that are submitted to', () => {
    const refusals: Record<string, Script> = {
      refuse: json(400, { status: 'error', message: 'no' }),
      'say nothing of the topic': json(200, {}),
      'answer nonsense': json(200, { tm_phip: 'yes' }),
      'are down': (_request, response) => void response.destroy()
    }
    for (const [what, script] of Object.entries(refusals)) {
      it(`and ${what} are tried again later, and hold up nobody`, async () => {
        const bob = someone()
        hostile.always(SYNC, list())
        hostile.next(SUBMIT, script)
        await node.overlay.advertise(authorization(node, bob))
        await node.overlay.settled()
        expect(await honest.liveHosts(bob)).to.deep.equal([node.keys.identityKey])
        expect(await waiting()).to.equal(1)
        hostile.next(SUBMIT, json(200, { tm_phip: { outputsToAdmit: [], coinsToRetain: [] } }))
        await node.overlay.syncOnce()
        expect(await waiting(), 'an empty answer is an acknowledgement').to.equal(0)
      })
    }

    async function waiting(): Promise<number> {
      return (await node.query('select from overlay_submissions')).length
    }
  })

  describe('that are asked about a recipient', () => {
    it('and lie are told from those that say nothing', async () => {
      const bob = someone()
      const good = await makeToken(operator('good'), bob)
      const forged = Uint8Array.from(good.beef)
      forged[forged.length - 100]! ^= 1
      const output = (beef: Iterable<number>, outputIndex: unknown = 0) => ({ beef: [...beef], outputIndex })
      const outputs = [output(forged), output([1, 2]), { beef: 'x' }, output([999]), output(good.beef), null]
      hostile.next(LOOKUP, json(200, { type: 'output-list', outputs }))
      expect(await node.overlay.lookUpRecipient(bob.identityKey)).to.deep.equal({ answered: 2, tokens: 1 })
      for (const bad of [json(200, { type: 'freeform', result: {} }), json(500, {}), json(200, [])]) {
        hostile.next(LOOKUP, bad)
        expect(await node.overlay.lookUpRecipient(bob.identityKey)).to.deep.equal({ answered: 1, tokens: 1 })
      }
    })
  })

  /** Hands over these transactions, and the paths that they have. */
  function serve(transactions: readonly Transaction[]): Script {
    const known = new Map<string, Transaction>()
    for (const transaction of transactions) {
      known.set(transaction.id('hex'), transaction)
      for (const { sourceTransaction } of transaction.inputs) {
        if (sourceTransaction !== undefined) known.set(sourceTransaction.id('hex'), sourceTransaction)
      }
    }
    return (request, response) => {
      const { txid, graphID, outputIndex } = JSON.parse(request.body.toString()) as Record<string, string>
      const found = known.get(String(txid))
      const proof = found?.merklePath?.toHex()
      return json(found === undefined ? 404 : 200, { graphID, outputIndex, rawTx: found?.toHex(), proof })(
        request,
        response
      )
    }
  }
})
