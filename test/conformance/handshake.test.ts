import { expect } from 'chai'
import { exchange, jsonRequest, TestUser } from '../support/client.js'
import { startTestNode, type TestNode } from '../support/nodes.js'
import { type PublishedVector, publishedVectors } from '../support/published-vectors.js'

const vectors = publishedVectors('auth/brc31-handshake.json')
const vector = (number: number): PublishedVector => vectors.find(({ id }) => id.endsWith(`.${number}`))!
const alice = new TestUser('alice of the published handshake')

describe('published vectors of the BRC-31 handshake', () => {
  let node: TestNode
  before(async () => {
    node = await startTestNode('published handshake')
  })
  after(() => node.remove())

  /** The vectors' nonce has 13 bytes and padding; BRC-103 asks for 32, and key ids need one without padding. */
  async function shakeHands(number: number, changes: object = {}) {
    const { input } = vector(number)
    const { body, headers } = await exchange(node.url, {
      ...jsonRequest(input.path!, { ...(input.body as object), ...changes }),
      headers: Object.entries({ 'content-type': 'application/json', ...input.headers })
    }).then(answer => {
      expect(answer.status, answer.body.toString()).to.equal(vector(number).expected.status)
      return answer
    })
    return { headers, json: JSON.parse(body.toString()) as Record<string, unknown> }
  }
  const nonce = Buffer.alloc(48, 7).toString('base64')

  it('1: initialResponse has the members told, once the nonce is long enough', async () => {
    const { json } = await shakeHands(1, { nonce, initialNonce: nonce })
    for (const [name, type] of Object.entries(vector(1).expected.body_shape as Record<string, string>)) {
      if (['string', 'array'].includes(type)) expect(json[name], name).to.be.a(type)
      else expect(json[name], name).to.equal(type)
    }
  })

  it('1: the nonce as published is refused, being shorter than BRC-103 asks', async () => {
    const answer = await exchange(node.url, jsonRequest('/.well-known/auth', vector(1).input.body))
    expect(answer.status).to.be.within(400, 401)
  })

  it('2: initialResponse has the headers told', async () => {
    const { headers } = await shakeHands(2, { nonce, initialNonce: nonce })
    for (const name of vector(2).expected.response_headers_required as string[]) {
      expect(headers[name], name).to.be.a('string').and.not.equal('')
    }
  })

  for (const number of [3, 4]) {
    it(`${number}: ${vector(number).description}`, async () => {
      const { json } = await shakeHands(number)
      expect(json).to.include(vector(number).expected.body as object)
    })
  }

  it('5: an authenticated answer has the headers told, also where there is no such route', async () => {
    const { headers } = await alice.post(node.url, '/listMessages', { messageBox: 'inbox' })
    for (const name of vector(5).expected.response_headers_required as string[]) {
      expect(headers[name], name).to.be.a('string').and.not.equal('')
    }
  })

  it('6: the answer to an authenticated POST is signed; a body that is none of BRC-33 is a 400', async () => {
    const { input, expected } = vector(6)
    const answer = await alice.post(node.url, input.path!, input.body)
    expect(answer.status).to.equal(400)
    expect(answer.signature).to.equal('valid')
    for (const name of expected.response_headers_required as string[])
      expect(answer.headers).to.have.property(name)
  })

  for (const number of [7, 8]) {
    it(`${number}: ${vector(number).description}`, async () => {
      const { input, expected } = vector(number)
      // The route is one of ours: where there is none, nobody is asked who he is.
      const answer = await exchange(node.url, {
        ...jsonRequest('/listMessages', { messageBox: 'inbox' }),
        headers: Object.entries({ 'content-type': 'application/json', ...input.headers })
      })
      expect(answer.status, answer.body.toString()).to.equal(expected.status)
      expect(JSON.parse(answer.body.toString())).to.include(expected.body as object)
    })
  }

  it('13: request ids have 32 bytes', async () => {
    const session = await alice.session(node.url)
    const request = { method: 'POST', target: '/listMessages', headers: {}, body: Buffer.from('{}') }
    const answer = await alice.send(node.url, alice.sign(session, request, { requestId: Buffer.alloc(31) }))
    expect(answer.status).to.equal(401)
  })

  it('14: a handshake grants nothing and may be repeated; a request that comes again is refused', async () => {
    const body = { messageBox: 'inbox' }
    const { request } = await alice.post(node.url, '/listMessages', body)
    const again = await alice.send(node.url, request)
    expect(again.status).to.equal(vector(14).expected.status)
    expect(again.json).to.include(vector(14).expected.body as object)
  })
})
