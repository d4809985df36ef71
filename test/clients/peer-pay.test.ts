import { type IncomingPayment, PeerPayClient } from '@bsv/message-box-client'
import { expect } from 'chai'
import { TestUser } from '../support/client.js'
import { standInForLocalHost } from '../support/local-overlay.js'
import { MadeUpWallet } from '../support/made-up-wallet.js'
import { startTestNode, type TestNode, until } from '../support/nodes.js'

const DAY = 24 * 60 * 60_000

describe('PeerPay over ordinary messages', () => {
  let node: TestNode
  let putBack: () => void
  let open: PeerPayClient[] = []
  before(async () => {
    node = await startTestNode('peer pay')
    putBack = await standInForLocalHost(node.url)
  })
  after(async () => {
    putBack()
    await node.remove()
  })
  afterEach(async () => {
    for (const client of open) await client.disconnectWebSocket()
    open = []
  })

  let names = 0
  function newUser() {
    const user = new TestUser(`peer pay ${names++}`)
    const wallet = new MadeUpWallet(user)
    const client = new PeerPayClient({ walletClient: wallet, messageBoxHost: node.url })
    open.push(client)
    return { key: user.identityKey, wallet, client }
  }

  it('sends a payment, which its recipient finds, takes and acknowledges', async () => {
    const [alice, bob] = [newUser(), newUser()]
    await alice.client.sendPayment({ recipient: bob.key, amount: 1234 })
    const [payment, ...others] = await bob.client.listIncomingPayments()
    expect(others).to.deep.equal([])
    expect(payment).to.include({ sender: alice.key })
    expect(payment!.token.amount).to.equal(1234)
    expect(await bob.client.acceptPayment(payment!)).to.be.an('object')
    expect(bob.wallet.received).to.equal(1234)
    expect(await bob.client.listIncomingPayments()).to.deep.equal([])
  })

  it('sends a payment live', async () => {
    const [alice, bob] = [newUser(), newUser()]
    const heard: IncomingPayment[] = []
    await bob.client.listenForLivePayments({ onPayment: payment => heard.push(payment) })
    await alice.client.sendLivePayment({ recipient: bob.key, amount: 77 })
    await until(
      async () => heard.length,
      count => count === 1
    )
    expect(await bob.client.acceptPayment(heard[0]!)).to.be.an('object')
    expect(bob.wallet.received).to.equal(77)
  })

  it('gives a payment back, less the fee', async () => {
    const [alice, bob] = [newUser(), newUser()]
    await alice.client.sendPayment({ recipient: bob.key, amount: 5000 })
    const [payment] = await bob.client.listIncomingPayments()
    await bob.client.rejectPayment(payment!)
    const [refund] = await alice.client.listIncomingPayments()
    expect(refund?.token.amount).to.equal(4000)
    expect(await bob.client.listIncomingPayments()).to.deep.equal([])
  })

  it('asks for a payment, which is made, and learns of it', async () => {
    const [alice, bob] = [newUser(), newUser()]
    const { requestId } = await alice.client.requestPayment({
      recipient: bob.key,
      amount: 3000,
      description: 'dinner',
      expiresAt: Date.now() + DAY
    })
    const [request] = await bob.client.listIncomingPaymentRequests()
    expect(request).to.include({ requestId, sender: alice.key, amount: 3000, description: 'dinner' })
    await bob.client.fulfillPaymentRequest({ request: request!, note: 'enjoy' })
    expect(await alice.client.listPaymentRequestResponses()).to.deep.equal([
      { requestId, status: 'paid', amountPaid: 3000, note: 'enjoy' }
    ])
    const [payment] = await alice.client.listIncomingPayments()
    await alice.client.acceptPayment(payment!)
    expect(alice.wallet.received).to.equal(3000)
    expect(await bob.client.listIncomingPaymentRequests()).to.deep.equal([])
  })

  it('declines what it is asked for', async () => {
    const [alice, bob] = [newUser(), newUser()]
    const asked = { recipient: bob.key, amount: 3000, description: 'no', expiresAt: Date.now() + DAY }
    const { requestId } = await alice.client.requestPayment(asked)
    const [request] = await bob.client.listIncomingPaymentRequests()
    await bob.client.declinePaymentRequest({ request: request! })
    expect(await alice.client.listPaymentRequestResponses()).to.deep.equal([
      { requestId, status: 'declined' }
    ])
    expect(await bob.client.listIncomingPaymentRequests()).to.deep.equal([])
  })

  it('takes a request back', async () => {
    const [alice, bob] = [newUser(), newUser()]
    const asked = { recipient: bob.key, amount: 3000, description: 'never mind', expiresAt: Date.now() + DAY }
    const { requestId, requestProof } = await alice.client.requestPayment(asked)
    expect(await bob.client.listIncomingPaymentRequests()).to.have.lengthOf(1)
    await alice.client.cancelPaymentRequest({ recipient: bob.key, requestId, requestProof })
    expect(await bob.client.listIncomingPaymentRequests()).to.deep.equal([])
  })

  it('passes over requests that are late, too small or too large, and acknowledges them', async () => {
    const [alice, bob] = [newUser(), newUser()]
    const ask = (amount: number, expiresAt = Date.now() + DAY) =>
      alice.client.requestPayment({ recipient: bob.key, amount, description: `${amount}`, expiresAt })
    await ask(2000, Date.now() - 1)
    await ask(10)
    await ask(1_000_000)
    await ask(3000)
    const limits = { minAmount: 1000, maxAmount: 10_000 }
    const wanted = await bob.client.listIncomingPaymentRequests(undefined, limits)
    expect(wanted.map(({ amount }) => amount)).to.deep.equal([3000])
    const left = await bob.client.listMessages({ messageBox: 'payment_requests' })
    expect(left).to.have.lengthOf(1)
  })
})
