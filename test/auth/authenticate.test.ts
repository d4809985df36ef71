import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { StaleSession } from '../../src/auth/stale-session.js'
import { loadCurve } from '../../src/curve/load.js'
import type { Endpoint } from '../../src/endpoint.js'
import { type Answer, type RawRequest, TestUser } from '../support/client.js'
import { startToyNode, type ToyNode } from './toy-node.js'

const STALE = 'Session not found for nonce'
const alice = new TestUser('alice')
const bob = new TestUser('bob')

const stale: Endpoint<void> = {
  method: 'POST',
  path: '/stale',
  authenticated: true,
  handler: async ({ query }) => {
    throw new StaleSession(query.has('unknown') ? 'unknown' : 'replayed')
  }
}

describe('authenticated requests', () => {
  let node: ToyNode
  let otherNode: ToyNode
  let calls = 0
  const counted: Endpoint<void> = {
    method: 'POST',
    path: '/counted',
    authenticated: true,
    handler: async ({ caller, body }) => {
      calls++
      return {
        status: 201,
        body: { caller: caller.identityKey, text: body.toString() },
        headers: { 'x-bsv-b': '2', 'x-bsv-a': '1' }
      }
    }
  }
  before(async () => {
    node = await startToyNode({ endpoints: [counted, stale] })
    otherNode = await startToyNode({ seed: 'another node', endpoints: [counted] })
  })
  after(async () => {
    await node.stop()
    await otherNode.stop()
  })

  it('are answered with status, headers and body signed for their session', async () => {
    const answer = await alice.post(node.url, '/counted', { a: 1 })
    expect(answer.signature).to.equal('valid')
    expect(answer.status).to.equal(201)
    expect(answer.headers).to.include({ 'x-bsv-a': '1', 'x-bsv-b': '2', 'content-type': 'application/json' })
    expect(answer.json).to.deep.equal({ caller: alice.identityKey, text: '{"a":1}' })
  })

  const good: [
    what: string,
    method: string,
    target: string,
    headers: Record<string, string>,
    body: string
  ][] = [
    ['without a body', 'POST', '/echo', {}, ''],
    ['with a body that has no content type', 'POST', '/echo', {}, 'x'],
    [
      'with a charset in the content type',
      'POST',
      '/echo',
      { 'content-type': 'application/json; charset=utf-8' },
      '{}'
    ],
    ['with a query', 'POST', '/echo?a=%20&b=1/2?3', {}, '{}'],
    ['with a lone question mark', 'POST', '/echo?', {}, '{}'],
    ['with repeated slashes', 'POST', '//echo', {}, '{}'],
    ['with many slashes', 'POST', '///echo?a=//', {}, '{}'],
    [
      'with signed and unsigned headers',
      'POST',
      '/echo',
      { 'x-bsv-z': 'z', 'X-Bsv-A': ' a b ', accept: '*/*' },
      '{}'
    ],
    ['with a body of blanks and line breaks', 'POST', '/echo', {}, '{ "a" : 1 }\n'],
    ['with content-encoding identity', 'POST', '/echo', { 'content-encoding': 'identity' }, '{}'],
    ['of 200 kB', 'POST', '/echo', {}, 'é'.repeat(100_000)],
    ['by GET', 'GET', '/read?x', {}, ''],
    ['by HEAD', 'HEAD', '/read', {}, '']
  ]
  for (const [what, method, target, headers, body] of good) {
    it(`are taken ${what}`, async () => {
      const signed = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value.trim()]))
      const request = alice.sign(await alice.session(node.url), {
        method,
        target: target.replace(/\?$/, ''),
        headers: signed,
        body: Buffer.from(body)
      })
      const answer = await alice.send(node.url, { ...request, target })
      expect(answer.status, answer.body.toString()).to.equal(200)
      expect(answer.signature).to.equal('valid')
      if (method === 'POST') expect(answer.json).to.include({ caller: alice.identityKey, text: body })
    })
  }

  it('tell the endpoint whether the signed bytes carry an authorization header', async () => {
    const without = await alice.post(node.url, '/echo', {})
    const withIt = await alice.post(node.url, '/echo', {}, { authorization: 'Bearer t' })
    expect([without.json.carriesAuthorization, withIt.json.carriesAuthorization]).to.deep.equal([false, true])
  })

  it('have an envelope id that is theirs alone', async () => {
    const session = await alice.session(node.url)
    const options = { requestId: randomBytes(32), nonce: randomBytes(32).toString('base64') }
    const parts = { method: 'POST', target: '/echo', body: Buffer.from('{}') }
    const once = await alice.send(node.url, alice.sign(session, parts, options))
    const again = await alice.send(node.url, alice.sign(session, parts, options))
    expect(again.json.envelopeId).to.equal(once.json.envelopeId)
    const otherNonce = await alice.send(
      node.url,
      alice.sign(session, parts, { requestId: options.requestId })
    )
    expect(otherNonce.json.envelopeId).to.not.equal(once.json.envelopeId)
    const bobs = await bob.send(node.url, bob.sign(await bob.session(node.url), parts, options))
    expect(bobs.json.envelopeId).to.not.equal(once.json.envelopeId)
  })

  it('have their errors answered signed, with code and details', async () => {
    const answer = await alice.post(node.url, '/refuse', {})
    expect(answer).to.include({ status: 400, signature: 'valid' })
    expect(answer.json).to.deep.equal({
      status: 'error',
      code: 'ERR_TOY',
      description: 'The toy refuses.',
      toy: true
    })
  })

  it('have unexpected errors answered signed, without detail, and logged', async () => {
    const answer = await alice.post(node.url, '/fail', {})
    expect(answer).to.include({ status: 500, signature: 'valid' })
    expect(answer.json.code).to.equal('ERR_INTERNAL')
    expect(answer.body.toString()).to.not.contain('secret')
    expect(String(node.log.at(-1)?.err)).to.contain('the secret detail')
  })

  it('are answered unsigned, as a fault of ours, if the answer cannot be signed', async () => {
    const broken = loadCurve()
    const mute = await startToyNode({ curve: broken })
    const session = await alice.handshake(mute.url)
    broken.sign = () => {
      throw new Error('the secret detail')
    }
    const answer = await alice.send(mute.url, alice.sign(session, { method: 'POST', target: '/echo' }))
    await mute.stop()
    expect(answer).to.include({ status: 500, signature: 'absent' })
    expect(answer.json.code).to.equal('ERR_RESPONSE_SIGNING_FAILED')
    expect(answer.body.toString()).to.not.contain('secret')
  })

  it('have malformed JSON answered signed', async () => {
    for (const body of ['', '{', '{"a":1,"a":1}']) {
      const answer = await alice.post(node.url, '/json', body)
      expect(answer).to.include({ status: 400, signature: 'valid' })
      expect(answer.json.code).to.equal('ERR_INVALID_JSON')
    }
    expect((await alice.post(node.url, '/json', { a: [1] })).json).to.deep.equal({ received: { a: [1] } })
  })

  it('are answered as of an unknown session when the storage layer says so', async () => {
    const session = await alice.session(node.url)
    const ask = (target: string) => alice.send(node.url, alice.sign(session, { method: 'POST', target }))
    expectRefusal(await ask('/stale?replayed'), 'ERR_AUTH_FAILED', true)
    expect(node.epoch.renewals).to.equal(0)
    expectRefusal(await ask('/stale?unknown'), 'ERR_AUTH_FAILED', true)
    expect(node.epoch.renewals).to.equal(1)
  })

  it('keep their session for an hour', async () => {
    const carol = new TestUser('carol')
    const session = await carol.handshake(node.url)
    const ask = async () => carol.send(node.url, carol.sign(session, { method: 'POST', target: '/echo' }))
    node.clock.time += 3_599_000
    expect((await ask()).status).to.equal(200)
    node.clock.time += 1_000
    expectRefusal(await ask(), 'ERR_AUTH_FAILED', true)
    node.clock.time -= 3_600_000
  })

  it('are refused without any authentication', async () => {
    expectRefusal(await alice.send(node.url, { ...post(), headers: [] }), 'ERR_AUTH_REQUIRED', false)
    expectRefusal(
      await alice.send(node.url, { ...post(), headers: [['accept', '*/*']] }),
      'ERR_AUTH_REQUIRED',
      false
    )
  })

  for (const name of ['version', 'identity-key', 'nonce', 'your-nonce', 'request-id', 'signature']) {
    it(`are refused without x-bsv-auth-${name}, or with it empty or twice`, async () => {
      const header = `x-bsv-auth-${name}`
      const request = await signed()
      const without = request.headers.filter(([other]) => other !== header)
      expectRefusal(await alice.send(node.url, { ...request, headers: without }), 'UNAUTHORIZED', false)
      const empty = await alice.send(node.url, { ...request, headers: [...without, [header, '']] })
      expectRefusal(empty, 'UNAUTHORIZED', false)
      const value = request.headers.find(([other]) => other === header)![1]
      const twice = await alice.send(node.url, { ...request, headers: [...request.headers, [header, value]] })
      expectRefusal(twice, 'ERR_AUTH_FAILED', name === 'your-nonce')
    })
  }

  const malformed: [header: string, value: string][] = [
    ['version', '0.2'],
    ['version', '1.0'],
    ['identity-key', 'me'],
    ['identity-key', `04${'11'.repeat(64)}`],
    ['nonce', 'a'],
    ['nonce', randomBytes(129).toString('base64')],
    ['nonce', `${randomBytes(32).toString('base64')}=`],
    ['request-id', randomBytes(31).toString('base64')],
    ['request-id', randomBytes(33).toString('base64')],
    ['request-id', randomBytes(32).toString('hex')],
    ['signature', 'xyz'],
    ['signature', '30'],
    ['signature', '00'.repeat(71)],
    ['signature', '30'.repeat(73)],
    ['signature', randomBytes(71).toString('base64')]
  ]
  for (const [header, value] of malformed) {
    it(`are refused with ${header} ${value.slice(0, 20)} (${value.length} characters)`, async () => {
      expectRefusal(
        await alice.send(node.url, withHeader(await signed(), header, value)),
        'ERR_AUTH_FAILED',
        false
      )
    })
  }

  const tampered: [what: string, change: (request: RawRequest) => RawRequest][] = [
    ['another body', request => ({ ...request, body: Buffer.from('{"a":2}') })],
    ['a body of other blanks', request => ({ ...request, body: Buffer.from('{"a": 1}') })],
    ['no body', request => ({ ...request, body: Buffer.alloc(0) })],
    ['another path', request => ({ ...request, target: '/echo?b=1' })],
    ['one slash more', request => ({ ...request, target: `/${request.target}` })],
    ['another query', request => ({ ...request, target: '/counted?b=2' })],
    ['no query', request => ({ ...request, target: '/counted' })],
    ['the query re-encoded', request => ({ ...request, target: '/counted?%62=1' })],
    ['a further signed header', request => withHeader(request, 'x-bsv-more', '1', '')],
    [
      'a signed header less',
      request => ({ ...request, headers: request.headers.filter(([n]) => n !== 'x-bsv-a') })
    ],
    ['a signed header changed', request => withHeader(request, 'x-bsv-a', '2', '')],
    ['another content type', request => withHeader(request, 'content-type', 'text/plain', '')],
    ['an authorization header put in', request => withHeader(request, 'authorization', 'Bearer t', '')],
    ['a signed header twice', request => ({ ...request, headers: [...request.headers, ['x-bsv-a', '1']] })],
    [
      'the content type twice',
      request => ({ ...request, headers: [...request.headers, ['Content-Type', 'application/json']] })
    ],
    ['another request id', request => withHeader(request, 'request-id', randomBytes(32).toString('base64'))],
    ['another nonce', request => withHeader(request, 'nonce', randomBytes(32).toString('base64'))],
    ['a bit of the signature flipped', request => flipSignature(request, 40)],
    ['the signature cut', request => mapSignature(request, hex => hex.slice(0, -2))],
    ['the signature lengthened', request => mapSignature(request, hex => `${hex}00`)]
  ]
  for (const [what, change] of tampered) {
    it(`are refused with ${what}`, async () => {
      const before = calls
      expectRefusal(await alice.send(node.url, change(await signed())), 'ERR_AUTH_FAILED', false)
      expect(calls).to.equal(before)
    })
  }

  it("are refused with another user's key in the header", async () => {
    const before = calls
    const swapped = withHeader(await signed(), 'identity-key', bob.identityKey)
    expectRefusal(await alice.send(node.url, swapped), 'ERR_AUTH_FAILED', true)
    await bob.handshake(node.url)
    expectRefusal(await alice.send(node.url, swapped), 'ERR_AUTH_FAILED', true)
    expect(calls).to.equal(before)
  })

  it("are refused in another user's session", async () => {
    const parts = { method: 'POST', target: '/counted' }
    const bobInAlices = bob.sign(await alice.session(node.url), parts)
    expectRefusal(await alice.send(node.url, bobInAlices), 'ERR_AUTH_FAILED', true)
    const asAlice = withHeader(bobInAlices, 'identity-key', alice.identityKey)
    expectRefusal(await alice.send(node.url, asAlice), 'ERR_AUTH_FAILED', false)
  })

  it('are refused in a session of another node, and with a nonce nobody gave', async () => {
    const foreign = alice.sign(await new TestUser('alice').handshake(otherNode.url), {
      method: 'POST',
      target: '/counted'
    })
    expectRefusal(await alice.send(node.url, foreign), 'ERR_AUTH_FAILED', true)
    for (const nonce of [
      'x',
      'AAAA',
      randomBytes(48).toString('base64'),
      randomBytes(103).toString('base64')
    ]) {
      expectRefusal(
        await alice.send(node.url, withHeader(await signed(), 'your-nonce', nonce)),
        'ERR_AUTH_FAILED',
        true
      )
    }
  })

  it('are refused at another node, even in a session it gave', async () => {
    const session = await alice.session(node.url)
    const theirs = await new TestUser('alice').handshake(otherNode.url)
    const mixed = alice.sign(
      { ...session, nodeNonce: theirs.nodeNonce },
      { method: 'POST', target: '/counted' }
    )
    expectRefusal(await alice.send(otherNode.url, mixed), 'ERR_AUTH_FAILED', false)
  })

  function post(): RawRequest {
    return { method: 'POST', target: '/counted?b=1', headers: [], body: Buffer.from('{"a":1}') }
  }

  async function signed(): Promise<RawRequest> {
    const headers = { 'content-type': 'application/json', 'x-bsv-a': '1' }
    return alice.sign(await alice.session(node.url), { ...post(), headers })
  }
})

/** Every refusal of authentication is unsigned JSON; only a stale session makes stock clients shake hands again. */
function expectRefusal(answer: Answer, code: string, isStale: boolean): void {
  expect(answer.status, answer.body.toString()).to.equal(401)
  expect(answer.signature).to.equal('absent')
  expect(answer.json).to.include({ status: 'error', code, message: answer.json.description })
  expect(answer.body.subarray(0, 500).includes(STALE)).to.equal(isStale)
}

function withHeader(request: RawRequest, name: string, value: string, prefix = 'x-bsv-auth-'): RawRequest {
  const others = request.headers.filter(([other]) => other !== prefix + name)
  return { ...request, headers: [...others, [prefix + name, value]] }
}

function mapSignature(request: RawRequest, change: (hex: string) => string): RawRequest {
  const [, hex] = request.headers.find(([name]) => name === 'x-bsv-auth-signature')!
  return withHeader(request, 'signature', change(hex))
}

function flipSignature(request: RawRequest, at: number): RawRequest {
  return mapSignature(
    request,
    hex => hex.slice(0, at) + (Number.parseInt(hex[at]!, 16) ^ 1).toString(16) + hex.slice(at + 1)
  )
}
