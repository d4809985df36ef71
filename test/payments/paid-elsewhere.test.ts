import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { identityKeyBytes } from '../../src/keys/identity-key.js'
import { signPortably } from '../../src/keys/portable-signature.js'
import { signedMessageText } from '../../src/message.js'
import { inspect } from '../support/advertised.js'
import { TestUser } from '../support/client.js'
import {
  authorizeRouting,
  authorizeSending,
  listMessages,
  startMesh,
  type TestNode,
  until
} from '../support/nodes.js'
import { PayingWallet } from '../support/paying-wallet.js'
import { makePayment } from '../support/payments.js'

/** In the box `notifications`, where nobody has said anything else. */
const FEE = 10

describe('payments of messages to other nodes', () => {
  let near: TestNode
  let far: TestNode
  const alice = new TestUser('alice pays far away')
  const bob = new TestUser('bob is paid far away')
  const wallet = new PayingWallet(alice)

  before(async () => {
    const nodes = await startMesh(['pays', 'is paid'])
    near = nodes[0]!
    far = nodes[1]!
    await authorizeRouting(bob, far)
    await authorizeSending(alice, near)
    await until(
      async () => (await send({ messageBox: 'probes' })).delivery,
      delivery => delivery === 'forwarding'
    )
  })

  after(async () => {
    await near?.remove()
    await far?.remove()
  })

  const send = async (message: object, payment?: unknown) => {
    const whole = { recipient: bob.identityKey, messageBox: 'notifications', body: 'pay me', ...message }
    const answer = await alice.post(near.url, '/sendMessage', { message: whole, payment })
    expect(answer.status).to.equal(200)
    return (answer.json.results as { delivery: string }[])[0]!
  }
  const to = (user: TestUser, satoshis = FEE) => ({ payee: user.identityKey, satoshis, forAnyone: true })
  const received = (messageBox = 'notifications') => listMessages(bob, far, messageBox)
  const reportOf = async (messageId: string) => {
    const reports = await until(
      async () => (await listMessages(alice, near, 'delivery_reports')).map(({ body }) => JSON.parse(body)),
      all => all.some(report => report.messageId === messageId)
    )
    return reports.find(report => report.messageId === messageId)
  }

  it('travel with the message, and are checked where it goes', async () => {
    const payment = await makePayment(wallet, [to(bob)])
    expect((await send({ messageId: 'paid' }, payment)).delivery).to.equal('forwarding')
    const [message] = await until(received, messages => messages.length === 1)
    expect(JSON.parse(message!.body)).to.deep.equal({ message: 'pay me', payment })
    await send({ messageId: 'paid again', body: 'with the same coins' }, payment)
    expect(await reportOf('paid again')).to.include({ state: 'refused', code: 'ERR_PAYMENT_REPLAYED' })
    expect(await received()).to.have.length(1)
  })

  it('are missed where they are due, and the sender is told', async () => {
    await send({ messageId: 'unpaid', body: 'for nothing' })
    expect(await reportOf('unpaid')).to.include({ state: 'refused', code: 'ERR_MISSING_PAYMENT_TX' })
    await send({ messageId: 'short', body: 'for little' }, await makePayment(wallet, [to(bob, FEE - 1)]))
    expect(await reportOf('short')).to.include({ code: 'ERR_INSUFFICIENT_RECIPIENT_PAYMENT' })
    await send({ messageId: 'other', body: 'for another' }, await makePayment(wallet, [to(alice)]))
    expect(await reportOf('other')).to.include({ code: 'ERR_MISSING_RECIPIENT_OUTPUTS' })
    expect(await received()).to.have.length(1)
  })

  it('come as an object of numbers, too', async () => {
    const payment = await makePayment(wallet, [to(bob)])
    await send({ messageId: 'object', body: 'numbered' }, { ...payment, tx: { ...payment.tx } })
    const messages = await until(received, all => all.length === 2)
    expect(JSON.parse(messages[1]!.body).payment).to.deep.equal(payment)
  })

  it('are given where nothing is due', async () => {
    const payment = await makePayment(wallet, [to(bob, 1)])
    await send({ messageBox: 'gifts', body: 'a gift' }, payment)
    const [gift] = await until(
      () => received('gifts'),
      all => all.length === 1
    )
    expect(JSON.parse(gift!.body)).to.deep.equal({ message: 'a gift', payment })
  })

  it('pass from a sealed message to a better proven one of the same sender, and to nobody else', async () => {
    const [carol, dave] = [new TestUser('carol pays in secret'), new TestUser('dave pays nothing')]
    const payment = await makePayment(new PayingWallet(carol), [to(bob)])
    const sendAs = (user: TestUser, message: object) =>
      user.post(near.url, '/sendMessage', {
        message: { recipient: bob.identityKey, messageBox: 'notifications', ...message },
        payment
      })
    const signed = (user: TestUser, text: string) => {
      const createdAt = Date.now()
      const said = signedMessageText(bob.identityKey, 'notifications', undefined, text, createdAt)
      return { body: text, createdAt, signature: signPortably(user.keys, said) }
    }
    const paidOf = async (user: TestUser) =>
      (await received())
        .filter(({ sender }) => sender === user.identityKey)
        .map(({ body }) => JSON.parse(body))
        .map(({ message, payment: paid }) => [message === undefined ? 'sealed' : message, paid !== undefined])
    const body = JSON.stringify({ encryptedMessage: randomBytes(60).toString('base64') })
    expect((await sendAs(carol, { body })).status).to.equal(200)
    await until(
      () => paidOf(carol),
      all => all.length === 1
    )
    expect(await paidOf(carol)).to.deep.equal([[body, true]])
    expect((await sendAs(dave, signed(dave, 'stolen'))).status).to.equal(200)
    expect((await sendAs(carol, signed(carol, 'proven'))).status).to.equal(200)
    await until(
      () => paidOf(carol),
      all => all.length === 2
    )
    expect(await paidOf(carol)).to.deep.equal([
      ['sealed', false],
      ['proven', true]
    ])
    expect(await paidOf(dave)).to.deep.equal([])
    const rows = await inspect<{ bytes: number; sealed: number; really: number; reallySealed: number }>(
      far,
      `select r.byte_count as bytes, r.sealed_bytes as sealed,
        coalesce(sum(m.bytes) filter (where m.origin <> 'sealed'), 0)::bigint as really,
        coalesce(sum(m.bytes) filter (where m.origin = 'sealed'), 0)::bigint as "reallySealed"
      from recipients r join messages m on m.recipient_id = r.id where r.identity_key = $1::bytea
      group by r.id`,
      identityKeyBytes(bob.identityKey)
    )
    expect(rows[0]!.bytes).to.equal(rows[0]!.really)
    expect(rows[0]!.sealed).to.equal(rows[0]!.reallySealed)
  })
})
