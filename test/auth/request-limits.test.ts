import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { expect } from 'chai'
import type { Endpoint } from '../../src/endpoint.js'
import { ApiError } from '../../src/errors.js'
import { MAX_HEADER_BYTES } from '../../src/http-server.js'
import { RequestAborted, readBody } from '../../src/request-body.js'
import { exchange, TestUser } from '../support/client.js'
import { RawConnection } from './raw-connection.js'
import { MEGABYTE, startToyNode, type ToyNode } from './toy-node.js'

const alice = new TestUser('alice')

const small: Endpoint<void> = {
  method: 'POST',
  path: '/small',
  authenticated: false,
  bodyLimit: limits => limits.requestBytes / 1024,
  handler: async ({ body }) => ({ body: { length: body.length } })
}

describe('request limits', () => {
  let node: ToyNode
  before(async () => {
    node = await startToyNode({ endpoints: [small] })
  })
  after(() => node.stop())

  it('let a body of exactly the limit pass', async () => {
    const answer = await alice.post(node.url, '/echo', 'x'.repeat(MEGABYTE))
    expect(answer).to.include({ status: 200, signature: 'valid' })
    const atLimit = await exchange(node.url, {
      method: 'POST',
      target: '/small',
      headers: [],
      body: Buffer.alloc(1024)
    })
    expect(atLimit.status).to.equal(200)
  })

  it('refuse a longer body with an unsigned 413, and go by the limit of the endpoint', async () => {
    const answer = await alice.post(node.url, '/echo', 'x'.repeat(MEGABYTE + 1))
    expect(answer).to.include({ status: 413, signature: 'absent' })
    expect(answer.json).to.include({ code: 'ERR_REQUEST_TOO_LARGE', limit: MEGABYTE })
    const over = await exchange(node.url, {
      method: 'POST',
      target: '/small',
      headers: [],
      body: Buffer.alloc(1025)
    })
    expect(over.status).to.equal(413)
  })

  it('refuse an announced length at once, and close the connection', async () => {
    const connection = await RawConnection.open(node.url)
    connection.write('POST /open HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n')
    const answer = await connection.untilClosed()
    expect(answer)
      .to.match(/^HTTP\/1\.1 413 /)
      .and.match(/connection: close/i)
      .and.contain('ERR_REQUEST_TOO_LARGE')
  })

  it('cut off a body of unknown length as soon as it exceeds the limit', async () => {
    const connection = await RawConnection.open(node.url)
    connection.write('POST /open HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n')
    const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`
    for (let sent = 0; sent <= MEGABYTE; sent += 65_536) connection.write(chunk)
    // The body never ends, and yet it is answered.
    expect(await connection.untilClosed()).to.match(/^HTTP\/1\.1 413 /)
  })

  it('read no body for a session that is not ours', async () => {
    const { headers } = alice.sign(
      { ...(await alice.session(node.url)), nodeNonce: 'AAAA' },
      { method: 'POST', target: '/echo' }
    )
    const connection = await RawConnection.open(node.url)
    const lines = headers.map(([name, value]) => `${name}: ${value}`).join('\r\n')
    connection.write(`POST /echo HTTP/1.1\r\nhost: x\r\n${lines}\r\ncontent-length: ${MEGABYTE}\r\n\r\n`)
    expect(await connection.untilClosed())
      .to.match(/^HTTP\/1\.1 401 /)
      .and.contain('Session not found for nonce')
  })

  it('keep the connection where the rest of a refused request is short', async () => {
    const connection = await RawConnection.open(node.url)
    connection.write('POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n')
    connection.write('hello')
    connection.write('POST /small HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello')
    const answers = await connection.until(/"length":5/)
    expect(answers).to.match(/^HTTP\/1\.1 401 [\s\S]*ERR_AUTH_REQUIRED[\s\S]*HTTP\/1\.1 200 /)
    expect(connection.isClosed).to.equal(false)
    connection.close()
  })

  it('answer a refused request whose short body never comes, and close', async () => {
    const connection = await RawConnection.open(node.url)
    connection.write('POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n')
    expect(await connection.untilClosed()).to.match(/^HTTP\/1\.1 404 /)
  })

  const encodings: [name: string, value: string][] = [
    ['content-encoding', 'gzip'],
    ['content-encoding', 'br'],
    ['content-encoding', 'identity, gzip'],
    ['transfer-encoding', 'gzip, chunked']
  ]
  for (const [name, value] of encodings) {
    it(`refuse ${name} ${value} with an unsigned 415`, async () => {
      const isChunked = name === 'transfer-encoding'
      const body = gzipSync('{"a":1}')
      const lines = [
        ...alice.sign(await alice.session(node.url), { method: 'POST', target: '/echo' }).headers,
        [name, value],
        ...(isChunked ? [] : [['content-length', String(body.length)]]),
        ['connection', 'close']
      ]
      const head = lines.map(line => line.join(': ')).join('\r\n')
      const connection = await RawConnection.open(node.url)
      connection.write(`POST /echo HTTP/1.1\r\nhost: x\r\n${head}\r\n\r\n`)
      connection.write(isChunked ? '0\r\n\r\n' : body)
      const answer = await connection.untilClosed()
      expect(answer)
        .to.match(/^HTTP\/1\.1 415 /)
        .and.contain('ERR_UNSUPPORTED_ENCODING')
      expect(answer).to.not.contain('x-bsv-auth-signature')
    })
  }

  it('refuse headers above 64 KiB with 431, and take those below', async () => {
    const ask = async (length: number) => {
      const connection = await RawConnection.open(node.url)
      connection.write(
        `POST /small HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-long: ${'x'.repeat(length)}\r\n\r\n`
      )
      return connection.untilClosed()
    }
    expect(await ask(MAX_HEADER_BYTES - 200)).to.match(/^HTTP\/1\.1 200 /)
    expect(await ask(MAX_HEADER_BYTES))
      .to.match(/^HTTP\/1\.1 431 /)
      .and.contain('ERR_HEADERS_TOO_LARGE')
  })

  const malformed = [
    'BREW /echo HTTP/1.1\r\nhost: x\r\n\r\n',
    'GET / HTTP/9.9\r\n\r\n',
    'hello\r\n\r\n',
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    'POST /open HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n',
    'POST /open HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n',
    'POST /open HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n',
    'POST /open HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n',
    'GET /read HTTP/1.1\r\nhost: x\r\nbad header: 1\r\n\r\n'
  ]
  for (const text of malformed) {
    it(`answer ${JSON.stringify(text.slice(0, 60))} with 400 and close`, async () => {
      const connection = await RawConnection.open(node.url)
      connection.write(text)
      const answer = await connection.untilClosed()
      expect(answer)
        .to.match(/^HTTP\/1\.1 400 /)
        .and.contain('ERR_MALFORMED_REQUEST')
      expect(answer.match(/HTTP\/1\.1 \d/g)).to.have.length(1)
    })
  }

  it('are not troubled by clients that go away', async () => {
    const before = node.log.length
    const connection = await RawConnection.open(node.url)
    connection.write('POST /open HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nhalf')
    const [request] = await once(node.server, 'request')
    connection.close()
    await once(request.socket, 'close')
    expect((await alice.post(node.url, '/echo', {})).status).to.equal(200)
    expect(node.log.length).to.equal(before)
  })
})

describe('readBody', () => {
  let server: Server
  let outcome: Promise<Buffer[]>
  before(async () => {
    server = createServer((request, response) => {
      outcome = readBody(request, 1_000, { bytes: 10, milliseconds: 200 })
      outcome.then(
        () => response.end(),
        () => response.destroy()
      )
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  })
  after(() => {
    server.close()
    server.closeAllConnections()
  })

  async function start(head: string): Promise<RawConnection> {
    const connection = await RawConnection.open(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    connection.write(`POST / HTTP/1.1\r\nhost: x\r\n${head}\r\n\r\n`)
    await once(server, 'request')
    return connection
  }

  it('gives up on a body that drips', async () => {
    const connection = await start('content-length: 500')
    connection.write('x')
    expect(await errorOf(outcome)).to.include({ httpStatus: 408, code: 'ERR_REQUEST_TIMEOUT' })
    connection.close()
  })

  it('waits for a body that is slow but steady', async () => {
    const connection = await start('transfer-encoding: chunked')
    // Several windows long, each with more than its minimum.
    for (let n = 0; n < 20; n++) {
      connection.write(`a\r\n${'x'.repeat(10)}\r\n`)
      await new Promise(resolve => setTimeout(resolve, 25))
    }
    connection.write('0\r\n\r\n')
    expect(Buffer.concat(await outcome)).to.have.length(200)
    connection.close()
  })

  it('tells a client that went away from a fault', async () => {
    const connection = await start('content-length: 500')
    connection.write('half')
    connection.close()
    expect(await errorOf(outcome)).to.be.instanceOf(RequestAborted)
  })
})

async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    expect(error instanceof ApiError || error instanceof RequestAborted).to.equal(true)
    return error
  }
  throw new Error('nothing was thrown')
}
