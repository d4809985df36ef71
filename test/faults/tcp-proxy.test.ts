import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect } from 'chai'
import { PROXY_MODES, TcpProxy } from '../support/tcp-proxy.js'

/** After so long nothing comes any more, ms. */
const PATIENCE = 300
const BODY = 'x'.repeat(1000)

describe('the proxy that misbehaves', () => {
  /** Requests that arrived behind it. */
  let arrived = 0
  let server: http.Server
  let proxy: TcpProxy
  let agent: http.Agent

  beforeEach(async () => {
    arrived = 0
    server = http.createServer((request, response) => {
      arrived++
      request.resume().on('end', () => response.end(BODY))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    proxy = await TcpProxy.start((server.address() as AddressInfo).port)
    agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  })
  afterEach(async () => {
    agent.destroy()
    await proxy.stop()
    server.close()
    server.closeAllConnections()
  })

  /** The body of the answer; rejects with the code of what went wrong, `ABORT_ERR` for silence. */
  async function ask(): Promise<string> {
    const signal = AbortSignal.timeout(PATIENCE)
    const request = http.request({ agent, port: proxy.port, host: '127.0.0.1', method: 'POST', signal })
    request.end('hello')
    const [answer] = (await once(request, 'response')) as [http.IncomingMessage]
    return Buffer.concat(await answer.toArray()).toString()
  }

  const failure = () =>
    ask().then(
      () => 'answered',
      (error: NodeJS.ErrnoException) => error.code
    )

  it('passes everything on, and counts', async () => {
    expect(await ask()).to.equal(BODY)
    expect(await ask()).to.equal(BODY)
    expect(proxy.counts.connections).to.equal(1)
    expect(proxy.counts.up).to.be.above(100)
    expect(proxy.counts.down).to.be.above(2 * BODY.length)
  })

  it('refuses connections, and cuts those there are', async () => {
    await ask()
    await proxy.switch('refuse')
    expect(await failure()).to.be.oneOf(['ECONNREFUSED', 'ECONNRESET'])
    expect(await failure()).to.equal('ECONNREFUSED')
    await proxy.switch('pass')
    expect(await ask()).to.equal(BODY)
  })

  it('swallows what is sent, on old connections and new ones', async () => {
    await ask()
    await proxy.switch('black-hole')
    expect(await failure()).to.equal('ABORT_ERR')
    expect(await failure()).to.equal('ABORT_ERR')
    expect(arrived).to.equal(1)
  })

  it('leaves a connection half open after an answer', async () => {
    await proxy.switch('half-open')
    expect(await ask()).to.equal(BODY)
    expect(await failure()).to.equal('ABORT_ERR')
    expect(await ask()).to.equal(BODY)
    expect(arrived).to.equal(2)
  })

  it('resets the connection when the request has been answered', async () => {
    await proxy.switch('reset-after-request')
    expect(await failure()).to.equal('ECONNRESET')
    expect(arrived).to.equal(1)
  })

  it('breaks every n-th exchange only, if it is told so', async () => {
    await proxy.switch('reset-after-request', { every: 2 })
    const outcomes = [await failure(), await failure(), await failure(), await failure()]
    expect(outcomes).to.deep.equal(['ECONNRESET', 'answered', 'ECONNRESET', 'answered'])
  })

  it('cuts an answer in the middle', async () => {
    await proxy.switch('cut-answer')
    expect(await failure()).to.be.oneOf(['ECONNRESET', 'HPE_INVALID_EOF_STATE'])
    expect(arrived).to.equal(1)
  })

  it('delays', async () => {
    await proxy.switch('delay', { delay: 60 })
    const start = performance.now()
    expect(await ask()).to.equal(BODY)
    expect(performance.now() - start).to.be.above(110)
  })

  it('sends a request twice', async () => {
    await proxy.switch('duplicate')
    expect(await ask()).to.equal(BODY)
    expect(await ask()).to.equal(BODY)
    while (arrived < 4) await once(server, 'request')
    expect(proxy.counts.connections).to.equal(1)
  })

  it('slows down', async () => {
    await proxy.switch('throttle', { rate: 10_000 })
    const start = performance.now()
    expect(await ask()).to.equal(BODY)
    expect(performance.now() - start).to.be.above(100)
  })

  it('goes back to normal from whatever mode', async () => {
    for (const mode of PROXY_MODES) {
      await proxy.switch(mode)
      await failure()
      await proxy.switch('pass')
      proxy.reset()
      await failure()
      expect(await ask(), mode).to.equal(BODY)
    }
  })
})
