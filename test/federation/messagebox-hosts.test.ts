import { PushDrop, Transaction } from '@bsv/sdk'
import { expect } from 'chai'
import { type FundedTransaction, MadeUpFunding } from '../../federation/overlay/funding.js'
import {
  ADVERTISEMENT_INVOICE,
  parseHost,
  verifyAdvertisementScript
} from '../../federation/overlay/host-advertisement.js'
import { encodePushDrop } from '../../federation/phip/push-drop.js'
import { ANYONE_PUBLIC_KEY } from '../../src/keys/key-deriver.js'
import { OperatorLists } from '../../src/operator-lists.js'
import { curve, TestUser } from '../support/client.js'
import { until } from '../support/nodes.js'
import { fundScripts, lookUp, type OverlayNode, spend, startOverlayNode, submit } from '../support/overlay.js'
import { vector } from '../support/vectors.js'

const [FIRST, SECOND] = ['https://first.peerserv.org', 'https://second.peerserv.org']

interface Parts {
  readonly lockedTo?: TestUser
  readonly named?: Uint8Array
  readonly signedFor?: string
  readonly more?: readonly Uint8Array[]
}

/** What anointHost writes, every part open to tampering. */
function script(user: TestUser, host: string, { lockedTo = user, named, signedFor, more = [] }: Parts = {}) {
  const fields = [named ?? user.keys.publicKey, Buffer.from(host), ...more]
  const signed = signedFor === undefined ? fields : [fields[0]!, Buffer.from(signedFor)]
  const signature = user.keys.sign(Buffer.concat(signed), ADVERTISEMENT_INVOICE, ANYONE_PUBLIC_KEY)
  const lockingKey = lockedTo.keys.ownPublicKey(ANYONE_PUBLIC_KEY, ADVERTISEMENT_INVOICE)
  return encodePushDrop({ lockingKey, fields: [...fields, signature], position: 'before' })
}

const advertise = (user: TestUser, host: string) => fundScripts([script(user, host)])
const signer = (user: TestUser) => (digest: Uint8Array) =>
  user.keys.signDigest(digest, ADVERTISEMENT_INVOICE, ANYONE_PUBLIC_KEY)

/** Takes an advertisement back; with a host, names that one instead, in the same transaction. */
function move(user: TestUser, { txid, beef }: FundedTransaction, host?: string): Promise<FundedTransaction> {
  if (host === undefined) return spend({ txid, beef }, signer(user))
  const output = { lockingScript: script(user, host), satoshis: 1 }
  return new MadeUpFunding().fund([output], [{ txid, outputIndex: 0, beef, sign: signer(user) }])
}

async function give(
  node: OverlayNode,
  { beef }: FundedTransaction
): Promise<{ admitted: number[]; removed: number[] }> {
  const answer = await submit(node, beef, { 'x-topics': '["tm_messagebox"]' })
  expect(answer.status, answer.bytes.toString()).to.equal(200)
  const { outputsToAdmit, coinsRemoved } = answer.json.tm_messagebox
  return { admitted: outputsToAdmit, removed: coinsRemoved }
}

async function hosts(node: OverlayNode, user: TestUser, host?: string): Promise<string[]> {
  const answer = await lookUp(node, { identityKey: user.identityKey, host }, {}, 'ls_messagebox')
  expect(answer.status, answer.bytes.toString()).to.equal(200)
  return (answer.json.outputs as { beef: number[]; outputIndex: number }[]).map(({ beef, outputIndex }) => {
    const { lockingScript } = Transaction.fromBEEF(beef).outputs[outputIndex]!
    return Buffer.from(PushDrop.decode(lockingScript).fields[1]!).toString()
  })
}

describe('host advertisements', () => {
  let node: OverlayNode
  before(async () => {
    node = await startOverlayNode('message box hosts')
  })
  after(() => node.remove())

  let names = 0
  const newUser = () => new TestUser(`message box host ${names++}`)

  it('of the stock client are read', () => {
    const { script: hex, fields } = vector('messagebox-advertisement-token')
    expect(verifyAdvertisementScript(curve, Buffer.from(hex, 'hex'), 'main')).to.deep.equal({
      identityKey: fields[0],
      host: fields[1],
      domain: 'peerserv.example.org'
    })
  })

  const mallory = new TestUser('message box mallory')
  const victim = new TestUser('message box victim')
  const broken: [what: string, script: () => Uint8Array][] = [
    ['of somebody else', () => script(mallory, FIRST, { named: victim.keys.publicKey })],
    [
      'of somebody else, with his lock',
      () => script(mallory, FIRST, { named: victim.keys.publicKey, lockedTo: victim })
    ],
    ['locked to another key', () => script(victim, FIRST, { lockedTo: mallory })],
    ['with a signature over another host', () => script(victim, FIRST, { signedFor: SECOND })],
    ['with another field', () => script(victim, FIRST, { more: [Buffer.from('more')] })],
    ['with no key', () => script(victim, FIRST, { named: Buffer.alloc(33, 2) })],
    ['of a host that is no URL', () => script(victim, 'first.peerserv.org')],
    ['of a host that is too long', () => script(victim, `https://first.peerserv.org/${'x'.repeat(240)}`)]
  ]
  for (const [what, build] of broken) {
    it(`${what} are not admitted`, async () => {
      expect(await give(node, await fundScripts([build()]))).to.deep.equal({ admitted: [], removed: [] })
    })
  }

  it('without a coin are not admitted', async () => {
    expect((await give(node, await fundScripts([script(newUser(), FIRST)], 0))).admitted).to.deep.equal([])
  })

  it('name https hosts that anybody can reach', () => {
    const domains = (host: string, network: 'main' | 'local' = 'main') => {
      const parsed = parseHost(host, network)
      return parsed.ok ? parsed.value : undefined
    }
    expect(domains('https://A.example.org/path/')).to.equal('a.example.org')
    expect(domains('https://a.example.org:443')).to.equal('a.example.org')
    expect(domains('https://a.example.org:8443')).to.equal('a.example.org:8443')
    expect(domains('http://localhost:3000', 'local')).to.equal('localhost:3000')
    for (const host of [
      'http://a.example.org',
      'https://localhost',
      'https://127.0.0.1',
      'https://0x7f.1',
      'https://[::1]',
      'https://user@a.example.org',
      'https://a.example.org?q',
      'https://a.example.org#f',
      'https://a.exa\tmple.org',
      ' https://a.example.org',
      'ftp://a.example.org',
      'https://ä.example.org',
      ''
    ]) {
      expect(domains(host), host).to.equal(undefined)
    }
  })

  it('are found newest first, one of each host, and leave when they are spent', async () => {
    const user = newUser()
    const first = await advertise(user, FIRST)
    expect((await give(node, first)).admitted).to.deep.equal([0])
    node.clock.time += 1000
    const second = await advertise(user, SECOND)
    await give(node, second)
    await give(node, await advertise(user, SECOND))
    expect(await hosts(node, user)).to.deep.equal([SECOND, FIRST])
    expect(await hosts(node, user, FIRST)).to.deep.equal([FIRST])
    expect(await give(node, await move(user, first))).to.deep.equal({ admitted: [], removed: [0] })
    expect(await hosts(node, user)).to.deep.equal([SECOND])
  })

  it('that somebody copies make a host no younger, once its owner has moved', async () => {
    const user = newUser()
    const first = await advertise(user, FIRST)
    await give(node, first)
    node.clock.time += 1000
    const second = await move(user, first, SECOND)
    await give(node, second)
    node.clock.time += 1000
    await give(node, await advertise(user, FIRST))
    expect(await hosts(node, user)).to.deep.equal([SECOND, FIRST])
    // His own word of today: the transaction spends what only he can spend.
    node.clock.time += 1000
    await give(node, await move(user, second, FIRST))
    await give(node, await advertise(user, SECOND))
    expect(await hosts(node, user)).to.deep.equal([FIRST, SECOND])
  })

  it('are kept four times for one host', async () => {
    const user = newUser()
    const copies = await fundScripts(Array.from({ length: 6 }, () => script(user, FIRST)))
    expect((await give(node, copies)).admitted).to.deep.equal([0, 1, 2, 3])
    expect((await give(node, await advertise(user, FIRST))).admitted).to.deep.equal([])
    expect((await give(node, await advertise(user, SECOND))).admitted).to.deep.equal([0])
  })

  it('are answered for sixteen hosts of one identity', async () => {
    const user = newUser()
    const scripts = Array.from({ length: 20 }, (_, i) => script(user, `https://h${i}.peerserv.org`))
    await give(node, await fundScripts(scripts))
    expect(await hosts(node, user)).to.have.lengthOf(16)
  })

  it('that arrive with what spends them are spent', async () => {
    const user = newUser()
    const first = await advertise(user, FIRST)
    const spent = await move(user, first)
    await give(node, spent)
    await give(node, first)
    expect(await hosts(node, user)).to.deep.equal([])
  })

  it('of blocked people and domains are refused', async () => {
    const lists = new OperatorLists({
      own: { identityKey: newUser().identityKey, domain: 'own.peerserv.org' },
      onRefused: () => undefined
    })
    const strict = await startOverlayNode('strict about hosts', { overlay: { operatorLists: lists } })
    const user = newUser()
    lists.replace([
      { list: 'block', kind: 'identity', value: user.identityKey },
      { list: 'block', kind: 'domain', value: 'second.peerserv.org' }
    ])
    for (const advertisement of [await advertise(user, FIRST), await advertise(newUser(), SECOND)]) {
      const answer = await submit(strict, advertisement.beef, { 'x-topics': '["tm_messagebox"]' })
      expect(answer.json).to.include({ code: 'ERR_BLOCKED' })
    }
    lists.replace([])
    await give(strict, await advertise(user, FIRST))
    expect(await hosts(strict, user)).to.deep.equal([FIRST])
    await strict.remove()
  })

  it('are asked for with a key', async () => {
    const queries = [null, {}, { identityKey: '02' }, { identityKey: newUser().identityKey, host: 7 }]
    for (const query of queries) {
      expect((await lookUp(node, query, {}, 'ls_messagebox')).json).to.include({ code: 'ERR_INVALID_QUERY' })
    }
  })

  it('reach other hosts, and so does what spends them', async () => {
    const other = await startOverlayNode('reads message box hosts', { peers: [node.url] })
    const here = await startOverlayNode('takes message box hosts', { peers: [other.url] })
    const user = newUser()
    const first = await advertise(user, FIRST)
    await give(node, first)
    await other.overlay.syncOnce()
    expect(await hosts(other, user)).to.deep.equal([FIRST])
    // Twelve more: from so many on they are asked for together.
    const many = Array.from({ length: 12 }, newUser)
    for (const each of many) await give(node, await advertise(each, SECOND))
    await other.overlay.syncOnce()
    for (const each of many) expect(await hosts(other, each)).to.deep.equal([SECOND])
    // GASP lists what is unspent, so the spend is passed on.
    await give(here, await move(user, first))
    await until(
      () => hosts(other, user),
      found => found.length === 0
    )
    for (const each of [here, other]) await each.remove()
  })
})
