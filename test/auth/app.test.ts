import { expect } from 'chai'
import type { Endpoint } from '../../src/endpoint.js'
import { exchange, type RawAnswer, type RawRequest, TestUser } from '../support/client.js'
import { RawConnection } from './raw-connection.js'
import { startToyNode, type ToyNode } from './toy-node.js'

const alice = new TestUser('alice')

const never: Endpoint<void> = {
  method: 'POST',
  path: '/never',
  authenticated: true,
  handler: () => new Promise(() => {})
}

const text: Endpoint<void> = {
  method: 'GET',
  path: '/text',
  authenticated: false,
  handler: async ({ query }) => ({
    status: 203,
    body: Buffer.from(`# ${query.get('title')}`),
    headers: { 'content-type': 'text/markdown', 'cache-control': 'max-age=60' }
  })
}

describe('app', () => {
  let node: ToyNode
  before(async () => {
    node = await startToyNode({
      endpoints: [never, text],
      handlerMilliseconds: 50,
      config: { trustedProxies: ['127.0.0.1'] }
    })
  })
  after(() => node.stop())

  const ask = (method: string, target: string, headers: RawRequest['headers'] = []): Promise<RawAnswer> =>
    exchange(node.url, { method, target, headers, body: Buffer.alloc(0) })

  it('answers 404 with JSON for a path it does not have', async () => {
    for (const [method, target] of [
      ['GET', '/'],
      ['POST', '/nowhere'],
      ['GET', '/Read'],
      ['GET', '/read/'],
      ['GET', '/rea%64'],
      ['DELETE', '/x?y']
    ]) {
      const answer = await ask(method!, target!)
      expect(answer.status, target).to.equal(404)
      expect(jsonOf(answer)).to.include({ status: 'error', code: 'ERR_ROUTE_NOT_FOUND' })
    }
  })

  it('answers 405 with Allow for a method a path does not take', async () => {
    for (const method of ['GET', 'PUT', 'DELETE', 'PROPFIND', 'TRACE', 'M-SEARCH']) {
      const answer = await ask(method, '//echo')
      expect(answer.status, method).to.equal(405)
      expect(answer.headers.allow).to.equal('POST')
      expect(jsonOf(answer).code).to.equal('ERR_METHOD_NOT_ALLOWED')
    }
  })

  it('answers 400 to a target that is no plain path', async () => {
    for (const target of ['*', '/a%20b#c', '/a?b#c']) {
      const connection = await RawConnection.open(node.url)
      connection.write(`GET ${target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`)
      expect(await connection.untilClosed(), target)
        .to.match(/^HTTP\/1\.1 400 /)
        .and.contain('ERR_INVALID_TARGET')
    }
  })

  it('takes a target in absolute form', async () => {
    const connection = await RawConnection.open(node.url)
    connection.write('GET http://somewhere/text?title=a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
    expect(await connection.untilClosed())
      .to.match(/^HTTP\/1\.1 203 /)
      .and.match(/# a$/)
  })

  it('sends bytes as they are, with the type and headers the endpoint gives', async () => {
    const answer = await ask('GET', '/text?title=a%20b')
    expect(answer.status).to.equal(203)
    expect(answer.body.toString()).to.equal('# a b')
    expect(answer.headers).to.include({ 'content-type': 'text/markdown', 'cache-control': 'max-age=60' })
    const head = await ask('HEAD', '/text?title=a%20b')
    expect([head.status, head.headers['content-length'], head.body.length]).to.deep.equal([203, '5', 0])
  })

  it('lets browsers call from anywhere and read every header', async () => {
    const preflight = await ask('OPTIONS', '/echo', [
      ['origin', 'https://app.example'],
      ['access-control-request-headers', 'x-bsv-auth-nonce, authorization']
    ])
    expect(preflight.status).to.equal(200)
    expect(preflight.headers).to.include({
      'access-control-allow-origin': '*',
      'access-control-allow-headers': '*, Authorization',
      'access-control-allow-private-network': 'true'
    })
    expect(preflight.headers['access-control-allow-methods']).to.equal('GET, POST')
    expect(preflight.headers['access-control-max-age']).to.equal('86400')
    expect(preflight.headers).to.not.have.property('access-control-allow-credentials')
    for (const answer of [
      await alice.post(node.url, '/echo', {}),
      await ask('GET', '/nowhere'),
      await alice.post(node.url, '/fail', {}),
      await ask('POST', '/echo'),
      await ask('PUT', '/echo'),
      await ask('POST', '/echo', [['content-encoding', 'gzip']])
    ]) {
      expect(answer.headers).to.include({
        'access-control-allow-origin': '*',
        'access-control-expose-headers': '*'
      })
      expect(answer.headers).to.not.have.property('access-control-allow-credentials')
    }
  })

  const HARMLESS = {
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff'
  }

  it('tells browsers to store, sniff, embed and refer to nothing', async () => {
    for (const { headers } of [await alice.post(node.url, '/echo', {}), await ask('GET', '/nowhere')]) {
      expect(headers).to.include(HARMLESS)
      expect(headers).to.not.have.property('x-powered-by')
      expect(headers).to.not.have.property('server')
    }
  })

  it('says the same where no request could be read', async () => {
    const connection = await RawConnection.open(node.url)
    connection.write('GET / HTTP/9.9\r\n\r\n')
    const answer = await connection.untilClosed()
    const told = { ...HARMLESS, 'access-control-allow-origin': '*', 'access-control-expose-headers': '*' }
    for (const [name, value] of Object.entries(told)) expect(answer).to.contain(`\r\n${name}: ${value}\r\n`)
  })

  it('answers for a handler that takes too long, signed', async () => {
    const answer = await alice.post(node.url, '/never', {})
    expect(answer).to.include({ status: 503, signature: 'valid' })
    expect(answer.json.code).to.equal('ERR_DEADLINE')
    expect(answer.headers['retry-after']).to.equal('1')
  })

  it('knows the client behind a trusted proxy', async () => {
    const answer = await alice.post(node.url, '/echo', {}, { 'x-forwarded-for': '203.0.113.9, 198.51.100.7' })
    expect(answer.json.clientAddress).to.equal('198.51.100.7')
  })

  it('ends its connections while it drains', async () => {
    expect((await ask('GET', '/text')).headers.connection).to.equal('keep-alive')
    node.draining.active = true
    expect((await ask('GET', '/text')).headers.connection).to.equal('close')
    expect((await ask('GET', '/nowhere')).headers.connection).to.equal('close')
    node.draining.active = false
  })
})

function jsonOf(answer: RawAnswer): Record<string, unknown> {
  return JSON.parse(answer.body.toString())
}

describe("the operator's app", () => {
  let node: ToyNode
  before(async () => {
    node = await startToyNode({ endpoints: [text], isForOperator: true })
  })
  after(() => node.stop())

  const ask = async (headers: string): Promise<string> => {
    const connection = await RawConnection.open(node.url)
    connection.write(`GET /text?title=a HTTP/1.1\r\nconnection: close\r\n${headers}\r\n\r\n`)
    return connection.untilClosed()
  }

  it('answers programs of this machine', async () => {
    for (const host of ['localhost', 'LOCALHOST:9080', '127.0.0.1:9080', '127.0.1.1', '[::1]:9080']) {
      const answer = await ask(`host: ${host}`)
      expect(answer).to.match(/^HTTP\/1\.1 203 [\s\S]*# a$/)
      expect(answer).to.not.match(/access-control/i)
    }
  })

  it('answers no page in a browser, be it open or by a name that was made to point here', async () => {
    for (const headers of [
      'host: localhost:9080\r\norigin: https://evil.example',
      'host: localhost:9080\r\norigin: null',
      'host: localhost:9080\r\nsec-fetch-site: cross-site',
      'host: evil.example:9080',
      'host: localhost.evil.example',
      'host: 127.0.0.1.evil.example:9080',
      'host: 0.0.0.0:9080'
    ]) {
      const answer = await ask(headers)
      expect(answer)
        .to.match(/^HTTP\/1\.1 403 /)
        .and.contain('ERR_BROWSER_REFUSED')
      expect(answer).to.not.match(/access-control/i)
    }
  })
})
