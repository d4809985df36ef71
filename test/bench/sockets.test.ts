import { expect } from 'chai'
import { parseBenchArguments } from '../../bench/arguments.js'
import { Client } from '../../bench/client.js'
import { LiveClient } from '../../bench/live-client.js'
import { socketsText } from '../../bench/sockets.js'
import { startTestNode, type TestNode } from '../support/nodes.js'

describe('bench of sockets', () => {
  let node: TestNode
  before(async () => {
    node = await startTestNode('bench of sockets')
  })
  after(() => node?.remove())

  it('is a mode', () => {
    expect(parseBenchArguments(['--sockets'])).to.include({ mode: 'sockets', sockets: 10_000 })
    expect(parseBenchArguments(['--sockets', '--count', '20'])).to.include({ sockets: 20 })
  })

  it('opens sockets that are authenticated', async () => {
    const client = await LiveClient.open(node.url, new Client('bench of sockets'))
    expect(client.isOpen).to.equal(true)
    client.close()
  })

  it('shows what it found', () => {
    const found = { count: 2_000, p50: 5, p99: 70, rate: 200, cpu: 2.5, before: 2 ** 27, after: 2 ** 28 }
    expect(socketsText({ ...found, bytes: 40 * 1024 }))
      .to.include('2,000')
      .and.include('40.0')
  })
})
