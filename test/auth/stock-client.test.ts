import { once } from 'node:events'
import http, { type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { AuthFetch } from '@bsv/sdk'
import { expect } from 'chai'
import type { Endpoint } from '../../src/endpoint.js'
import { TestUser } from '../support/client.js'
import { stockClient } from '../support/stock-client.js'
import { startToyNode, type ToyNode } from './toy-node.js'

const JSON_TYPE = { 'content-type': 'application/json' }
const alice = new TestUser('alice')

const slow: Endpoint<void> = {
  method: 'POST',
  path: '/slow',
  authenticated: true,
  handler: () => new Promise(() => {})
}

/** The stock client never settles where it dislikes an answer, so a hanging test here is a failing one. */
describe('AuthFetch of @bsv/sdk', () => {
  let node: ToyNode
  let handshakes: number
  let client: AuthFetch

  beforeEach(async () => {
    node = await startToyNode({ endpoints: [slow], handlerMilliseconds: 100 })
    handshakes = 0
    node.server.on('request', request => {
      if (request.url === '/.well-known/auth') handshakes++
    })
    client = stockClient(alice)
  })
  afterEach(() => node.stop())

  it('shakes hands once and is understood in every kind of call', async () => {
    const calls: [path: string, init: object, text: string | undefined][] = [
      ['/read', {}, undefined],
      ['/read?a=1&b=%20ü/?#fragment', {}, undefined],
      ['/echo', { method: 'POST', headers: JSON_TYPE, body: '{"a": "é"}' }, '{"a": "é"}'],
      ['/echo', { method: 'POST', headers: JSON_TYPE, body: { a: 1 } }, '{"a":1}'],
      ['/echo', { method: 'POST', headers: JSON_TYPE }, '{}'],
      ['/echo', { method: 'POST' }, ''],
      ['//echo?x', { method: 'POST' }, ''],
      [
        '/echo',
        { method: 'POST', headers: { 'Content-Type': 'application/json; charset=utf-8' }, body: '[]' },
        '[]'
      ],
      ['/echo', { method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'plain' }, 'plain'],
      [
        '/echo',
        {
          method: 'POST',
          headers: { ...JSON_TYPE, 'x-bsv-b': 'é', 'X-Bsv-A': '1', authorization: 'Bearer t' },
          body: '{}'
        },
        '{}'
      ]
    ]
    for (const [path, init, text] of calls) {
      const response = await client.fetch(node.url + path, init)
      expect(response.status).to.equal(200)
      expect(response.headers.get('x-bsv-auth-identity-key')).to.equal(node.identityKey)
      const body = await jsonOf(response)
      expect(body.caller).to.equal(alice.identityKey)
      expect(body.text).to.equal(text)
      if (path.startsWith('/read')) expect(response.headers.get('x-bsv-answer')).to.equal('read')
    }
    expect(handshakes).to.equal(1)
  })

  it('gets errors as answers, not as failures: refusals, faults, malformed JSON, time-outs', async () => {
    const calls: [path: string, init: object, status: number, code: string][] = [
      ['/refuse', { method: 'POST' }, 400, 'ERR_TOY'],
      ['/fail', { method: 'POST' }, 500, 'ERR_INTERNAL'],
      ['/json', { method: 'POST', headers: JSON_TYPE, body: '{' }, 400, 'ERR_INVALID_JSON'],
      ['/slow', { method: 'POST' }, 503, 'ERR_DEADLINE']
    ]
    for (const [path, init, status, code] of calls) {
      const response = await client.fetch(node.url + path, init)
      expect(response.status).to.equal(status)
      expect((await jsonOf(response)).code).to.equal(code)
    }
  })

  it('fails with a reason where the path is unknown or the body too large', async () => {
    const reason = async (path: string, body: string): Promise<string> => {
      try {
        const response = await client.fetch(node.url + path, {
          method: 'POST',
          headers: { 'content-type': 'text/plain' },
          body
        })
        return `answered ${response.status}`
      } catch (error) {
        return String(error)
      }
    }
    expect(await reason('/nowhere', 'x')).to.contain('ERR_ROUTE_NOT_FOUND')
    expect(await reason('/echo', 'x'.repeat(1_100_000))).to.contain('ERR_REQUEST_TOO_LARGE')
  })

  it('makes five first requests at once, and every one of its sessions works', async () => {
    const responses = await Promise.all([1, 2, 3, 4, 5].map(n => client.fetch(`${node.url}/read?${n}`)))
    expect(responses.map(({ status }) => status)).to.deep.equal([200, 200, 200, 200, 200])
    expect(handshakes).to.be.above(1)
  })

  it('has twenty requests of two devices of one person answered at once, each in its own session', async () => {
    const devices = [client, stockClient(alice)]
    await Promise.all(devices.map(device => device.fetch(`${node.url}/read`)))
    const calls = Array.from({ length: 20 }, (_, n) => devices[n % 2]!.fetch(`${node.url}/read?${n}`))
    for (const response of await Promise.all(calls)) expect(response.status).to.equal(200)
    expect(handshakes).to.equal(2)
  })

  it('asks for certificates and is told that there are none', async () => {
    await client.fetch(`${node.url}/read`)
    const asked = { certifiers: [alice.identityKey], types: { AAAA: ['name'] } }
    expect(await client.sendCertificateRequest(node.url, asked)).to.deep.equal([])
  })

  it('keeps its session over a restart of the node', async () => {
    node.draining.active = true
    await client.fetch(`${node.url}/read`)
    await node.stop()
    node = await startToyNode({ port: Number(new URL(node.url).port) })
    const again = countHandshakes(node)
    expect((await client.fetch(`${node.url}/read`)).status).to.equal(200)
    expect(again()).to.equal(0)
  })

  it('shakes hands again, unnoticed, when the node comes back with another key', async () => {
    node.draining.active = true
    await client.fetch(`${node.url}/read`)
    await node.stop()
    node = await startToyNode({ port: Number(new URL(node.url).port), seed: 'a new key' })
    const again = countHandshakes(node)
    const response = await client.fetch(`${node.url}/echo`, {
      method: 'POST',
      headers: JSON_TYPE,
      body: '{}'
    })
    expect(response.status).to.equal(200)
    expect(response.headers.get('x-bsv-auth-identity-key')).to.equal(node.identityKey)
    expect(again()).to.equal(1)
  })

  it('shakes hands again, unnoticed, when its session has expired', async () => {
    await client.fetch(`${node.url}/read`)
    node.clock.time += 3_600_000
    expect((await client.fetch(`${node.url}/read`)).status).to.equal(200)
    expect(handshakes).to.equal(2)
  })

  it('talks to two processes of one node behind a round-robin proxy', async () => {
    const replica = await startToyNode()
    const proxy = await startRoundRobin([node.url, replica.url])
    const served = [node, replica].map(({ server }) => {
      const seen = { requests: 0 }
      server.on('request', () => seen.requests++)
      return seen
    })
    const devices = [stockClient(alice), stockClient(new TestUser('bob'))]
    for (let n = 0; n < 10; n++) {
      const calls = devices.map(device => device.fetch(`${proxy.url}/read?${n}`))
      for (const response of await Promise.all(calls)) expect(response.status).to.equal(200)
    }
    for (const { requests } of served) expect(requests).to.be.above(8)
    await proxy.stop()
    await replica.stop()
  })
})

async function jsonOf(response: Response): Promise<Record<string, unknown>> {
  return (await response.json()) as Record<string, unknown>
}

function countHandshakes(node: ToyNode): () => number {
  let count = 0
  node.server.on('request', request => {
    if (request.url === '/.well-known/auth') count++
  })
  return () => count
}

/** A plain proxy that hands each request to the next upstream and changes nothing. */
async function startRoundRobin(upstreams: string[]): Promise<{ url: string; stop(): Promise<void> }> {
  let turn = 0
  const server: Server = http.createServer((request, response) => {
    const upstream = new URL(upstreams[turn++ % upstreams.length]!)
    const { hostname, port } = upstream
    const options = { hostname, port, method: request.method, path: request.url, headers: request.rawHeaders }
    const outgoing = http.request(options, incoming => {
      response.writeHead(incoming.statusCode ?? 502, incoming.rawHeaders)
      incoming.pipe(response)
    })
    request.pipe(outgoing)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const stop = async () => {
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  }
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, stop }
}
