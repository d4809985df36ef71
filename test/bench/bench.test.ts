import { expect } from 'chai'
import { parseBenchArguments } from '../../bench/arguments.js'
import { BenchError } from '../../bench/bench-error.js'
import { checkArrived, checkLists } from '../../bench/checks.js'
import { loadedIds, loadRows } from '../../bench/growth-rows.js'
import { measureRound, openTarget, usersOf } from '../../bench/measure.js'
import { Meter } from '../../bench/meter.js'
import { OPERATION_NAMES } from '../../bench/operations.js'
import { summarizeProfile } from '../../bench/profile-summary.js'
import { figure, rounded, table } from '../../bench/report.js'
import { listRequests, sendRequest, type Target } from '../../bench/requests.js'
import { median, quantile } from '../../bench/statistics.js'
import { fire } from '../../bench/volley.js'
import { type MessageBoxNode, startMessageBoxNode } from '../support/message-box-node.js'

const OPTIONS = { status: 200, samples: 5, longest: 10_000, meter: undefined }

describe('bench', () => {
  describe('arguments', () => {
    it('run everything by default', () => {
      const { mode, quick, operations, rows } = parseBenchArguments([])
      expect({ mode, quick, operations, rows }).to.deep.equal({
        mode: 'standard',
        quick: false,
        operations: OPERATION_NAMES,
        rows: 200_000
      })
    })

    it('choose one mode and some operations', () => {
      const { mode, operations } = parseBenchArguments(['--profile', '--only', 'send,ack'])
      expect(mode).to.equal('profile')
      expect(operations).to.deep.equal(['send', 'ack'])
    })

    for (const args of [
      ['--mesh', '--growth'],
      ['--only', 'fly'],
      ['--rows', 'many'],
      ['--mesh', '--url', 'http://x'],
      ['--wings']
    ]) {
      it(`refuse ${args.join(' ')}`, () => {
        expect(() => parseBenchArguments(args)).to.throw(BenchError)
      })
    }
  })

  it('reports medians, quantiles and figures of three digits', () => {
    expect(median([3, 1, 2])).to.equal(2)
    expect(quantile([5, 1, 4, 2, 3], 0.99)).to.equal(5)
    expect(quantile([], 0.5)).to.be.NaN
    expect([1234.5, 56.78, 0.456, undefined].map(figure)).to.deep.equal(['1,235', '56.8', '0.46', '-'])
    expect(rounded({ a: [0.123456], b: 'x', c: 7 })).to.deep.equal({ a: [0.1235], b: 'x', c: 7 })
    expect(table(['name', 'n'], [['send', '10']])).to.equal('name   n\n----  --\nsend  10')
  })

  it('sums up a CPU profile by who was running', () => {
    const frame = (functionName: string, url = '') => ({ functionName, url, lineNumber: 0 })
    const { busySeconds, parts } = summarizeProfile({
      nodes: [
        { id: 1, callFrame: frame('(root)'), children: [2, 3, 5] },
        { id: 2, callFrame: frame('(idle)') },
        { id: 3, callFrame: frame('verify', 'file:///x/dist/src/keys/key-deriver.js'), children: [4] },
        { id: 4, callFrame: frame('ecdsaVerify') },
        { id: 5, callFrame: frame('query', 'file:///x/node_modules/pg/lib/client.js') }
      ],
      samples: [2, 3, 4, 5],
      timeDeltas: [9_000_000, 1_000_000, 2_000_000, 1_000_000]
    })
    expect(busySeconds).to.equal(4)
    expect(parts).to.deep.equal([
      { name: 'src/keys/key-deriver', part: 0.75 },
      { name: 'pg', part: 0.25 }
    ])
  })

  it('reads what a process uses', function () {
    const meter = Meter.of([process.pid])
    if (meter === undefined) return this.skip()
    meter.start()
    const end = performance.now() + 60
    while (performance.now() < end);
    expect(meter.stop().node).to.be.within(20, 2_000)
    expect(meter.memory().node).to.be.above(2 ** 24)
  })

  describe('against a node', () => {
    let node: MessageBoxNode
    let target: Target

    before(async () => {
      node = await startMessageBoxNode()
      target = await openTarget(node.url, usersOf('user', 2))
    })

    after(async () => {
      await target?.connections.close()
      await node?.stop()
    })

    for (const name of OPERATION_NAMES) {
      it(`measures and verifies ${name}`, async () => {
        const { perSecond, p50, p99 } = await measureRound(name, target, 4, undefined)
        expect(perSecond).to.be.above(0)
        expect(p50).to.be.above(0)
        expect(p99).to.be.least(p50)
      })
    }

    it('takes no refusal for an answer', async () => {
      const requests = listRequests(target.users, 'inbox', 2)
      const { fired } = await fire(target.connections, requests, OPTIONS)
      expect(fired).to.equal(2)
      const again = await fire(target.connections, requests, OPTIONS).catch(error => error)
      expect(again).to.be.instanceOf(BenchError)
      expect(again.message).to.match(/^2 of 2 answers are not 200/)
    })

    it('notices a message that did not arrive, and a list that is too short', async () => {
      const [alice, bob] = [target.users[0]!, target.users[1]!]
      const unsent = sendRequest(alice, bob, 'inbox', 'x')
      expect(await checkArrived(target, [unsent]).catch(error => error)).to.be.instanceOf(BenchError)
      const volley = await fire(target.connections, listRequests(target.users, 'inbox', 2), OPTIONS)
      expect(() => checkLists(volley, 0)).not.to.throw()
      expect(() => checkLists(volley, 1)).to.throw(BenchError)
    })

    it('loads rows that the node takes for its own', async () => {
      const { connectionString } = node.databases
      const rows = { messages: 40, boxes: 4, tokens: 4 }
      const owners = usersOf('owner', 2)
      await loadRows(connectionString, owners, rows, () => undefined)
      const ids = await loadedIds(connectionString)
      const loaded = await openTarget(node.url, owners)
      try {
        const volley = await fire(loaded.connections, listRequests(loaded.users, 'list', 2), OPTIONS)
        expect(() => checkLists(volley, 100)).not.to.throw()
        const owner = loaded.users[0]!
        const messageIds = ids.get(owner.client.identityKey)
        expect(messageIds).to.have.lengthOf(50)
        const answer = await owner.post(loaded.connections, '/acknowledgeMessage', { messageIds })
        expect(answer.acknowledged).to.equal(50)
      } finally {
        await loaded.connections.close()
      }
    })
  })
})
