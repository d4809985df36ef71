import { AuthFetch } from '@bsv/sdk'
import { expect } from 'chai'
import { TestUser } from '../support/client.js'
import { startTestNode, type TestNode, until } from '../support/nodes.js'
import { PayingWallet, startWalletServer, type WalletServer } from '../support/paying-wallet.js'

const PRICE = 77

describe('a call with a price (BRC-105)', () => {
  let walletServer: WalletServer
  let node: TestNode
  const alice = new TestUser('payer alice')
  const body = {
    message: {
      recipient: new TestUser('bob').identityKey,
      messageBox: 'inbox',
      messageId: 'one',
      body: 'hello'
    }
  }

  before(async () => {
    walletServer = await startWalletServer(new TestUser('node priced'))
    node = await startTestNode('priced', {
      environment: { WALLET_URL: walletServer.url, PRICES: `/sendMessage=${PRICE}` }
    })
  })

  after(async () => {
    await node?.remove()
    await walletServer?.stop()
  })

  it('is paid by AuthFetch of itself, once, and taken by the wallet of the node', async () => {
    const wallet = new PayingWallet(alice)
    const answer = await new AuthFetch(wallet).fetch(`${node.url}/sendMessage`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body)
    })
    expect(answer.status).to.equal(200)
    expect(await answer.json()).to.include({ status: 'success' })
    expect(answer.headers.get('x-bsv-payment-satoshis-paid')).to.equal(String(PRICE))
    expect(wallet.made).to.have.length(1)
    await until(() => walletServer.wallet.taken.size === 1)
    expect([...walletServer.wallet.taken]).to.deep.equal([[`${wallet.made[0]}.0`, PRICE]])
  })
})
