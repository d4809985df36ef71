import { randomBytes, randomInt } from 'node:crypto'
import { scheduler } from 'node:timers/promises'
import { expect } from 'chai'
import fc from 'fast-check'
import { acknowledgementText } from '../../src/acknowledgement.js'
import { signPortably } from '../../src/keys/portable-signature.js'
import { signedMessageText } from '../../src/message.js'
import { messageName } from '../../src/names.js'
import { inspect, untilHosts } from '../support/advertised.js'
import { TestUser } from '../support/client.js'
import { TestNetwork } from '../support/network.js'
import {
  authorizeRouting,
  freePort,
  listMessages,
  startTestNode,
  type TestNode,
  until
} from '../support/nodes.js'

const NODES = [0, 1, 2] as const
const BOX = 'inbox'
const { FUZZ_RUNS = '', CONVERGENCE_SEED = '' } = process.env
const RUNS = FUZZ_RUNS === '' ? 3 : Number(FUZZ_RUNS)
/** CONVERGENCE_SEED runs again what failed. */
const SEED = CONVERGENCE_SEED === '' ? randomInt(2 ** 31) : Number(CONVERGENCE_SEED)

/** What is expected of the boxes in the end. */
interface Model {
  up: boolean[]
  homes: boolean[]
  whole: boolean
  moved: boolean
}

/** What was done to one recipient. */
interface Real {
  readonly bob: TestUser
  readonly sent: string[]
  readonly acknowledged: Set<string>
}

describe('three hosts of one recipient', () => {
  const alice = new TestUser('alice of convergence')
  const network = new TestNetwork()
  let nodes: TestNode[] = []
  let ports: number[] = []
  let runs = 0

  before(async function () {
    this.timeout(60_000)
    ports = await Promise.all(NODES.map(freePort))
    nodes = await Promise.all(
      ports.map((port, i) =>
        startTestNode(`convergence ${i}`, {
          port,
          peers: ports.filter(other => other !== port).map(other => `http://localhost:${other}`),
          options: { federation: { random: () => 0, outbound: { connector: network.connectorOf(port) } } }
        })
      )
    )
  })
  after(() => Promise.all(nodes.map(node => node.remove())))

  async function send({ bob, sent }: Real, node: TestNode): Promise<void> {
    const [createdAt, messageId, body] = [Date.now(), randomBytes(8).toString('hex'), `text ${sent.length}`]
    const text = signedMessageText(bob.identityKey, BOX, messageId, body, createdAt)
    const signature = signPortably(alice.keys, text)
    const message = { recipient: bob.identityKey, messageBox: BOX, messageId, body, createdAt, signature }
    const answer = await alice.post(node.url, '/sendMessage', { message })
    expect(answer.status, answer.body.toString()).to.equal(200)
    sent.push(messageName(alice.identityKey, BOX, undefined, text, Buffer.alloc(0)).toString('hex'))
  }

  async function acknowledge(
    { bob, acknowledged }: Real,
    node: TestNode,
    which: number,
    inOwnWords: boolean
  ): Promise<void> {
    const listed = await listMessages(bob, node, BOX)
    if (listed.length === 0) return
    const { messageId, envelopeId } = listed[which % listed.length]!
    const envelopeIds = [envelopeId]
    const signature = signPortably(bob.keys, acknowledgementText(bob.identityKey, envelopeIds))
    const body = inOwnWords ? { envelopeIds, signature } : { messageIds: [messageId] }
    const answer = await bob.post(node.url, '/acknowledgeMessage', body)
    expect(answer.json).to.deep.equal({ status: 'success', acknowledged: 1 })
    acknowledged.add(envelopeId)
  }

  const count = (flags: readonly boolean[]) => flags.filter(Boolean).length

  async function join({ bob }: Real, node: TestNode, hosts: number): Promise<void> {
    // One authorization a second.
    await until(
      () =>
        authorizeRouting(bob, node).then(
          () => true,
          () => false
        ),
      Boolean
    )
    for (const other of nodes) await untilHosts(other, bob, hosts)
  }

  class Step implements fc.AsyncCommand<Model, Real> {
    constructor(
      readonly name: string,
      readonly check: (model: Readonly<Model>) => boolean,
      readonly run: (model: Model, real: Real) => Promise<void>
    ) {}
    toString(): string {
      return this.name
    }
  }

  const nodeNumber = fc.constantFrom(...NODES)
  /** Hosts change only while everybody can hear of it: how the overlay catches up is shown elsewhere. */
  const isCalm = (model: Readonly<Model>) => model.whole && count(model.up) === NODES.length
  const sends = nodeNumber.map(
    i =>
      new Step(
        `send through ${i}`,
        model => model.up[i]!,
        (_, real) => send(real, nodes[i]!)
      )
  )
  const acknowledgements = fc.tuple(nodeNumber, fc.nat(5), fc.boolean()).map(
    ([i, which, own]) =>
      new Step(
        `acknowledge ${which} at ${i}${own ? ' in his own words' : ''}`,
        model => model.up[i]! && model.homes[i]!,
        (_, real) => acknowledge(real, nodes[i]!, which, own)
      )
  )
  const disturbances = fc.oneof(
    nodeNumber.map(
      i =>
        new Step(
          `stop ${i}`,
          model => model.up[i]!,
          async model => {
            await nodes[i]!.stop()
            model.up[i] = false
          }
        )
    ),
    nodeNumber.map(
      i =>
        new Step(
          `start ${i}`,
          model => !model.up[i]!,
          async model => {
            await nodes[i]!.restart()
            model.up[i] = true
          }
        )
    ),
    nodeNumber.map(
      i =>
        new Step(
          `cut ${i} from ${(i + 1) % 3}`,
          () => true,
          async model => {
            network.cut(ports[i]!, ports[(i + 1) % 3]!)
            model.whole = false
          }
        )
    ),
    fc.constant(
      new Step(
        'heal',
        model => !model.whole,
        async model => {
          network.heal()
          model.whole = true
        }
      )
    ),
    nodeNumber.map(
      i =>
        new Step(
          `leave ${i}`,
          model => isCalm(model) && model.homes[i]! && count(model.homes) > 1,
          async (model, { bob }) => {
            const answer = await bob.post(nodes[i]!.url, '/revokeRouting', {})
            expect(answer.json).to.include({ revoked: true })
            model.homes[i] = false
            model.moved = true
            for (const node of nodes) await untilHosts(node, bob, count(model.homes))
          }
        )
    ),
    nodeNumber.map(
      i =>
        new Step(
          `join ${i}`,
          model => isCalm(model) && !model.homes[i]!,
          async (model, real) => {
            model.homes[i] = true
            await join(real, nodes[i]!, count(model.homes))
          }
        )
    )
  )
  const steps = fc.array(
    fc.oneof(
      { weight: 4, arbitrary: sends },
      { weight: 4, arbitrary: acknowledgements },
      { weight: 5, arbitrary: disturbances }
    ),
    { minLength: 20, maxLength: 30, size: 'max' }
  )

  /** Nobody waits any longer, and pairs compare. */
  async function hurry(): Promise<void> {
    for (const node of nodes) {
      await inspect(node, 'delete from destinations')
      await inspect(node, 'update reconciliations set next_at = 0, finished_at = null')
    }
  }

  async function boxesOf(model: Model, bob: TestUser): Promise<string[][]> {
    const homes = NODES.filter(i => model.homes[i])
    return Promise.all(
      homes.map(async i =>
        (await listMessages(bob, nodes[i]!, BOX)).map(({ envelopeId }) => envelopeId).sort()
      )
    )
  }

  async function expectTheSameBoxes(model: Model, { bob, sent, acknowledged }: Real): Promise<void> {
    network.heal()
    await Promise.all(NODES.filter(i => !model.up[i]).map(i => nodes[i]!.restart()))
    const owed = sent.filter(name => !acknowledged.has(name))
    await hurry()
    await until(
      async () => boxesOf(model, bob),
      boxes =>
        boxes.every(
          box =>
            owed.every(name => box.includes(name)) &&
            // What he acknowledged at a host and left before it could tell may come again, at all hosts.
            (model.moved || box.length === owed.length) &&
            box.join() === boxes[0]!.join()
        ),
      30_000
    )
  }

  it(`have the same boxes in the end, whatever happens in between (seed ${SEED})`, async function () {
    this.timeout(FUZZ_RUNS === '' ? 240_000 : 24 * 60 * 60_000)
    const property = fc.asyncProperty(steps, async commands => {
      const model: Model = { up: [true, true, true], homes: [true, true, false], whole: true, moved: false }
      const real: Real = {
        bob: new TestUser(`bob ${SEED} ${runs++} of convergence`),
        sent: [],
        acknowledged: new Set()
      }
      await join(real, nodes[0]!, 1)
      await join(real, nodes[1]!, 2)
      for (const node of nodes) await send(real, node)
      await fc.asyncModelRun(() => ({ model, real }), commands)
      await expectTheSameBoxes(model, real)
    })
    await fc.assert(property, { numRuns: RUNS, seed: SEED, endOnFailure: true })
  })

  it('lose nothing while he moves from one to another under traffic', async function () {
    this.timeout(120_000)
    const real: Real = { bob: new TestUser('bob who moves'), sent: [], acknowledged: new Set() }
    const { bob } = real
    await join(real, nodes[0]!, 1)
    let moving = true
    const traffic = NODES.map(async i => {
      while (moving) {
        await send(real, nodes[i]!)
        // The list of the end is one page.
        await scheduler.wait(10)
      }
    })
    await until(
      async () => real.sent.length,
      sent => sent > 20
    )
    await join(real, nodes[1]!, 2)
    const soFar = real.sent.length
    await until(
      async () => real.sent.length,
      sent => sent > soFar + 20
    )
    await bob.post(nodes[0]!.url, '/revokeRouting', {})
    for (const node of nodes) await untilHosts(node, bob, 1)
    const afterwards = real.sent.length
    await until(
      async () => real.sent.length,
      sent => sent > afterwards + 20
    )
    moving = false
    await Promise.all(traffic)
    await until(
      () => listMessages(bob, nodes[1]!, BOX),
      listed => listed.length === real.sent.length
    )
    const names = (await listMessages(bob, nodes[1]!, BOX)).map(({ envelopeId }) => envelopeId)
    expect(names).to.have.members(real.sent)
  })
})
