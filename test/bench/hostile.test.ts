import { expect } from 'chai'
import { parseBenchArguments } from '../../bench/arguments.js'
import { attacked, hostileText } from '../../bench/hostile.js'
import { ATTACKS, startAttack } from '../../bench/hostile-attacks.js'
import { measureRound, openTarget, usersOf } from '../../bench/measure.js'
import { type MessageBoxNode, startMessageBoxNode } from '../support/message-box-node.js'

describe('bench of hostile input', function () {
  this.timeout(30_000)
  let node: MessageBoxNode
  before(async () => {
    node = await startMessageBoxNode()
  })
  after(() => node?.stop())

  const honest = async () => {
    const target = await openTarget(node.url, usersOf('honest', 2))
    const figures = await measureRound('send', target, 10, undefined)
    await target.connections.close()
    return figures
  }

  it('is a mode', () => {
    expect(parseBenchArguments(['--hostile', '--quick'])).to.include({ mode: 'hostile', quick: true })
  })

  for (const name of ATTACKS) {
    it(`attacks with ${name} while honest users are served`, async () => {
      const attack = await startAttack(name, node.url)
      expect((await honest()).p50).to.be.above(0)
      expect(await attack.stop()).to.be.above(0)
    })
  }

  it('attacks from another process', async () => {
    const { attacks, p50 } = await attacked('handshakes', node.url, honest)
    expect([attacks > 0, p50 > 0]).to.deep.equal([true, true])
  })

  it('shows what it found', () => {
    const latency = { p50: 1, p99: 2 }
    const under = Object.fromEntries(
      ATTACKS.map(name => [name, { ...latency, slower: latency, attacks: 300 }])
    )
    const text = hostileText({
      alone: latency,
      deliveries: 4,
      under: under as Parameters<typeof hostileText>[0]['under'],
      memory: {
        steps: [{ what: 'before', node: 2 ** 27, p50: 3 }],
        growth: 1,
        slower: 1,
        connectionBytes: 2048
      }
    })
    expect(text).to.include('2,000 connections').and.include('128').and.include('2.00 KiB')
  })
})
