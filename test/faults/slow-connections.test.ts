import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import type { Endpoint } from '../../src/endpoint.js'
import type { ServerLimits } from '../../src/http-server.js'
import { readKernelQueues } from '../../src/kernel-queues.js'
import { RawConnection } from '../auth/raw-connection.js'
import { startToyNode, type ToyNode, type ToyOptions } from '../auth/toy-node.js'
import { TestUser } from '../support/client.js'
import { ROOT } from '../support/compiled.js'
import { until } from '../support/nodes.js'

const DRIPS = 2_000
const DRIPPING_CLIENT = join(ROOT, 'test', 'support', 'dripping-client.js')
/** More than the buffers of both kernels take. */
const LONG = 16 * 2 ** 20
const longAnswer = Buffer.alloc(LONG, 'x')
const alice = new TestUser('alice')

const long: Endpoint<void> = {
  method: 'GET',
  path: '/long',
  authenticated: false,
  handler: async () => ({ body: longAnswer, headers: { 'content-type': 'text/plain' } })
}

describe('slow connections', function () {
  this.timeout(60_000)
  let node: ToyNode
  afterEach(() => node.stop())

  const start = async (serverLimits: Partial<ServerLimits>, options: ToyOptions = {}) => {
    node = await startToyNode({
      ...options,
      serverLimits: { checkMilliseconds: 50, ...serverLimits },
      endpoints: [long]
    })
  }
  const openDrips = (count: number) =>
    Promise.all(Array.from({ length: count }, () => RawConnection.open(node.url)))
  const connections = () => promisify(node.server.getConnections.bind(node.server))()

  /** Sends honest requests until the work is over: all are answered. */
  async function servedDuring(work: Promise<unknown>): Promise<number> {
    let isOver = false
    const over = work.finally(() => {
      isOver = true
    })
    let served = 0
    while (!isOver) {
      expect((await alice.post(node.url, '/echo', {})).status).to.equal(200)
      served++
    }
    await over
    return served
  }

  it(`that drip headers, ${DRIPS} at once, are closed, and honest requests are served meanwhile`, async () => {
    await start({ headersMilliseconds: 2_000 })
    const { port } = new URL(node.url)
    const child = spawn(process.execPath, [DRIPPING_CLIENT, port, String(DRIPS), '200'], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc']
    })
    try {
      const ended = once(child, 'message', { signal: AbortSignal.timeout(50_000) })
      await until(connections, count => count > DRIPS / 20)
      expect(await servedDuring(ended)).to.be.above(10)
      const [{ silent, dripping }] = (await ended) as [Record<'silent' | 'dripping', string[]>]
      expect(silent.length + dripping.length).to.equal(DRIPS)
      for (const answer of silent) expect(answer).to.match(/^HTTP\/1\.1 408 /)
      // Whoever goes on sending may lose what he was told.
      const told = dripping.filter(answer => answer !== '')
      expect(told).to.not.have.length(0)
      for (const answer of told) expect(answer).to.match(/^HTTP\/1\.1 408 /)
    } finally {
      child.kill('SIGKILL')
    }
    // Alice's own.
    expect(await until(connections, count => count <= 1)).to.be.at.most(1)
  })

  it('that send nothing at all, or nothing of a second request, are closed too', async () => {
    await start({ headersMilliseconds: 200 })
    const silent = await RawConnection.open(node.url)
    const second = await RawConnection.open(node.url)
    second.write('GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n')
    await second.until(/ERR_ROUTE_NOT_FOUND/)
    second.write('GET /nowhere HTTP/1.1\r\nho')
    expect(await silent.untilClosed()).to.match(/^HTTP\/1\.1 408 [\s\S]*ERR_REQUEST_TIMEOUT/)
    expect(await second.untilClosed()).to.match(/HTTP\/1\.1 408 [\s\S]*ERR_REQUEST_TIMEOUT/)
  })

  it('that drip a body, 300 at once, are closed, with and without a session', async () => {
    await start({}, { bodyRate: { bytes: 100, milliseconds: 500 } })
    const session = await alice.handshake(node.url)
    const { headers } = alice.sign(session, { method: 'POST', target: '/echo' })
    const lines = headers.map(line => line.join(': ')).join('\r\n')
    const drips = await openDrips(300)
    drips.forEach((drip, i) => {
      const head = i % 2 === 0 ? 'POST /open HTTP/1.1' : `POST /echo HTTP/1.1\r\n${lines}`
      drip.write(`${head}\r\nhost: x\r\ncontent-length: 1000\r\n\r\nx`)
    })
    const closed = Promise.all(drips.map(drip => drip.untilClosed()))
    expect(await servedDuring(closed)).to.be.above(10)
    for (const answer of await closed) expect(answer).to.match(/^HTTP\/1\.1 408 /)
  })

  const ask = async (): Promise<Socket> => {
    const socket = connect(Number(new URL(node.url).port), '127.0.0.1')
    socket.on('error', () => {})
    await once(socket, 'connect')
    socket.write('GET /long HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
    return socket
  }

  it('that do not read a long answer are closed; one that reads steadily gets it all', async function () {
    if ((await readKernelQueues()) === undefined) return this.skip()
    // A kernel tells the writer of its progress in lumps of a third of its buffer: at this speed each takes longer.
    await start({ readingRate: { bytes: 10, milliseconds: 250 } })
    const received = readSteadily(await ask(), 80_000, 20)
    const idle = await Promise.all(Array.from({ length: 10 }, ask))
    await until(connections, count => count > 1)
    expect(await until(connections, count => count === 1, 3_000)).to.equal(1)
    expect(await received).to.be.above(LONG)
    for (const socket of idle) socket.destroy()
  })

  /** So many bytes each time, until the end. */
  async function readSteadily(socket: Socket, bytes: number, milliseconds: number): Promise<number> {
    let received = 0
    socket.on('readable', () => undefined)
    const timer = setInterval(() => {
      const piece: Buffer | null = socket.read(Math.min(bytes, Math.max(1, socket.readableLength)))
      received += piece?.length ?? 0
    }, milliseconds)
    await once(socket, 'end')
    clearInterval(timer)
    return received
  }

  it('that do not read hold 256 MiB of answers at most', async () => {
    await start({ readingRate: { bytes: 10, milliseconds: 60_000 } })
    const idle: Socket[] = []
    for (let i = 0; i < 20; i++) idle.push(await ask())
    // Of 16 MiB each.
    expect(await until(connections, count => count <= 16)).to.be.within(15, 16)
    for (const socket of idle) socket.destroy()
  })
})

describe('connections', () => {
  let node: ToyNode
  afterEach(() => node.stop())
  const connections = () => promisify(node.server.getConnections.bind(node.server))()

  it('of one address are so many and no more: the oldest that wait make room, and honest requests are served', async () => {
    const isTrustedProxy = () => false
    node = await startToyNode({
      serverLimits: { connections: { total: 10_000, perAddress: 50, isTrustedProxy } }
    })
    const drips: RawConnection[] = []
    for (let i = 0; i < DRIPS; i++) {
      drips.push(await RawConnection.open(node.url))
      if (i % 100 === 0) {
        expect(await connections()).to.be.at.most(51)
        expect((await alice.post(node.url, '/echo', {})).status).to.equal(200)
      }
    }
    expect(await until(connections, count => count <= 50)).to.equal(50)
    await until(
      async () => drips.filter(({ isClosed }) => isClosed).length,
      closed => closed >= DRIPS - 50
    )
    expect(drips.slice(0, DRIPS / 2).every(({ isClosed }) => isClosed)).to.equal(true)
    for (const drip of drips) drip.close()
  })

  it('on which something is being answered are left alone', async () => {
    const isTrustedProxy = () => false
    let answer = (): void => undefined
    const slow: Endpoint<void> = {
      method: 'GET',
      path: '/slow',
      authenticated: false,
      handler: () =>
        new Promise(resolve => {
          answer = () => resolve({ body: {} })
        })
    }
    node = await startToyNode({
      endpoints: [slow],
      serverLimits: { connections: { total: 10, perAddress: 2, isTrustedProxy } }
    })
    const asking = await RawConnection.open(node.url)
    asking.write('GET /slow HTTP/1.1\r\nhost: x\r\n\r\n')
    await once(node.server, 'request')
    for (let i = 0; i < 10; i++) await RawConnection.open(node.url)
    expect(await until(connections, count => count === 2)).to.equal(2)
    answer()
    expect(await asking.until(/\{\}/)).to.match(/^HTTP\/1\.1 200 /)
    // Now it waits like others, but later than those that never asked for anything.
    await RawConnection.open(node.url)
    await until(connections, count => count === 2)
    expect(asking.isClosed).to.equal(false)
    asking.close()
  })

  it('of a trusted proxy are bounded by the total alone', async () => {
    const isTrustedProxy = (address: string) => address === '127.0.0.1'
    node = await startToyNode({ serverLimits: { connections: { total: 20, perAddress: 2, isTrustedProxy } } })
    const open = await Promise.all(Array.from({ length: 30 }, () => RawConnection.open(node.url)))
    expect(await until(connections, count => count === 20)).to.equal(20)
    expect((await alice.post(node.url, '/echo', {})).status).to.equal(200)
    for (const connection of open) connection.close()
  })
})
