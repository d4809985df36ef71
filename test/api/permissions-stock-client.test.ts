import { MessageBoxClient } from '@bsv/message-box-client'
import { expect } from 'chai'
import { TestUser } from '../support/client.js'
import { LiveUser } from '../support/live-client.js'
import { startTestNode, type TestNode } from '../support/nodes.js'
import { PayingWallet } from '../support/paying-wallet.js'

/** The stock client writes what it does to the console. */
async function silently<T>(work: () => Promise<T>): Promise<T> {
  const { log, error } = console
  console.log = console.error = () => undefined
  try {
    return await work()
  } finally {
    Object.assign(console, { log, error })
  }
}

describe('permissions of stock clients', () => {
  let node: TestNode
  let users = 0
  before(async () => {
    node = await startTestNode('permissions of stock clients')
  })
  after(() => node.remove())

  function newClient() {
    const user = new TestUser(`stock user ${users++} of permissions`)
    const walletClient = new PayingWallet(user)
    const client = new MessageBoxClient({ walletClient, host: node.url, networkPreset: 'local' })
    return { user, client, identityKey: user.identityKey }
  }
  const quote = (from: MessageBoxClient, recipient: string | string[], messageBox: string) =>
    silently(() => from.getMessageBoxQuote({ recipient: recipient as string, messageBox }, node.url))

  it('are set, read and listed', async () => {
    const [bob, alice] = [newClient(), newClient()]
    const inbox = { recipient: bob.identityKey, messageBox: 'inbox' }
    expect(await bob.client.getMessageBoxPermission(inbox, node.url)).to.equal(null)
    await bob.client.setMessageBoxPermission({ messageBox: 'inbox', recipientFee: 20 }, node.url)
    await bob.client.setMessageBoxPermission(
      { messageBox: 'inbox', sender: alice.identityKey, recipientFee: -1 },
      node.url
    )
    expect(await bob.client.getMessageBoxPermission(inbox, node.url)).to.include({
      sender: null,
      messageBox: 'inbox',
      recipientFee: 20,
      status: 'payment_required'
    })
    const listed = await bob.client.listMessageBoxPermissions({ messageBox: 'inbox' }, node.url)
    expect(
      listed.map(({ sender, messageBox, recipientFee, status }) => [sender, messageBox, recipientFee, status])
    ).to.have.deep.members([
      [null, 'inbox', 20, 'payment_required'],
      [alice.identityKey, 'inbox', -1, 'blocked']
    ])
    for (const { createdAt, updatedAt } of listed) expect([createdAt, updatedAt]).to.satisfy(areTimes)
    expect(await bob.client.listMessageBoxPermissions({ limit: 1, offset: 1 }, node.url)).to.have.length(1)
  })

  it('allow and deny notifications', async () => {
    const [bob, alice] = [newClient(), newClient()]
    const send = () =>
      silently(() =>
        alice.client.sendMessage(
          { recipient: bob.identityKey, messageBox: 'notifications', body: `${Math.random()}` },
          node.url
        )
      )
    const status = async () =>
      (await bob.client.checkPeerNotificationStatus(alice.identityKey, node.url))?.status
    expect(await status()).to.equal(undefined)
    expect(await failure(send())).to.include('400')
    // Whoever asks what it costs pays that.
    const paid = await silently(() => alice.client.sendNotification(bob.identityKey, 'paid', node.url))
    expect(paid.status).to.equal('success')
    await bob.client.allowNotificationsFromPeer(alice.identityKey, 0, node.url)
    expect(await status()).to.equal('always_allow')
    const notified = await silently(() => alice.client.sendNotification(bob.identityKey, 'ding', node.url))
    expect(notified.status).to.equal('success')
    await bob.client.denyNotificationsFromPeer(alice.identityKey, node.url)
    expect(await status()).to.equal('blocked')
    // PeerPay looks for this in the text.
    expect(await failure(send())).to.include('403')
    expect(
      await failure(silently(() => alice.client.sendNotification(bob.identityKey, 'dong', node.url)))
    ).to.include('blocked')
    await bob.client.allowNotificationsFromPeer(alice.identityKey, 5, node.url)
    expect(await status()).to.equal('payment_required')
    expect(await bob.client.listPeerNotifications(node.url)).to.have.length(1)
  })

  it('are quoted, for one and for several', async () => {
    const [bob, carol, dave, alice] = [newClient(), newClient(), newClient(), newClient()]
    await bob.client.setMessageBoxPermission({ messageBox: 'inbox', recipientFee: 15 }, node.url)
    await carol.client.setMessageBoxPermission({ messageBox: 'inbox', recipientFee: -1 }, node.url)
    expect(await quote(alice.client, bob.identityKey, 'inbox')).to.deep.equal({
      recipientFee: 15,
      deliveryFee: 0,
      deliveryAgentIdentityKey: node.identityKey
    })
    const keys = [bob, carol, dave].map(({ identityKey }) => identityKey)
    const several = await quote(alice.client, keys, 'inbox')
    expect(several).to.deep.include({
      totals: { deliveryFees: 0, recipientFees: 15, totalForPayableRecipients: 15 },
      blockedRecipients: [carol.identityKey]
    })
  })

  it('let a batch go to those who do not block', async () => {
    const [bob, carol, alice] = [newClient(), newClient(), newClient()]
    await carol.client.setMessageBoxPermission({ messageBox: 'inbox', recipientFee: -1 }, node.url)
    const sent = await silently(() =>
      alice.client.sendMesagetoRecepients(
        { recipients: [bob.identityKey, carol.identityKey], messageBox: 'inbox', body: 'to all' },
        node.url
      )
    )
    expect(sent).to.include({ status: 'success' })
    expect(sent.blocked).to.deep.equal([carol.identityKey])
    expect(sent.sent.map(({ recipient }) => recipient)).to.deep.equal([bob.identityKey])
  })

  it('hold for what is sent over a socket', async () => {
    const [alice, bob] = [new LiveUser('live alice of permissions', node.url), newClient()]
    try {
      await bob.client.setMessageBoxPermission({ messageBox: 'inbox', recipientFee: -1 }, node.url)
      // The client tries over HTTP then, and tells what that has brought.
      expect(await failure(silently(() => alice.send(bob.user, 'inbox', 'hello')))).to.include('403')
      await bob.client.setMessageBoxPermission({ messageBox: 'inbox', recipientFee: 0 }, node.url)
      expect((await alice.send(bob.user, 'inbox', 'hello')).status).to.equal('success')
    } finally {
      await alice.close()
    }
  })
})

async function failure(promise: Promise<unknown>): Promise<string> {
  const outcome = await promise.then(
    () => 'it did not fail',
    (error: Error) => error.message
  )
  return outcome
}

function areTimes(texts: unknown[]): boolean {
  return texts.every(text => typeof text === 'string' && !Number.isNaN(Date.parse(text)))
}
