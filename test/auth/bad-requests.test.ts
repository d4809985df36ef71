import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { loadCurve } from '../../src/curve/load.js'
import { type RawRequest, TestUser } from '../support/client.js'
import { RawConnection } from './raw-connection.js'
import { startToyNode, type ToyNode } from './toy-node.js'

const COUNT = 10_000

describe(`${COUNT} bad requests`, function () {
  this.timeout(60_000)

  /** The results of this operation are what the node keeps per counterparty. */
  let sharedPoints = 0
  const counting = loadCurve()
  const sharedPoint = counting.sharedPoint.bind(counting)
  counting.sharedPoint = (privateKey, publicKey) => {
    sharedPoints++
    return sharedPoint(privateKey, publicKey)
  }
  let node: ToyNode
  before(async () => {
    node = await startToyNode({ curve: counting })
  })
  after(() => node.stop())

  it('are all answered 4xx, cost no key derivation for strangers, and leave nothing running', async () => {
    const alice = new TestUser('alice')
    const session = await alice.handshake(node.url)
    const good = alice.sign(session, { method: 'POST', target: '/echo' })
    expect((await alice.send(node.url, good)).status).to.equal(200)
    expect(sharedPoints).to.equal(1)

    const random = (bytes: number) => randomBytes(bytes).toString('base64')
    const kinds: (() => RawRequest)[] = [
      () => ({ ...good, headers: [] }),
      () => ({ ...good, target: `/nowhere/${random(30)}` }),
      () => change(good, 'request-id', random(31)),
      () => change(good, 'your-nonce', random(103)),
      () => change(good, 'identity-key', `02${randomBytes(32).toString('hex')}`),
      // The honest user's session with a signature that does not fit: the dearest one.
      () => change(good, 'nonce', random(32)),
      () => ({ ...good, target: '/.well-known/auth', body: Buffer.from(`{"initialNonce":"${random(48)}"}`) })
    ]
    const connection = await RawConnection.open(node.url)
    const before = process.getActiveResourcesInfo().length
    for (let n = 0; n < COUNT; n++) connection.write(textOf(kinds[n % kinds.length]!()))
    connection.write('GET /last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
    const answers = await connection.untilClosed()

    const statuses = new Map<string, number>()
    for (const [, status = ''] of answers.matchAll(/HTTP\/1\.1 (\d{3}) /g)) {
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
    expect([...statuses.keys()].sort()).to.deep.equal(['401', '404'])
    expect(statuses.get('401')! + statuses.get('404')!).to.equal(COUNT + 1)
    // One shared point for the honest user, and none for all the rest: no cache was touched.
    expect(sharedPoints).to.equal(1)
    // Neither timers nor connections remain.
    expect(process.getActiveResourcesInfo().length).to.be.at.most(before)
    expect(await promisify(node.server.getConnections.bind(node.server))()).to.be.at.most(1)
    expect(node.log).to.have.length(0)
    const again = alice.sign(session, { method: 'POST', target: '/echo' })
    expect((await alice.send(node.url, again)).status).to.equal(200)
  })
})

function change(request: RawRequest, name: string, value: string): RawRequest {
  const header = `x-bsv-auth-${name}`
  const others = request.headers.filter(([other]) => other !== header)
  return { ...request, headers: [...others, [header, value]] }
}

function textOf({ method, target, headers, body }: RawRequest): string {
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return `${method} ${target} HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n${lines}\r\n${body}`
}
