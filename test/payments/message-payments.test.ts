import { MessageBoxClient } from '@bsv/message-box-client'
import { expect } from 'chai'
import { type Answer, TestUser } from '../support/client.js'
import { listMessages, startTestNode, type TestNode, until } from '../support/nodes.js'
import { PayingWallet, startWalletServer, type WalletServer } from '../support/paying-wallet.js'
import { type Due, makePayment } from '../support/payments.js'

/** In the box `notifications`, where nobody has said anything else. */
const FEE = 10

describe('payments of messages', () => {
  let walletServer: WalletServer
  let node: TestNode
  const alice = new TestUser('paying alice')
  const bob = new TestUser('paid bob')
  const carol = new TestUser('paid carol')
  const wallet = new PayingWallet(alice)
  let count = 0

  before(async () => {
    walletServer = await startWalletServer(new TestUser('node paid'))
    node = await startTestNode('paid', { environment: { WALLET_URL: walletServer.url } })
  })

  after(async () => {
    await node?.remove()
    await walletServer?.stop()
  })

  const toNode = (satoshis = FEE): Due => ({ payee: node.identityKey, satoshis, forAnyone: false })
  const to = (user: TestUser, satoshis = FEE): Due => ({
    payee: user.identityKey,
    satoshis,
    forAnyone: true
  })
  const send = (
    payment: unknown,
    message: object = {},
    recipients: readonly TestUser[] = [bob]
  ): Promise<Answer> =>
    alice.post(node.url, '/sendMessage', {
      message: {
        recipients: recipients.map(({ identityKey }) => identityKey),
        messageBox: 'notifications',
        body: `notification ${++count}`,
        ...message
      },
      payment
    })
  const codeOf = async (payment: unknown): Promise<string> => {
    const answer = await send(payment)
    expect(answer.signature).to.equal('valid')
    return `${answer.status} ${answer.json.code}`
  }

  it('are stored with the message, each recipient having his outputs only, and the node takes its own', async () => {
    const payment = await makePayment(wallet, [toNode(), to(bob), to(carol, FEE + 5)])
    const answer = await send(payment, { body: 'to both' }, [bob, carol])
    expect(answer.json).to.include({ status: 'success' })
    for (const [user, outputIndex] of [
      [bob, 1],
      [carol, 2]
    ] as const) {
      const listed = (await listMessages(user, node, 'notifications')).at(-1)!
      expect(JSON.parse(listed.body)).to.deep.equal({
        message: 'to both',
        payment: { ...payment, outputs: [payment.outputs[outputIndex]] }
      })
    }
    await until(
      async () => [...walletServer.wallet.taken.values()],
      taken => taken.includes(FEE)
    )
  })

  it('are taken by the stock client of the recipient when it lists', async () => {
    const dave = new TestUser('paid dave')
    const own = new PayingWallet(dave)
    expect((await send(await makePayment(wallet, [toNode(), to(dave)]), {}, [dave])).status).to.equal(200)
    const client = new MessageBoxClient({ walletClient: own, host: node.url, networkPreset: 'local' })
    const messages = await client.listMessages({
      messageBox: 'notifications',
      host: node.url,
      acceptPayments: true
    })
    expect(messages.map(({ body }) => body)).to.deep.equal([`notification ${count}`])
    expect([...own.taken.values()]).to.deep.equal([FEE])
  })

  it('may come as an object of numbers, and their outputs in another order', async () => {
    const payment = await makePayment(wallet, [to(carol), to(bob), toNode()])
    const shuffled = { ...payment, tx: { ...payment.tx }, outputs: payment.outputs.toReversed() }
    expect((await send(shuffled, {}, [bob, carol])).json).to.include({ status: 'success' })
  })

  it('are not needed where nothing is due, whatever they are', async () => {
    const free = { messageBox: 'inbox' }
    const outputs = [{ outputIndex: 0 }]
    for (const payment of [
      { tx: [], outputs: [] },
      { outputs: [] },
      { tx: 5, outputs },
      { tx: [1, 2], outputs },
      'pay'
    ]) {
      expect((await send(payment, free)).status).to.equal(200)
    }
  })

  it('reach the recipient also where nothing is due', async () => {
    const payment = await makePayment(wallet, [to(bob, 3)])
    expect((await send(payment, { messageBox: 'gifts', body: 'a gift' })).status).to.equal(200)
    const [gift] = await listMessages(bob, node, 'gifts')
    expect(JSON.parse(gift!.body)).to.deep.include({ message: 'a gift', payment })
  })

  const refused: [what: string, answer: string, payment: () => Promise<unknown>][] = [
    ['none', '400 ERR_MISSING_PAYMENT_TX', async () => undefined],
    ['no outputs', '400 ERR_MISSING_PAYMENT_TX', async () => ({ tx: [1], outputs: [] })],
    ['no transaction', '400 ERR_MISSING_PAYMENT_TX', async () => ({ outputs: [{}] })],
    ['a text', '400 ERR_INVALID_PAYMENT', async () => 'pay'],
    ['a transaction that is none', '400 ERR_INVALID_PAYMENT', async () => broken({ tx: [1, 2, 3] })],
    ['numbers that are no bytes', '400 ERR_INVALID_PAYMENT', async () => broken({ tx: [256] })],
    [
      'derivations that are no base64',
      '400 ERR_INVALID_PAYMENT',
      async () => {
        const payment = await makePayment(wallet, [toNode(), to(bob)])
        Object.assign((payment.outputs[0] as { paymentRemittance: object }).paymentRemittance, {
          derivationPrefix: 'a b'
        })
        return payment
      }
    ],
    ['nothing for the node', '400 ERR_MISSING_DELIVERY_OUTPUT', () => makePayment(wallet, [to(bob)])],
    [
      'too little for the node',
      '400 ERR_INSUFFICIENT_PAYMENT',
      () => makePayment(wallet, [toNode(FEE - 1), to(bob)])
    ],
    ['nothing for the recipient', '400 ERR_MISSING_RECIPIENT_OUTPUTS', () => makePayment(wallet, [toNode()])],
    [
      'an output for somebody else',
      '400 ERR_MISSING_RECIPIENT_OUTPUTS',
      () => makePayment(wallet, [toNode(), to(carol)])
    ],
    [
      'too little for the recipient',
      '400 ERR_INSUFFICIENT_RECIPIENT_PAYMENT',
      () => makePayment(wallet, [toNode(), to(bob, FEE - 1)])
    ],
    [
      'the same output twice',
      '400 ERR_INVALID_PAYMENT',
      async () => {
        const payment = await makePayment(wallet, [toNode(), to(bob, FEE - 1)])
        return { ...payment, outputs: [...payment.outputs, payment.outputs[1]] }
      }
    ],
    [
      'a signature that is wrong',
      '400 ERR_INVALID_PAYMENT',
      async () => {
        const payment = await makePayment(wallet, [toNode(), to(bob)])
        const beef = Buffer.from(payment.tx)
        beef[beef.lastIndexOf(Buffer.from('ffffffff', 'hex'))] = 0
        return { ...payment, tx: [...beef.subarray(36)] }
      }
    ],
    [
      'more than it spends',
      '400 ERR_INVALID_PAYMENT',
      () => makePayment(wallet, [toNode(), to(bob, 2_000_000)])
    ]
  ]
  const broken = async (change: object) => ({
    ...(await makePayment(wallet, [toNode(), to(bob)])),
    ...change
  })
  for (const [what, answer, payment] of refused) {
    it(`are refused with ${what}`, async () => {
      const before = (await listMessages(bob, node, 'notifications')).length
      expect(await codeOf(await payment())).to.equal(answer)
      expect(await listMessages(bob, node, 'notifications')).to.have.length(before)
    })
  }

  it('are used once, whoever is first', async () => {
    const payment = await makePayment(wallet, [toNode(), to(bob)])
    const before = (await listMessages(bob, node, 'notifications')).length
    const answers = await Promise.all([1, 2, 3, 4].map(() => send(payment)))
    answers.push(await send(payment))
    expect(answers.map(({ status }) => status).sort()).to.deep.equal([200, 409, 409, 409, 409])
    expect(answers.find(({ status }) => status === 409)!.json).to.include({ code: 'ERR_PAYMENT_REPLAYED' })
    expect(await listMessages(bob, node, 'notifications')).to.have.length(before + 1)
  })

  it('are used once also where only one output is used again', async () => {
    const payment = await makePayment(wallet, [toNode(), to(bob), to(carol)])
    expect((await send({ ...payment, outputs: payment.outputs.slice(0, 2) })).status).to.equal(200)
    const again = await send(payment, {}, [carol])
    expect(again.json).to.include({ code: 'ERR_PAYMENT_REPLAYED' })
  })

  it('belong to their message: the same id again with the same payment is the same message', async () => {
    const payment = await makePayment(wallet, [toNode(), to(bob)])
    const message = { messageId: 'paid once', body: 'a retry' }
    expect((await send(payment, message)).status).to.equal(200)
    expect((await send(payment, message)).status).to.equal(200)
    const listed = await listMessages(bob, node, 'notifications')
    expect(listed.filter(({ messageId }) => messageId === 'paid once')).to.have.length(1)
  })

  it('stay used after a restart', async () => {
    const payment = await makePayment(wallet, [toNode(), to(bob)])
    expect((await send(payment)).status).to.equal(200)
    await node.stop()
    await node.restart()
    expect(await codeOf(payment)).to.equal('409 ERR_PAYMENT_REPLAYED')
  })
})
