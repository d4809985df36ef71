import { AuthFetch } from '@bsv/sdk'
import { expect } from 'chai'
import { type Answer, TestUser } from '../support/client.js'
import { listMessages, startTestNode, type TestNode, until } from '../support/nodes.js'
import { PayingWallet, startWalletServer, type WalletServer } from '../support/paying-wallet.js'
import { paymentHeader } from '../support/payments.js'
import { silently } from '../support/silently.js'

const PRICE = 77

describe('a call with a price (BRC-105)', () => {
  let walletServer: WalletServer
  let node: TestNode
  const bob = new TestUser('brc105 bob')
  const alice = new TestUser('brc105 alice')
  const wallet = new PayingWallet(alice)

  before(async () => {
    walletServer = await startWalletServer(new TestUser('node priced'))
    node = await startTestNode('priced', {
      environment: { WALLET_URL: walletServer.url, PRICES: `/sendMessage=${PRICE}, /propagateMessage=5` }
    })
  })

  after(async () => {
    await node?.remove()
    await walletServer?.stop()
  })

  const message = (text: string) => ({
    message: { recipient: bob.identityKey, messageBox: 'inbox', body: text }
  })
  const send = (text: string, header?: string, user = alice): Promise<Answer> =>
    user.post(
      node.url,
      '/sendMessage',
      message(text),
      header === undefined ? {} : { 'x-bsv-payment': header }
    )
  const prefixFor = async (user = alice): Promise<string> =>
    String((await send('?', undefined, user)).headers['x-bsv-payment-derivation-prefix'])
  const pay = async (satoshis = PRICE) => paymentHeader(wallet, node.identityKey, await prefixFor(), satoshis)
  const bodies = async () => (await listMessages(bob, node, 'inbox')).map(({ body }) => body)
  const taken = (count: number) =>
    until(
      async () => walletServer.wallet.taken.size,
      size => size === count
    )

  it('is paid by AuthFetch of itself, once, and taken by the wallet of the node', async () => {
    const before = walletServer.wallet.taken.size
    const answer = await silently(() =>
      new AuthFetch(wallet).fetch(`${node.url}/sendMessage`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(message('paid by AuthFetch'))
      })
    )
    expect(answer.status).to.equal(200)
    expect(await answer.json()).to.include({ status: 'success' })
    expect(answer.headers.get('x-bsv-payment-satoshis-paid')).to.equal(String(PRICE))
    expect(wallet.made).to.have.length(1)
    await taken(before + 1)
    expect(walletServer.wallet.taken.get(`${wallet.made[0]}.0`)).to.equal(PRICE)
    const rows = await node.databases.database.query({ name: 'left', text: 'select from node_payments' })
    expect(rows).to.have.length(0)
  })

  it('is asked for with a signed 402, and stores nothing', async () => {
    const answer = await send('unpaid')
    expect(answer.status).to.equal(402)
    expect(answer.signature).to.equal('valid')
    expect(answer.json).to.include({ status: 'error', code: 'ERR_PAYMENT_REQUIRED', satoshisRequired: PRICE })
    expect(answer.headers).to.include({
      'x-bsv-payment-version': '1.0',
      'x-bsv-payment-satoshis-required': String(PRICE)
    })
    expect(await bodies()).not.to.include('unpaid')
  })

  it('is asked of other hosts too', async () => {
    const answer = await new TestUser('some host').post(node.url, '/propagateMessage', {})
    expect(answer.status).to.equal(402)
    expect(answer.json).to.include({ satoshisRequired: 5 })
  })

  it('is told in the node document', async () => {
    const answer = await fetch(`${node.url}/.well-known/peerserv`)
    const { fees } = (await answer.json()) as { fees: { calls: object } }
    expect(fees.calls).to.deep.equal({ '/sendMessage': PRICE, '/propagateMessage': 5 })
  })

  it('costs nothing where it has none', async () => {
    expect((await alice.post(node.url, '/listMessages', { messageBox: 'inbox' })).status).to.equal(200)
  })

  it('is carried out once for a payment, however often the same request comes', async () => {
    const before = walletServer.wallet.taken.size
    const header = await pay()
    const answers = await Promise.all([1, 2, 3, 4].map(() => send('once', header)))
    answers.push(await send('once', header))
    for (const answer of answers) {
      expect(answer.status).to.equal(200)
      expect(answer.signature).to.equal('valid')
      expect(answer.json).to.deep.equal(answers[0]!.json)
      expect(answer.headers['x-bsv-payment-satoshis-paid']).to.equal(String(PRICE))
    }
    expect((await bodies()).filter(body => body === 'once')).to.have.length(1)
    await taken(before + 1)
  })

  it('remembers an answer that says no, too', async () => {
    const header = await pay()
    const refused = await alice.post(node.url, '/sendMessage', { message: 5 }, { 'x-bsv-payment': header })
    expect(refused.json).to.include({ code: 'ERR_INVALID_MESSAGE' })
    const again = await alice.post(node.url, '/sendMessage', { message: 5 }, { 'x-bsv-payment': header })
    expect(again.status).to.equal(400)
    expect(again.json).to.deep.equal(refused.json)
  })

  it('takes one payment for one request only', async () => {
    const header = await pay()
    expect((await send('first', header)).status).to.equal(200)
    const second = await send('second', header)
    expect(second.status).to.equal(400)
    expect(second.json).to.include({ code: 'ERR_PAYMENT_FAILED' })
    expect(await bodies()).not.to.include('second')
  })

  it('waits for a wallet that is away, and loses nothing', async () => {
    const before = walletServer.wallet.taken.size
    const { internalized } = walletServer.wallet
    walletServer.wallet.fault = new Error('locked')
    expect((await send('while the wallet is away', await pay())).status).to.equal(200)
    await until(
      async () => walletServer.wallet.internalized,
      count => count > internalized
    )
    walletServer.wallet.fault = undefined
    await taken(before + 1)
  })

  const stranger = new TestUser('brc105 stranger')
  const refused: [what: string, code: string, header: () => Promise<string>][] = [
    ['no JSON', 'ERR_MALFORMED_PAYMENT', async () => 'pay'],
    ['JSON that is no object', 'ERR_MALFORMED_PAYMENT', async () => 'null'],
    ['an object without members', 'ERR_MALFORMED_PAYMENT', async () => '{}'],
    ['too few satoshis', 'ERR_PAYMENT_FAILED', () => pay(PRICE - 1)],
    [
      'a prefix that it made up',
      'ERR_INVALID_DERIVATION_PREFIX',
      () => paymentHeader(wallet, node.identityKey, Buffer.alloc(48, 7).toString('base64'), PRICE)
    ],
    [
      'the prefix of another payer',
      'ERR_INVALID_DERIVATION_PREFIX',
      async () => paymentHeader(wallet, node.identityKey, await prefixFor(stranger), PRICE)
    ],
    [
      'the prefix of another call',
      'ERR_INVALID_DERIVATION_PREFIX',
      async () => {
        const asked = await alice.post(node.url, '/propagateMessage', {})
        const prefix = String(asked.headers['x-bsv-payment-derivation-prefix'])
        return paymentHeader(wallet, node.identityKey, prefix, PRICE)
      }
    ],
    [
      'a payment to somebody else',
      'ERR_PAYMENT_FAILED',
      async () => paymentHeader(wallet, bob.identityKey, await prefixFor(), PRICE)
    ],
    [
      "somebody else's payment to the node",
      'ERR_PAYMENT_FAILED',
      async () => paymentHeader(new PayingWallet(stranger), node.identityKey, await prefixFor(), PRICE)
    ],
    [
      'a transaction that is no BEEF',
      'ERR_PAYMENT_FAILED',
      async () => JSON.stringify({ ...JSON.parse(await pay()), transaction: 'AAAA' })
    ],
    [
      'a signature that is wrong',
      'ERR_PAYMENT_FAILED',
      async () => {
        const header = JSON.parse(await pay())
        const beef = Buffer.from(header.transaction, 'base64')
        // The sequence of the input stands behind its script, and is signed. The id changes with it.
        const at = beef.lastIndexOf(Buffer.from('ffffffff', 'hex'))
        beef[at] = 0
        return JSON.stringify({ ...header, transaction: beef.subarray(36).toString('base64') })
      }
    ]
  ]
  for (const [what, code, header] of refused) {
    it(`refuses ${what}, and never asks again for money`, async () => {
      const answer = await send(`refused: ${what}`, await header())
      expect(answer.json).to.include({ code })
      expect(answer.status).to.equal(400)
      expect(answer.signature).to.equal('valid')
      expect(await bodies()).not.to.include(`refused: ${what}`)
    })
  }

  it('says so where a payment does not fit into the headers', async () => {
    const answer = await send('long', 'x'.repeat(70_000))
    expect(answer.status).to.equal(431)
    expect(answer.json).to.include({ code: 'ERR_HEADERS_TOO_LARGE' })
  })
})

describe('prices that make no sense', () => {
  it('are refused where nothing could take them, or the call is none', async () => {
    expect(await failure(startTestNode('no wallet', { environment: { PRICES: '/sendMessage=1' } }))).to.match(
      /PRICES is set, and WALLET_URL is not/
    )
    const server = await startWalletServer(new TestUser('node odd prices'))
    const environment = { WALLET_URL: server.url, PRICES: '/lookup=1' }
    expect(await failure(startTestNode('odd prices', { environment }))).to.match(/PRICES names \/lookup/)
    const stranger = { WALLET_URL: server.url }
    expect(await failure(startTestNode('other key', { environment: stranger }))).to.match(
      /this wallet has the key/
    )
    await server.stop()
  })
})

async function failure(start: Promise<TestNode>): Promise<string> {
  return start.then(
    () => 'started',
    error => String(error)
  )
}
