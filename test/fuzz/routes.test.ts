import { expect } from 'chai'
import fc from 'fast-check'
import { type Call, jsonCalls, listedEndpoints, otherCalls } from '../api/calls.js'
import { exchange, type RawAnswer, TestUser } from '../support/client.js'
import { anyJson, describeFuzz, inputs, mutatedBytes, mutatedJson } from '../support/fuzz.js'
import { authorizeRouting, startTestNode, type TestNode } from '../support/nodes.js'

/** No answer after this long, ms, is a hang. */
const PATIENCE = 10_000
const AT_ONCE = 8

describeFuzz('fuzz: every call with a JSON body', () => {
  let node: TestNode
  let calls: readonly Call[]
  const mallory = new TestUser('mallory of fuzz')
  const bob = new TestUser('bob of fuzz')

  before(async () => {
    // As many boxes are made up as there are inputs: a full node is not what is tried here.
    node = await startTestNode('fuzz', { environment: { LIMIT_RECIPIENT_BOXES: '100000' } })
    await authorizeRouting(bob, node)
    await authorizeRouting(mallory, node)
    const [output] = await node.databases.database.query<{ txid: string; index: number }>(
      {
        name: '',
        text: `select encode(txid, 'hex') as txid, output_index as index from overlay_outputs limit 1`
      },
      []
    )
    const session = await mallory.session(node.url)
    calls = jsonCalls({ node, caller: mallory, session, recipient: bob, output: output! })
  })
  after(() => node?.remove())

  it('is among these', async () => {
    const paths = new Set([...calls, ...otherCalls].map(({ path }) => path))
    expect(paths).to.deep.equal(new Set(await listedEndpoints()))
  })

  it('is answered or refused with a reason, whatever comes', async () => {
    for (const call of calls) {
      const valid = fc.constant(call).map(({ valid: make }) => make())
      const bodies = fc.oneof(
        { weight: 4, arbitrary: mutatedJson(valid).map(json) },
        { weight: 3, arbitrary: mutatedBytes(valid.map(json)) },
        { weight: 1, arbitrary: anyJson().map(json) }
      )
      const several = fc.array(bodies, { minLength: AT_ONCE, maxLength: AT_ONCE })
      const numRuns = Math.ceil(inputs(0.02).numRuns / AT_ONCE)
      await fc.assert(
        fc.asyncProperty(several, all =>
          Promise.all(all.map(body => prove(call, body))).then(() => undefined)
        ),
        { numRuns }
      )
    }
  })

  async function prove(call: Call, body: Buffer): Promise<void> {
    const { status, body: text } = await within(send(call, body))
    const told = `${call.path} ${status} ${text.subarray(0, 200)}`
    expect(status, told).to.be.within(200, 499)
    if (status < 300) return
    const answer = JSON.parse(text.toString()) as Record<string, unknown>
    expect(answer.status, told).to.equal('error')
    expect(answer.code, told).to.match(/^(ERR_[A-Z0-9_]+|UNAUTHORIZED)$/)
    expect(answer.description, told).to.be.a('string')
  }

  function json(value: unknown): Buffer {
    return Buffer.from(JSON.stringify(value) ?? '')
  }

  function send({ path, authenticated, headers }: Call, body: Buffer): Promise<RawAnswer> {
    const all = { 'content-type': 'application/json', ...headers }
    if (authenticated) return mallory.request(node.url, 'POST', path, all, body)
    return exchange(node.url, { method: 'POST', target: path, headers: Object.entries(all), body })
  }

  async function within(answer: Promise<RawAnswer>): Promise<RawAnswer> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('no answer')), PATIENCE)
    })
    try {
      return await Promise.race([answer, late])
    } finally {
      clearTimeout(timer)
    }
  }
})
