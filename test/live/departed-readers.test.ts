import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect } from 'chai'
import type { Endpoint } from '../../src/endpoint.js'
import { LargeAnswers } from '../../src/large-answers.js'
import { EventStream } from '../../src/live/event-stream.js'
import { RawConnection } from '../auth/raw-connection.js'
import { startToyNode, type ToyNode } from '../auth/toy-node.js'
import { until } from '../support/nodes.js'

/** What was begun for a client who is gone by now must end, whatever moment he chose to go. */
describe('clients who leave', () => {
  let node: ToyNode
  let streams: EventStream[]
  let closed: number
  let handle: () => Promise<EventStream>
  const endpoint: Endpoint<void> = {
    method: 'GET',
    path: '/events',
    authenticated: false,
    handler: async () => ({ body: await handle(), headers: { 'content-type': 'text/event-stream' } })
  }
  const begin = (): EventStream => {
    const stream = new EventStream()
    stream.once('close', () => closed++)
    streams.push(stream)
    return stream
  }
  beforeEach(() => {
    streams = []
    closed = 0
    handle = async () => begin()
  })
  afterEach(async () => {
    for (const stream of streams) stream.destroy()
    await node.stop()
  })
  const ask = 'GET /events HTTP/1.1\r\nhost: x\r\n\r\n'
  const open = async (count: number) => {
    const connection = await RawConnection.open(node.url)
    connection.write(ask.repeat(count))
    await until(
      async () => streams.length,
      length => length === count
    )
    return connection
  }
  const allClosed = (count: number) =>
    until(
      async () => closed,
      soFar => soFar === count,
      2_000
    )

  it('before their stream has begun leave none behind', async () => {
    node = await startToyNode({ endpoints: [endpoint] })
    const connection = await RawConnection.open(node.url)
    handle = async () => {
      const gone = once((await asked)[0].socket, 'close')
      connection.close()
      await gone
      return begin()
    }
    const asked = once(node.server, 'request')
    connection.write(ask)
    await allClosed(1)
  })

  it('with streams that wait behind another one leave none behind', async () => {
    node = await startToyNode({ endpoints: [endpoint] })
    const connection = await open(20)
    connection.close()
    await allClosed(20)
  })

  it('of whom the deadline has passed get no stream', async () => {
    node = await startToyNode({ endpoints: [endpoint], handlerMilliseconds: 20 })
    let answer = (): void => undefined
    handle = async () => {
      await new Promise<void>(resolve => {
        answer = resolve
      })
      return begin()
    }
    const connection = await RawConnection.open(node.url)
    connection.write(ask)
    await connection.until(/ERR_DEADLINE/)
    answer()
    await allClosed(1)
    connection.close()
  })

  it('see the end of a stream that breaks off', async () => {
    node = await startToyNode({ endpoints: [endpoint] })
    const connection = await open(1)
    await streams[0]!.send('message', '1', '{}')
    await connection.until(/200 OK/)
    streams[0]!.destroy()
    await connection.untilClosed()
  })

  it('see all of a stream that ends', async () => {
    node = await startToyNode({ endpoints: [endpoint] })
    const connection = await open(1)
    await streams[0]!.send('message', '1', '{}')
    streams[0]!.end()
    streams[0]!.end()
    await streams[0]!.send('message', '2', '{}').then(
      () => expect.fail('sent after the end'),
      () => undefined
    )
    expect(await connection.until(/\r\n0\r\n\r\n$/)).to.include('id: 1')
    connection.close()
  })
})

describe('long answers', () => {
  it('hold nothing, and no less, when their client has left', async () => {
    const large = new LargeAnswers()
    const server = createServer((_request, response) => {
      response.writeHead(200)
      large.end(response, Buffer.alloc(16 * 2 ** 20))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = await RawConnection.open(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    client.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
    await client.until(/200 OK/)
    client.close()
    await until(
      async () => large.waitingBytes,
      bytes => bytes <= 0,
      2_000
    )
    server.close()
    expect(large.waitingBytes).to.equal(0)
  })

  it('that wait behind another one hold nothing when their client has left', async () => {
    const large = new LargeAnswers()
    const server = createServer((request, response) => {
      response.writeHead(200)
      if (request.url === '/endless') response.write('x')
      else large.end(response, Buffer.alloc(2 ** 20))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = await RawConnection.open(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    const ask = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`
    client.write(ask('/endless') + ask('/long'))
    const waiting = async () => large.waitingBytes
    await until(waiting, bytes => bytes > 0, 2_000)
    client.close()
    await until(waiting, bytes => bytes === 0, 2_000)
    server.close()
  })
})
