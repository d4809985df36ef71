import { MessageBoxClient } from '@bsv/message-box-client'
import { expect } from 'chai'
import { TestUser } from '../support/client.js'
import { standInForLocalHost } from '../support/local-overlay.js'
import { MadeUpWallet } from '../support/made-up-wallet.js'
import { authorizeRouting, listMessages, startTestNode, type TestNode } from '../support/nodes.js'

const [FIRST, SECOND] = ['https://first.peerserv.org', 'https://second.peerserv.org']

describe('the stock client advertises its hosts', () => {
  let node: TestNode
  let putBack: () => void
  before(async () => {
    node = await startTestNode('host advertisements')
    putBack = await standInForLocalHost(node.url)
  })
  after(async () => {
    putBack()
    await node.remove()
  })

  let names = 0
  function newClient(): { user: TestUser; client: MessageBoxClient } {
    const user = new TestUser(`advertises ${names++}`)
    const walletClient = new MadeUpWallet(user)
    return { user, client: new MessageBoxClient({ walletClient, host: node.url, networkPreset: 'local' }) }
  }
  const send = (from: TestUser, recipients: readonly TestUser[], body: unknown = 'hello') => {
    const message = {
      recipients: recipients.map(({ identityKey }) => identityKey),
      messageBox: 'inbox',
      body
    }
    return from.post(node.url, '/sendMessage', { message })
  }

  it('with anointHost, and whoever asks finds it', async () => {
    const [alice, bob] = [newClient(), newClient()]
    await alice.client.init()
    expect(await bob.client.resolveHostForRecipient(alice.user.identityKey)).to.equal(node.url)
    const { txid } = await alice.client.anointHost(FIRST)
    expect(await bob.client.resolveHostForRecipient(alice.user.identityKey)).to.equal(FIRST)
    const [found, ...others] = await bob.client.queryAdvertisements(alice.user.identityKey, FIRST)
    expect(others).to.deep.equal([])
    expect(found).to.include({ host: FIRST, txid, outputIndex: 0 })
    expect(await bob.client.queryAdvertisements(alice.user.identityKey, SECOND)).to.deep.equal([])
  })

  it('and moves: anointing another host takes the first one back', async () => {
    const [alice, bob] = [newClient(), newClient()]
    await alice.client.anointHost(FIRST)
    await alice.client.anointHost(SECOND)
    const hosts = async () =>
      (await bob.client.queryAdvertisements(alice.user.identityKey)).map(({ host }) => host)
    expect(await hosts()).to.deep.equal([SECOND])
    await alice.client.anointHost(FIRST)
    expect(await hosts()).to.deep.equal([FIRST])
  })

  it('and takes it back with revokeHostAdvertisement', async () => {
    const alice = newClient()
    await alice.client.anointHost(FIRST)
    const [token] = await alice.client.queryAdvertisements()
    const { txid } = await alice.client.revokeHostAdvertisement(token!)
    expect(txid).to.match(/^[0-9a-f]{64}$/)
    expect(await alice.client.queryAdvertisements()).to.deep.equal([])
    expect(await alice.client.resolveHostForRecipient(alice.user.identityKey)).to.equal(node.url)
  })

  it('so a sender is told where to post, and nothing is kept', async () => {
    const [alice, bob, carol] = [newClient(), newClient(), newClient()]
    await alice.client.anointHost(FIRST)
    const answer = await send(bob.user, [carol.user, alice.user])
    expect(answer).to.include({ status: 409, signature: 'valid' })
    expect(answer.json).to.include({ status: 'error', code: 'ERR_RECIPIENT_ELSEWHERE' })
    expect(answer.json.recipients).to.deep.equal([
      { recipient: alice.user.identityKey, code: 'ERR_RECIPIENT_ELSEWHERE', host: FIRST }
    ])
    for (const { user } of [alice, carol]) expect(await listMessages(user, node, 'inbox')).to.deep.equal([])
    // One recipient goes another way through the database than several.
    expect((await send(bob.user, [alice.user])).json).to.deep.include({ recipients: answer.json.recipients })
    await expectRefusal(
      bob.client.sendMessage({ recipient: alice.user.identityKey, messageBox: 'inbox', body: 'x' }, node.url)
    )
    expect(await listMessages(alice.user, node, 'inbox')).to.deep.equal([])
    expect((await send(bob.user, [carol.user])).status).to.equal(200)
  })

  it('and messages come here again when it is this host, or none, or also a PHIP host', async () => {
    const [alice, bob] = [newClient(), newClient()]
    const works = async () => (await send(bob.user, [alice.user], `${Math.random()}`)).status
    await alice.client.anointHost(FIRST)
    expect(await works()).to.equal(409)
    // Clients look for hosts with https only, and find none on this machine; the node knows its own name.
    await alice.client.anointHost(`https://${node.domain}/`)
    expect(await works()).to.equal(200)
    await alice.client.anointHost(SECOND)
    expect(await works(), 'beside this one').to.equal(200)
    const dave = newClient()
    await dave.client.anointHost(FIRST)
    await authorizeRouting(dave.user, node)
    expect((await send(bob.user, [dave.user])).status).to.equal(200)
  })
})

async function expectRefusal(sending: Promise<unknown>): Promise<void> {
  const error = await sending.then(
    () => undefined,
    (reason: unknown) => reason
  )
  expect(error).to.be.an('error').with.property('message').that.includes('HTTP 409')
}
