import {
  HTTPSOverlayBroadcastFacilitator,
  HTTPSOverlayLookupFacilitator,
  type LockingScript,
  LookupResolver,
  OverlayAdminTokenTemplate,
  PrivateKey,
  PublicKey,
  PushDrop,
  Signature,
  TopicBroadcaster,
  Transaction
} from '@bsv/sdk'
import { expect } from 'chai'
import { TestUser } from '../support/client.js'
import {
  authorization,
  call,
  lookUp,
  makeToken,
  type OverlayNode,
  operator,
  startOverlayNode,
  submit
} from '../support/overlay.js'

/** As the reference topic managers check an advertisement: the lock, and the signature over the fields. */
function isLinked(script: LockingScript, protocol: 'SHIP' | 'SLAP', identityKey: string): boolean {
  const { fields, lockingPublicKey } = PushDrop.decode(script)
  const name = protocol === 'SHIP' ? 'service host interconnect' : 'service lookup availability'
  const key = PublicKey.fromString(identityKey).deriveChild(new PrivateKey(1), `2-${name}-1`)
  const signature = Signature.fromDER(fields.pop()!)
  return key.toString() === lockingPublicKey.toString() && key.verify(fields.flat(), signature)
}

describe('POST /lookup', () => {
  let node: OverlayNode
  const [bob, carol] = [new TestUser('looked up'), new TestUser('looked up too')]
  const host = operator('found')
  before(async () => {
    node = await startOverlayNode('lookup')
    await node.overlay.advertise(authorization(node, bob))
    node.clock.time += 1_000
    await submit(node, (await makeToken(host, bob)).beef)
    await submit(node, (await makeToken(host, carol)).beef)
  })
  after(() => node.remove())

  const beefs = (answer: { json: { outputs: { beef: number[] }[] } }): Transaction[] =>
    answer.json.outputs.map(({ beef }) => Transaction.fromBEEF(beef))

  it('answers with the tokens of a recipient, newest first', async () => {
    for (const query of [{ recipient: bob.identityKey }, { user: bob.identityKey.toUpperCase() }]) {
      const answer = await lookUp(node, query)
      expect(answer).to.include({ status: 200, type: 'application/json' })
      expect(answer.json.type).to.equal('output-list')
      const operators = beefs(answer).map(transaction => {
        const { fields } = PushDrop.decode(transaction.outputs[0]!.lockingScript)
        return Buffer.from(fields[1]!).toString('hex')
      })
      expect(operators).to.deep.equal([host.keys.identityKey, node.keys.identityKey])
    }
  })

  it('answers with the tokens of an operator, or with those of some outpoints that are his', async () => {
    const operatorKey = host.keys.identityKey
    const all = await lookUp(node, { operator: operatorKey })
    const ids = beefs(all).map(transaction => `${transaction.id('hex')}.0`)
    expect(ids).to.have.lengthOf(2)
    const strange = [`${'00'.repeat(32)}.0`, `${ids[0]!.slice(0, 64)}.1`]
    const some = await lookUp(node, { operator: operatorKey, outpoints: [ids[1], ...strange] })
    expect(some.json.outputs).to.have.lengthOf(1)
    expect(Buffer.from(some.json.outputs[0].beef).subarray(7).reverse().toString('hex')).to.equal(
      ids[1]!.slice(0, 64)
    )
    const others = await lookUp(node, { operator: node.keys.identityKey, outpoints: ids })
    expect(others.json.outputs).to.deep.equal([])
  })

  it('answers with nothing where it knows nothing', async () => {
    const { identityKey } = new TestUser('unknown')
    expect((await lookUp(node, { recipient: identityKey })).json).to.deep.equal({
      type: 'output-list',
      outputs: []
    })
    const binary = await lookUp(node, { recipient: identityKey }, { 'x-aggregation': 'yes' })
    expect([...binary.bytes]).to.deep.equal([0, ...Buffer.from('0100beef0000', 'hex')])
  })

  it('answers a hundred tokens at most', async () => {
    const many = operator('many')
    for (let count = 0; count < 110; count++) {
      await node.overlay.host.submit((await makeToken(many, new TestUser(`fan ${count}`))).beef)
    }
    expect((await lookUp(node, { operator: many.keys.identityKey })).json.outputs).to.have.lengthOf(100)
  })

  describe('refuses', () => {
    const key = bob.identityKey
    const questions: [what: string, body: string, code: string][] = [
      ['what is no JSON', '{', 'ERR_INVALID_JSON'],
      ['what is no question', '[]', 'ERR_INVALID_QUERY'],
      ['no service', '{"query":{}}', 'ERR_INVALID_QUERY'],
      ['another service', '{"service":"ls_nothing","query":{}}', 'ERR_UNKNOWN_SERVICE'],
      ['a service that every object has', '{"service":"toString","query":{}}', 'ERR_UNKNOWN_SERVICE'],
      ['no query', '{"service":"ls_phip"}', 'ERR_INVALID_QUERY'],
      ['an empty query', '{"service":"ls_phip","query":{}}', 'ERR_INVALID_QUERY'],
      [
        'what is no key',
        `{"service":"ls_phip","query":{"recipient":"${'02'.repeat(32)}"}}`,
        'ERR_INVALID_QUERY'
      ],
      ['a key that is no text', '{"service":"ls_phip","query":{"operator":7}}', 'ERR_INVALID_QUERY'],
      [
        'outpoints that are none',
        `{"service":"ls_phip","query":{"operator":"${key}","outpoints":["x"]}}`,
        'ERR_INVALID_QUERY'
      ],
      [
        'too many outpoints',
        JSON.stringify({
          service: 'ls_phip',
          query: { operator: key, outpoints: Array(101).fill(`${'00'.repeat(32)}.0`) }
        }),
        'ERR_INVALID_QUERY'
      ]
    ]
    for (const [what, body, code] of questions) {
      it(what, async () => {
        const answer = await call(node, '/lookup', body, { 'content-type': 'application/json' })
        expect(answer.status).to.equal(400)
        expect(answer.json).to.include({ status: 'error', code })
        expect(answer.json.message).to.be.a('string')
      })
    }
  })

  describe('serves stock clients of @bsv/sdk', () => {
    const facilitator = new HTTPSOverlayLookupFacilitator(fetch, true)
    const broadcasting = new HTTPSOverlayBroadcastFacilitator(fetch, true)
    const memory = () => {
      const values = new Map<string, string>()
      return {
        get: (name: string) => values.get(name) ?? null,
        set: (name: string, value: string) => void values.set(name, value)
      }
    }

    it('LookupResolver that is told the host', async () => {
      const hostOverrides = { ls_phip: [node.url] }
      const resolver = new LookupResolver({ facilitator, hostOverrides, reputationStorage: memory() })
      const answer = await resolver.query({ service: 'ls_phip', query: { recipient: bob.identityKey } })
      expect(answer.type).to.equal('output-list')
      const transactions = answer.outputs.map(({ beef }) => Transaction.fromBEEF(beef))
      expect(transactions).to.have.lengthOf(2)
      for (const transaction of transactions) expect(await transaction.verify('scripts only')).to.equal(true)
    })

    it('LookupResolver that asks this host as its SLAP tracker', async () => {
      const resolver = new LookupResolver({
        facilitator,
        slapTrackers: [node.url],
        reputationStorage: memory()
      })
      const answer = await resolver.query({ service: 'ls_phip', query: { recipient: bob.identityKey } })
      expect(answer.outputs).to.have.lengthOf(2)
    })

    it('TopicBroadcaster that finds this host by its SHIP token', async () => {
      const resolver = new LookupResolver({
        facilitator,
        slapTrackers: [node.url],
        reputationStorage: memory()
      })
      const broadcaster = new TopicBroadcaster(['tm_phip'], { resolver, facilitator: broadcasting })
      const dave = new TestUser('broadcast')
      const transaction = Transaction.fromBEEF([...(await makeToken(host, dave)).beef])
      const sent = await broadcaster.broadcast(transaction)
      expect(sent).to.include({ status: 'success', txid: transaction.id('hex') })
      expect(await node.liveHosts(dave)).to.deep.equal([host.keys.identityKey])
      expect(await broadcaster.broadcast(transaction), 'a repeat').to.include({ status: 'success' })
    })

    it('with SHIP and SLAP tokens that the reference topic managers would admit', async () => {
      const answers = await Promise.all([
        lookUp(node, { topics: ['tm_phip', 'tm_other'] }, {}, 'ls_ship'),
        lookUp(node, { topics: ['tm_messagebox'] }, {}, 'ls_ship'),
        lookUp(node, { service: 'ls_phip' }, {}, 'ls_slap'),
        lookUp(node, { service: 'ls_messagebox' }, {}, 'ls_slap'),
        lookUp(node, { service: 'ls_ship' }, {}, 'ls_slap')
      ])
      const names = answers.map(answer => {
        const [transaction] = beefs(answer)
        const script = transaction!.outputs[0]!.lockingScript
        expect(PushDrop.decode(script).fields).to.have.lengthOf(5)
        const { protocol, identityKey, domain, topicOrService } = OverlayAdminTokenTemplate.decode(script)
        expect(isLinked(script, protocol, identityKey)).to.equal(true)
        expect([identityKey, domain]).to.deep.equal([node.keys.identityKey, node.url])
        return `${protocol} ${topicOrService}`
      })
      expect(names).to.deep.equal([
        'SHIP tm_phip',
        'SHIP tm_messagebox',
        'SLAP ls_phip',
        'SLAP ls_messagebox',
        'SLAP ls_ship'
      ])
      for (const query of [{ topics: ['tm_other'] }, {}, null, 7]) {
        expect((await lookUp(node, query, {}, 'ls_ship')).json.outputs).to.deep.equal([])
      }
      expect((await lookUp(node, 'findAll', {}, 'ls_slap')).json.outputs).to.have.lengthOf(3)
    })
  })

  it('tells what it hosts', async () => {
    const topics = await call(node, '/listTopicManagers')
    expect(topics.json.tm_phip).to.include({ name: 'tm_phip' })
    const services = await call(node, '/listLookupServiceProviders')
    expect(Object.keys(services.json)).to.have.members(['ls_phip', 'ls_messagebox', 'ls_ship', 'ls_slap'])
    const documentation = await call(node, '/getDocumentationForTopicManager?manager=tm_phip')
    expect(documentation.type).to.match(/^text\/markdown/)
    expect(documentation.bytes.toString()).to.match(/^# tm_phip\n/)
    const service = await call(node, '/getDocumentationForLookupServiceProvider?lookupService=ls_phip')
    expect(service.bytes.toString()).to.match(/^# ls_phip\n/)
    for (const [path, code] of [
      ['/getDocumentationForTopicManager', 'ERR_MISSING_PARAMETER'],
      ['/getDocumentationForTopicManager?manager=tm_other', 'ERR_UNKNOWN_TOPIC'],
      ['/getDocumentationForLookupServiceProvider?lookupService=', 'ERR_MISSING_PARAMETER'],
      ['/getDocumentationForLookupServiceProvider?lookupService=constructor', 'ERR_UNKNOWN_SERVICE']
    ] as const) {
      expect(await call(node, path)).to.deep.include({ status: 400 })
      expect((await call(node, path)).json.code).to.equal(code)
    }
  })
})
