import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { expect } from 'chai'
import type { DialTarget } from '../../federation/channel/dial.js'
import {
  createOutboundDoor,
  type OutboundDoor,
  type OutboundDoorOptions,
  type OutboundRequest,
  type Timeouts
} from '../../federation/channel/guarded-fetch.js'
import { OutboundError } from '../../federation/channel/outbound-error.js'
import { createLogger } from '../../src/logger.js'
import { createTestAuthority } from '../support/certificates.js'
import {
  dripping,
  endless,
  json,
  raw,
  reset,
  type Script,
  ScriptedHost,
  silent,
  truncated
} from '../support/peer.js'

const logger = createLogger('silent')
const OK = 'HTTP/1.1 200 OK\r\n'
const LIMIT = 64 * 1024
/** For tests that wait for one of them; the others keep the real ones, however slow the machine is. */
const SHORT_TIMEOUTS: Readonly<Record<string, Partial<Timeouts>>> = {
  'timeout-before-headers': { headers: 150 },
  timeout: { total: 500 }
}

async function failureOf(answer: Promise<unknown>): Promise<OutboundError> {
  const error = await answer.then(
    () => undefined,
    (reason: unknown) => reason
  )
  if (error instanceof OutboundError) return error
  throw new Error(`expected an OutboundError, got ${error}`)
}

describe('the door outward, on the local network', () => {
  let host: ScriptedHost
  let door: OutboundDoor

  before(async () => {
    host = await ScriptedHost.start()
    door = createOutboundDoor({ network: 'local', logger })
  })
  after(async () => {
    door.close()
    await host.close()
  })

  const get = (path: string, options: Partial<OutboundRequest> = {}) =>
    door.request({
      url: `http://${host.domain}${path}`,
      method: 'GET',
      maximumAnswerBytes: LIMIT,
      ...options
    })

  it('sends exactly what it is given, and hands over status, headers and bytes', async () => {
    const answer = Buffer.from([0, 1, 2, 0xff])
    host.next('POST /submit?x=%20y', (_request, response) => {
      response.writeHead(418, { 'X-Topics': ['a', 'b'], 'Retry-After': '7' }).end(answer)
    })
    const body = Buffer.from('{"a": 1}')
    const headers = { 'content-type': 'application/json', 'x-topics': '["tm_phip"]' }
    const {
      status,
      headers: got,
      body: bytes
    } = await get('/submit?x=%20y', { method: 'POST', headers, body })
    expect(status).to.equal(418)
    expect(got).to.include({ 'retry-after': '7', 'x-topics': 'a, b' })
    expect(bytes.equals(answer)).to.equal(true)
    const request = host.requests.at(-1)!
    expect(request.body.equals(body)).to.equal(true)
    expect(request.headers).to.deep.equal({
      host: host.domain,
      connection: 'keep-alive',
      'content-length': '8',
      'accept-encoding': 'identity',
      ...headers
    })
  })

  it('reaches names as the system resolves them', async () => {
    host.next('GET /', json(200, { ok: true }, { connection: 'close' }))
    const answer = await get('/', { url: `http://localhost:${host.port}/` })
    expect(answer.status).to.equal(200)
  })

  it('refuses link-local addresses, and loopback in other spellings', async () => {
    const connections = host.connections
    const metadata = await failureOf(get('/', { url: 'http://169.254.169.254/latest/meta-data/' }))
    expect(metadata).to.include({ kind: 'refused-address', phase: 'before-sent' })
    for (const name of ['127.1', '2130706433', '0x7f000001', '[::ffff:127.0.0.1]']) {
      const error = await failureOf(get('/', { url: `http://${name}:${host.port}/` }))
      expect(error, name).to.include({ kind: 'refused-url', phase: 'before-sent' })
    }
    expect(host.connections).to.equal(connections)
  })

  it('answers an empty body, and no body at all', async () => {
    const close = 'connection: close\r\n'
    host.next(
      'GET /',
      raw(`${OK}${close}content-length: 0\r\n\r\n`),
      raw(`HTTP/1.1 204 No Content\r\n${close}\r\n`)
    )
    expect((await get('/')).body).to.have.length(0)
    expect(await get('/')).to.include({ status: 204 })
  })

  it('joins pieces of any size, up to the limit and not a byte more', async () => {
    const chunked = (pieces: number): Script => {
      return (_request, response) => {
        for (let i = 0; i < pieces; i++) response.write('abcdefghij')
        response.end()
      }
    }
    host.next('GET /', chunked(500), chunked(501), (_request, response) => {
      response.writeHead(200, { 'content-length': 5_000 }).end('x'.repeat(5_000))
    })
    const whole = await get('/', { maximumAnswerBytes: 5_000 })
    expect(whole.body.toString()).to.equal('abcdefghij'.repeat(500))
    expect(await failureOf(get('/', { maximumAnswerBytes: 5_000 }))).to.include({ kind: 'too-large' })
    expect((await get('/', { maximumAnswerBytes: 5_000 })).body).to.have.length(5_000)
  })

  const FAULTS = {
    'a body without end': ['too-large', endless(`${OK}\r\n`, 'x')],
    'a chunked body without end': [
      'too-large',
      endless(`${OK}transfer-encoding: chunked\r\n\r\n`, `400\r\n${'x'.repeat(1024)}\r\n`)
    ],
    'a body of crumbs without end': [
      'protocol',
      endless(`${OK}transfer-encoding: chunked\r\n\r\n`, '1\r\nx\r\n')
    ],
    'a chunk extension without end': ['too-large', endless(`${OK}transfer-encoding: chunked\r\n\r\n1;`, 'x')],
    'a length beyond the limit': ['too-large', raw(`${OK}content-length: ${LIMIT + 1}\r\n\r\n`)],
    'a header without end': ['too-large', endless(`${OK}x: `, 'x')],
    'headers without end': ['too-large', endless(OK, 'x: x\r\n')],
    'headers beyond the limit': [
      'too-large',
      raw(`${OK}content-length: 0\r\n${'x: '.padEnd(100, 'x').concat('\r\n').repeat(180)}\r\n`)
    ],
    'trailers without end': [
      'too-large',
      endless(`${OK}transfer-encoding: chunked\r\n\r\n0\r\n`, 'x: x\r\n')
    ],
    'a status line without end': ['too-large', endless('HTTP/1.1 200 ', 'x')],
    'interim answers without end': ['protocol', endless('', 'HTTP/1.1 103 Early Hints\r\n\r\n')],
    'an interim 100 that nobody asked for': ['protocol', raw('HTTP/1.1 100 Continue\r\n\r\n')],
    'an upgrade that nobody asked for': [
      'protocol',
      raw('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n')
    ],
    'no HTTP': ['protocol', raw('220 mail.example ESMTP\r\n')],
    'two lengths': ['protocol', raw(`${OK}content-length: 1\r\ncontent-length: 2\r\n\r\nx`)],
    'a bad chunk': ['protocol', raw(`${OK}transfer-encoding: chunked\r\n\r\nzz\r\nx`)],
    'a length and chunks': ['protocol', raw(`${OK}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\nx`)],
    'a status beyond 599': ['protocol', raw('HTTP/1.1 999 Hm\r\ncontent-length: 0\r\n\r\n')],
    'a compressed answer': ['protocol', raw(`${OK}content-encoding: gzip\r\ncontent-length: 1\r\n\r\nx`)],
    'a redirect': ['redirect', raw('HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n')],
    'no answer': ['timeout-before-headers', silent],
    'headers that drip': ['timeout-before-headers', dripping(OK, 'x')],
    'a body that drips': ['timeout', dripping(`${OK}content-length: 60000\r\n\r\n`, 'x')],
    'a body that stops': ['timeout', raw(`${OK}content-length: 3\r\n\r\nx`)],
    'a body cut off': ['reset', truncated(`${OK}content-length: 3\r\n\r\nx`)],
    'chunks cut off': ['reset', truncated(`${OK}transfer-encoding: chunked\r\n\r\n1\r\nx`)],
    'the last body cut off': ['reset', truncated(`${OK}connection: close\r\ncontent-length: 3\r\n\r\nx`)],
    'the last chunks cut off': [
      'reset',
      truncated(`${OK}connection: close\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx`)
    ],
    'headers cut off': ['reset', truncated('HTTP/1.1 200 OK\r\nx-a')],
    'an end without an answer': ['reset', truncated('')],
    'a broken connection': ['reset', reset]
  } as const

  for (const [fault, [kind, script]] of Object.entries(FAULTS)) {
    it(`ends ${fault} as ${kind}, closes the connection, and calls again`, async () => {
      const path = `/${fault.replaceAll(' ', '-')}`
      host.next(`GET ${path}`, script).next('GET /', json(200, {}))
      const startedAt = performance.now()
      const error = await failureOf(get(path, { timeouts: SHORT_TIMEOUTS[kind] ?? {} }))
      expect(error).to.include({ kind, phase: 'after-sent' })
      expect(performance.now() - startedAt).to.be.below(2_000)
      expect(await get('/')).to.include({ status: 200 })
      await host.untilOpen(1)
    })
  }

  it('gives up on a name that is not resolved, an address that is not reached, a port that is closed', async () => {
    const unresolved = createOutboundDoor({ network: 'local', logger, resolver: () => new Promise(() => {}) })
    const unknown = createOutboundDoor({ network: 'local', logger, resolver: async () => [] })
    const unreached = createOutboundDoor({ network: 'local', logger, connector: () => new Socket() })
    const timeouts = { connect: 100 }
    const call = (other: OutboundDoor, url: string) =>
      failureOf(other.request({ url, method: 'GET', maximumAnswerBytes: 1, timeouts }))
    expect(await call(unresolved, 'http://host.example/')).to.include({ kind: 'dns', phase: 'before-sent' })
    expect(await call(unknown, 'http://host.example/')).to.include({ kind: 'dns', phase: 'before-sent' })
    expect(await call(unreached, 'http://127.0.0.1/')).to.include({ kind: 'connect', phase: 'before-sent' })
    const closed = createServer().listen(0, '127.0.0.1')
    await once(closed, 'listening')
    const { port } = closed.address() as AddressInfo
    closed.close()
    await once(closed, 'close')
    expect(await call(door, `http://127.0.0.1:${port}/`)).to.include({
      kind: 'connect',
      phase: 'before-sent'
    })
  })
})

describe('the door outward, its connections', () => {
  let host: ScriptedHost
  let dialled: DialTarget[]
  let sockets: Socket[]
  const doors: OutboundDoor[] = []

  beforeEach(async () => {
    host = await ScriptedHost.start()
    dialled = []
    sockets = []
  })
  afterEach(async () => {
    for (const door of doors.splice(0)) door.close()
    await host.close()
  })

  /** Every name leads to the scripted host. */
  function openDoor(options: Partial<OutboundDoorOptions> = {}): OutboundDoor {
    const door = createOutboundDoor({
      network: 'local',
      logger,
      resolver: async () => ['127.0.0.1'],
      connector: target => {
        dialled.push(target)
        const socket = connect(host.port, '127.0.0.1')
        sockets.push(socket)
        return socket
      },
      ...options
    })
    doors.push(door)
    return door
  }

  const call = (door: OutboundDoor, name: string, path = '/', timeouts = {}) =>
    door.request({ url: `http://${name}${path}`, method: 'GET', maximumAnswerBytes: LIMIT, timeouts })

  it('are used again, and never more than two dozen to one host at a time', async () => {
    const door = openDoor()
    let underWay = 0
    let most = 0
    host.always('GET /', (_request, response) => {
      underWay += 1
      most = Math.max(most, underWay)
      setImmediate(() => {
        underWay -= 1
        response.end('{}')
      })
    })
    const answers = await Promise.all(Array.from({ length: 100 }, () => call(door, 'host.example')))
    expect(answers.map(answer => answer.status)).to.deep.equal(Array(100).fill(200))
    expect(most).to.be.within(2, 24)
    expect(host.connections).to.be.at.most(24)
    expect(dialled).to.have.length(host.connections)
  })

  it('are waited for no longer than the whole call may take, without sending anything', async () => {
    const door = openDoor({ connectionsPerHost: 1 })
    host.next('GET /busy', silent)
    const busy = failureOf(call(door, 'host.example', '/busy', { headers: 400, total: 400 }))
    const waiting = await failureOf(call(door, 'host.example', '/', { total: 100 }))
    expect(waiting).to.include({ kind: 'timeout-before-headers', phase: 'before-sent' })
    host.next('GET /', json(200, {}))
    const patient = call(door, 'host.example')
    expect(await busy).to.include({ kind: 'timeout-before-headers', phase: 'after-sent' })
    expect(await patient).to.include({ status: 200 })
    expect(host.count('/')).to.equal(1)
  })

  it('are not shared between names or ports', async () => {
    const door = openDoor()
    host.always('GET /', json(200, {}))
    await call(door, 'a.example')
    await call(door, 'b.example')
    await call(door, 'a.example:8080')
    await call(door, 'a.example')
    expect(dialled.map(({ hostname, port }) => `${hostname}:${port}`)).to.deep.equal([
      'a.example:80',
      'b.example:80',
      'a.example:8080'
    ])
    expect(host.requests.map(({ headers }) => headers.host)).to.deep.equal([
      'a.example',
      'b.example',
      'a.example:8080',
      'a.example'
    ])
  })

  it('are kept for a bounded number of hosts, those that were called last', async () => {
    const door = openDoor({ hosts: 3 })
    host.always('GET /', json(200, {}))
    for (let i = 0; i < 20; i++) await call(door, `host-${i}.example`)
    await host.untilOpen(3)
    await call(door, 'host-17.example')
    await call(door, 'host-20.example')
    await call(door, 'host-17.example')
    expect(dialled.map(({ hostname }) => hostname).slice(20)).to.deep.equal(['host-20.example'])
  })

  it('are dialled anew after the host closed them, without a failed call', async () => {
    const door = openDoor()
    host.always('GET /', json(200, {}))
    await call(door, 'host.example')
    const closed = new Promise(resolve => sockets[0]?.once('close', resolve))
    host.reset()
    await closed
    expect(await call(door, 'host.example')).to.include({ status: 200 })
    expect(dialled).to.have.length(2)
  })

  it('are tried at several addresses of a name, which are all judged ones', async () => {
    const door = openDoor({ resolver: async () => ['127.0.0.2', '::1', '10.0.0.1'] })
    host.next('GET /', json(200, {}))
    await call(door, 'host.example')
    expect(dialled).to.deep.equal([
      { hostname: 'host.example', port: 80, addresses: ['127.0.0.2', '::1', '10.0.0.1'] }
    ])
  })

  it('end when the door is closed, and none is opened after', async () => {
    const door = openDoor()
    let underWay: Promise<OutboundError> | undefined
    await new Promise<void>(resolve => {
      host.next('GET /', () => resolve())
      underWay = failureOf(call(door, 'host.example'))
    })
    door.close()
    expect(await underWay).to.include({ kind: 'reset', phase: 'after-sent' })
    expect(await failureOf(call(door, 'host.example'))).to.include({ kind: 'connect', phase: 'before-sent' })
    await host.untilOpen(0)
    expect(dialled).to.have.length(1)
  })

  it('go to the host itself, whatever proxy the environment names', async () => {
    const proxy = await ScriptedHost.start()
    const names = [
      'HTTP_PROXY',
      'http_proxy',
      'HTTPS_PROXY',
      'https_proxy',
      'ALL_PROXY',
      'NODE_USE_ENV_PROXY'
    ]
    const before = names.map(name => [name, process.env[name]] as const)
    for (const name of names) process.env[name] = `http://${proxy.domain}`
    try {
      host.next('GET /', json(200, {}))
      const door = createOutboundDoor({ network: 'local', logger })
      doors.push(door)
      await call(door, host.domain)
      expect(proxy.connections).to.equal(0)
    } finally {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name]
        else process.env[name] = value
      }
      await proxy.close()
    }
  })
})

describe('the door outward, by the rules of main', () => {
  const authority = createTestAuthority()
  const stranger = createTestAuthority()
  const PUBLIC = '93.184.216.34'
  const servers: Server[] = []
  let host: ScriptedHost
  let dialled: DialTarget[]
  const doors: OutboundDoor[] = []

  before(async function () {
    if (authority === undefined || stranger === undefined) this.skip()
    host = await ScriptedHost.start(authority.issue('host.example', 'other.example'))
  })
  beforeEach(() => {
    dialled = []
  })
  afterEach(() => {
    for (const door of doors.splice(0)) door.close()
    for (const server of servers.splice(0)) server.close()
  })
  after(async () => {
    authority?.remove()
    stranger?.remove()
    await host?.close()
  })

  /** All is as on main, but the judged public address is mapped to a loopback listener in the last step. */
  function openDoor(port = host.port, options: Partial<OutboundDoorOptions> = {}): OutboundDoor {
    const door = createOutboundDoor({
      network: 'main',
      logger,
      ca: authority?.ca ?? '',
      resolver: async () => [PUBLIC],
      connector: target => {
        dialled.push(target)
        return connect(port, '127.0.0.1')
      },
      ...options
    })
    doors.push(door)
    return door
  }

  const call = (door: OutboundDoor, url = 'https://host.example/', timeouts = {}) =>
    door.request({ url, method: 'GET', maximumAnswerBytes: LIMIT, timeouts })

  async function listening(server: Server): Promise<number> {
    servers.push(server)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }

  it('calls a trusted host at the judged address on 443, and keeps the connection', async () => {
    host.next('GET /', json(200, { a: 1 }), json(200, { a: 2 }))
    const door = openDoor()
    expect((await call(door)).body.toString()).to.equal('{"a":1}')
    expect((await call(door)).body.toString()).to.equal('{"a":2}')
    expect(dialled).to.deep.equal([{ hostname: 'host.example', port: 443, addresses: [PUBLIC] }])
    expect(host.requests.at(-1)?.headers.host).to.equal('host.example')
  })

  it('counts what is framing and no answer through TLS as well', async () => {
    host.next('GET /', endless(`${OK}transfer-encoding: chunked\r\n\r\n1;`, 'x'))
    expect(await failureOf(call(openDoor()))).to.include({ kind: 'too-large', phase: 'after-sent' })
  })

  it('sends nothing to a host with a certificate of a stranger, or for another name', async () => {
    const before = host.requests.length
    const strange = await ScriptedHost.start(stranger!.issue('host.example'))
    expect(await failureOf(call(openDoor(strange.port)))).to.include({ kind: 'tls', phase: 'before-sent' })
    const misnamed = await failureOf(call(openDoor(), 'https://elsewhere.example/'))
    expect(misnamed).to.include({ kind: 'tls', phase: 'before-sent' })
    expect(host.requests).to.have.length(before)
    expect(strange.requests).to.have.length(0)
    await strange.close()
  })

  it('does not let the environment turn verification off', async () => {
    const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
    const strange = await ScriptedHost.start(stranger!.issue('host.example'))
    try {
      expect(await failureOf(call(openDoor(strange.port)))).to.include({ kind: 'tls', phase: 'before-sent' })
    } finally {
      if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
      else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before
      await strange.close()
    }
  })

  it('trusts the usual authorities and no other unless told', async () => {
    const connector = () => connect(host.port, '127.0.0.1')
    const door = createOutboundDoor({ network: 'main', logger, resolver: async () => [PUBLIC], connector })
    doors.push(door)
    expect(await failureOf(call(door))).to.include({ kind: 'tls', phase: 'before-sent' })
  })

  it('gives up on old TLS, on what is no TLS, and on a handshake that does not end', async () => {
    const old = createTlsServer({
      ...authority!.issue('host.example'),
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1'
    })
    old.on('tlsClientError', () => {})
    const plain = createServer(socket => socket.on('error', () => {}).end('HTTP/1.1 200 OK\r\n\r\n'))
    const mute = createServer(socket => socket.on('error', () => {}).resume())
    for (const server of [old, plain, mute]) {
      const startedAt = performance.now()
      const door = openDoor(await listening(server))
      const error = await failureOf(call(door, 'https://host.example/', { connect: 300 }))
      expect(error).to.include({ kind: 'tls', phase: 'before-sent' })
      expect(performance.now() - startedAt).to.be.below(2_000)
    }
  })
})
