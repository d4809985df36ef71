import { MessageBoxClient, PeerPayClient } from '@bsv/message-box-client'
import { expect } from 'chai'
import { TestUser } from '../support/client.js'
import { startTestNode, type TestNode, until } from '../support/nodes.js'
import { PayingWallet, startWalletServer, type WalletServer } from '../support/paying-wallet.js'
import { silently } from '../support/silently.js'

/** In the box `notifications`: to the node, and to each recipient who has said nothing else. */
const DELIVERY_FEE = 4
const FEE = 10

describe('payments by @bsv/message-box-client', () => {
  let walletServer: WalletServer
  let node: TestNode

  before(async () => {
    walletServer = await startWalletServer(new TestUser('node stock'))
    node = await startTestNode('stock', {
      environment: { WALLET_URL: walletServer.url, DELIVERY_FEES: `notifications=${DELIVERY_FEE}` }
    })
  })

  after(async () => {
    await node?.remove()
    await walletServer?.stop()
  })

  const person = (name: string) => {
    const user = new TestUser(`stock ${name}`)
    const wallet = new PayingWallet(user)
    const client = new MessageBoxClient({ walletClient: wallet, host: node.url, networkPreset: 'local' })
    return { user, wallet, client }
  }
  const accept = ({ client }: ReturnType<typeof person>) =>
    client.listMessages({ messageBox: 'notifications', host: node.url, acceptPayments: true })

  it('are made by sendMessage of itself, and accepted by listMessages', () =>
    silently(async () => {
      const [alice, bob] = [person('alice'), person('bob')]
      await alice.client.sendMessage(
        {
          recipient: bob.user.identityKey,
          messageBox: 'notifications',
          body: 'news',
          checkPermissions: true
        },
        node.url
      )
      expect(alice.wallet.made).to.have.length(1)
      const [message] = await accept(bob)
      expect(message!.body).to.equal('news')
      expect([...bob.wallet.taken]).to.deep.equal([[`${alice.wallet.made[0]}.1`, FEE]])
      const fee = `${alice.wallet.made[0]}.0`
      await until(
        async () => walletServer.wallet.taken.get(fee),
        satoshis => satoshis === DELIVERY_FEE
      )
    }))

  it('pay the node once and every recipient in a batch', () =>
    silently(async () => {
      const [alice, bob, carol, dave] = ['alice', 'bob 2', 'carol', 'dave'].map(person) as [
        ReturnType<typeof person>,
        ReturnType<typeof person>,
        ReturnType<typeof person>,
        ReturnType<typeof person>
      ]
      await carol.client.setMessageBoxPermission({ messageBox: 'notifications', recipientFee: 25 })
      await dave.client.setMessageBoxPermission({ messageBox: 'notifications', recipientFee: 0 })
      const sent = await alice.client.sendMesagetoRecepients(
        {
          recipients: [bob, dave, carol].map(({ user }) => user.identityKey),
          messageBox: 'notifications',
          body: 'to all',
          skipEncryption: true
        },
        node.url
      )
      expect(sent.status).to.equal('success')
      for (const who of [bob, carol, dave])
        expect((await accept(who)).map(({ body }) => body)).to.deep.equal(['to all'])
      expect([bob, carol, dave].map(({ wallet }) => [...wallet.taken.values()])).to.deep.equal([
        [FEE],
        [25],
        []
      ])
      const fee = `${alice.wallet.made[0]}.0`
      await until(
        async () => walletServer.wallet.taken.get(fee),
        satoshis => satoshis === DELIVERY_FEE
      )
    }))

  it('of PeerPay arrive in messages, and are accepted', () =>
    silently(async () => {
      const [alice, bob] = [person('peerpay alice'), person('peerpay bob')]
      const clientOf = ({ wallet }: ReturnType<typeof person>) => {
        const client = new PeerPayClient({ walletClient: wallet, messageBoxHost: node.url })
        // It would ask the hosts of the main network where else its user has boxes.
        return Object.assign(client, { queryAdvertisements: async () => [] })
      }
      const [from, to] = [clientOf(alice), clientOf(bob)]
      await from.sendPayment({ recipient: bob.user.identityKey, amount: 500 }, node.url)
      const [payment] = await to.listIncomingPayments(node.url)
      expect(payment!.token.amount).to.equal(500)
      await to.acceptPayment(payment!)
      expect([...bob.wallet.taken.values()]).to.deep.equal([500])
      expect(await to.listIncomingPayments(node.url)).to.have.length(0)
    }))
})
