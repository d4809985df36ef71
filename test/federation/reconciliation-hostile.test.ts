import { hash } from 'node:crypto'
import { expect } from 'chai'
import { inspect, submitScript, tokenScript, untilHosts } from '../support/advertised.js'
import { TestUser } from '../support/client.js'
import { authorizeRouting, listMessages, startTestNode, type TestNode, until } from '../support/nodes.js'
import { json, ScriptedHost } from '../support/peer.js'
import { ServerHalf } from '../support/server-half.js'

const BOX = 'inbox'

interface Asked {
  readonly ranges: readonly { readonly from: string; readonly until: string | null }[]
}

describe('a host that answers a comparison as it likes', () => {
  let node: TestNode
  let host: ScriptedHost
  const operator = new TestUser('operator of hostile reconciliation')
  const half = new ServerHalf(operator.privateKey.toString('hex'))
  const bob = new TestUser('bob of hostile reconciliation')
  const alice = new TestUser('alice of hostile reconciliation')
  /** What it answers to a call. */
  let answerTo: (asked: Asked) => object

  before(async () => {
    host = await ScriptedHost.start()
    host.always('POST /.well-known/auth', half.handshake())
    host.always('POST /lookup', half.signed(503, {}))
    host.always('POST /propagateMessage', half.signed(200, { status: 'success' }))
    host.always('POST /propagateAcknowledgement', half.signed(200, { status: 'success' }))
    host.always('GET /.well-known/peerserv', json(200, { extensions: ['reconciliation'] }))
    answerTo = ({ ranges }) => ({
      status: 'success',
      timeToLive: 1_000_000,
      ranges: ranges.map(({ until: end }) => ({ until: end, items: [] })),
      wanted: []
    })
    host.always('POST /reconcile', (request, response) =>
      half.signed(200, answerTo(JSON.parse(request.body.toString()) as Asked))(request, response)
    )
    node = await startTestNode('hostile reconciliation', { options: { federation: { random: () => 0 } } })
    await authorizeRouting(bob, node)
    await submitScript(node, tokenScript(operator, host.domain, bob))
    await untilHosts(node, bob, 2)
    const body = JSON.stringify({ encryptedMessage: Buffer.alloc(60).toString('base64') })
    const message = { recipient: bob.identityKey, messageBox: BOX, body }
    expect((await alice.post(node.url, '/sendMessage', { message })).status).to.equal(200)
    await until(
      () => inspect(node, 'select from reconciliations where finished_at is not null'),
      rows => rows.length === 1
    )
  })
  after(async () => {
    await node?.remove()
    await host?.close()
  })

  /** Lets the node compare; answers how many calls that took, and how the comparison ended. */
  async function compare(): Promise<{ calls: number; finished: boolean }> {
    const before = host.count('/reconcile')
    await inspect(node, 'update reconciliations set next_at = 0, finished_at = null, resume_at = null')
    await until(
      () => inspect(node, 'select from reconciliations where next_at > 0 and claimed_until is null'),
      rows => rows.length === 1
    )
    const [row] = await inspect<{ finished: boolean }>(
      node,
      'select finished_at is not null as finished from reconciliations'
    )
    return { calls: host.count('/reconcile') - before, finished: row!.finished }
  }

  const digest = (text: string) => hash('sha256', text, 'hex')
  let made = 0
  const item = () => bob.identityKey + digest(`made up ${made++}`)

  async function expectUnharmed(): Promise<void> {
    expect(await listMessages(bob, node, BOX)).to.have.length(1)
    expect(await inspect(node, 'select from destinations')).to.deep.equal([])
  }

  it('leads it no further than a hundred calls, though every part differs for ever', async () => {
    answerTo = ({ ranges }) => ({
      status: 'success',
      timeToLive: 1_000_000,
      ranges: ranges.map(({ from, until: end }) => {
        const cuts = Array.from({ length: 15 }, item)
          .filter(cut => cut > from && (end === null || cut < end))
          .sort()
        const parts = [...cuts, null].map(cut => ({ until: cut, count: 1_000, fingerprint: digest('other') }))
        return { until: end, parts }
      }),
      wanted: []
    })
    const { calls } = await compare()
    expect(calls).to.equal(100)
    await expectUnharmed()
  })

  it('makes it want what there is not no more than five thousand times', async () => {
    answerTo = ({ ranges }) => ({
      status: 'success',
      timeToLive: 1_000_000,
      ranges: ranges.map(({ from, until: end }) => {
        const items = Array.from({ length: 64 }, item)
          .filter(key => key >= from)
          .sort()
        const last = items.at(-1)
        if (last === undefined) return { until: end, items }
        // And so on behind the last one.
        const next = last.slice(0, 66) + (BigInt(`0x${last.slice(66)}`) + 1n).toString(16).padStart(64, '0')
        return { until: next, items }
      }),
      wanted: []
    })
    const { calls } = await compare()
    expect(calls).to.be.at.most(100)
    await expectUnharmed()
  })

  for (const [what, range] of [
    ['neither the same, nor items, nor parts', {}],
    ['items that are none', { items: ['x'] }],
    ['items out of order', { items: ['03'.padEnd(130, '1'), '02'.padEnd(130, '1')] }],
    [
      'more items than it may',
      { items: Array.from({ length: 65 }, (_, i) => `02${digest(`${i}`)}${digest('')}`).sort() }
    ],
    ['no parts', { parts: [] }],
    [
      'parts without an end',
      { parts: [{ until: '02'.padEnd(130, '1'), count: 1, fingerprint: digest('') }] }
    ],
    [
      'parts that go back',
      {
        parts: [
          { until: '03'.padEnd(130, '1'), count: 1, fingerprint: digest('') },
          { until: '02'.padEnd(130, '1'), count: 1, fingerprint: digest('') },
          { until: null, count: 1, fingerprint: digest('') }
        ]
      }
    ]
  ] as const) {
    it(`ends it with ${what}`, async () => {
      answerTo = ({ ranges }) => ({
        status: 'success',
        timeToLive: 1_000_000,
        ranges: ranges.map(({ until: end }) => ({ until: end, ...range })),
        wanted: []
      })
      expect(await compare()).to.deep.equal({ calls: 2, finished: false })
      await expectUnharmed()
    })
  }

  it('is not given what it was not offered', async () => {
    answerTo = ({ ranges }) => ({
      status: 'success',
      timeToLive: 1_000_000,
      ranges: ranges.map(({ until: end }) => ({ until: end, items: [] })),
      wanted: [item()]
    })
    expect(await compare()).to.deep.equal({ calls: 1, finished: false })
    await expectUnharmed()
  })
})
