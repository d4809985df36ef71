import { expect } from 'chai'
import { signPortably } from '../../src/keys/portable-signature.js'
import { permissionText, RULES_AT_MOST } from '../../src/permissions/rule.js'
import { statement } from '../../src/storage/database.js'
import { type Answer, TestUser } from '../support/client.js'
import { type MessageBoxNode, startMessageBoxNode } from '../support/message-box-node.js'
import { PayingWallet } from '../support/paying-wallet.js'
import { makePayment } from '../support/payments.js'

type Rule = Record<string, unknown>

describe('permissions at one node', () => {
  let node: MessageBoxNode
  let users = 0
  const newUser = () => new TestUser(`user ${users++} of permissions`)

  before(async () => {
    node = await startMessageBoxNode()
  })
  after(() => node?.stop())

  async function set(user: TestUser, rule: Rule): Promise<void> {
    const answer = await user.post(node.url, '/permissions/set', rule)
    expect(answer.status, answer.body.toString()).to.equal(200)
    expect(answer.json).to.include({ status: 'success' }).and.to.have.property('description')
  }
  const send = (from: TestUser, to: TestUser | TestUser[], messageBox = 'inbox', more: object = {}) =>
    from.post(node.url, '/sendMessage', {
      message: {
        recipient: Array.isArray(to) ? to.map(user => user.identityKey) : to.identityKey,
        messageBox,
        body: 'x'
      },
      ...more
    })
  const count = async (user: TestUser, messageBox = 'inbox') =>
    ((await user.post(node.url, '/listMessages', { messageBox })).json.messages as unknown[]).length
  const rules = async (user: TestUser, query = '') =>
    (await user.get(node.url, `/permissions/list${query}`)).json.permissions as Rule[]
  const refusal = ({ status, json }: Answer) => ({ status, code: json.code })

  it('lets the rule for a sender come before that for everybody, and that before the default', async () => {
    const [bob, alice, carol] = [newUser(), newUser(), newUser()]
    const quote = async (from: TestUser, messageBox = 'inbox') => {
      const query = new URLSearchParams({ recipient: bob.identityKey, messageBox })
      const { json } = await from.get(node.url, `/permissions/quote?${query}`)
      return json.quote
    }
    expect(await quote(alice)).to.deep.equal({ deliveryFee: 0, recipientFee: 0 })
    expect(await quote(alice, 'notifications')).to.deep.equal({ deliveryFee: 0, recipientFee: 10 })
    await set(bob, { messageBox: 'inbox', recipientFee: 1000 })
    await set(bob, { messageBox: 'inbox', recipientFee: -1, sender: alice.identityKey })
    await set(bob, { messageBox: 'notifications', recipientFee: 0, sender: carol.identityKey })
    expect(await quote(alice)).to.deep.equal({ deliveryFee: 0, recipientFee: -1 })
    expect(await quote(carol)).to.deep.equal({ deliveryFee: 0, recipientFee: 1000 })
    expect(await quote(carol, 'notifications')).to.deep.equal({ deliveryFee: 0, recipientFee: 0 })
    await bob.post(node.url, '/permissions/delete', { messageBox: 'inbox', sender: alice.identityKey })
    expect(await quote(alice)).to.deep.equal({ deliveryFee: 0, recipientFee: 1000 })
    await bob.post(node.url, '/permissions/delete', { messageBox: 'inbox' })
    expect(await quote(alice)).to.deep.equal({ deliveryFee: 0, recipientFee: 0 })
    expect(await rules(bob)).to.have.length(1)
  })

  it('quotes several recipients at once, with totals, and names who blocks', async () => {
    const [bob, carol, dave, alice] = [newUser(), newUser(), newUser(), newUser()]
    await set(bob, { messageBox: 'inbox', recipientFee: 7 })
    await set(carol, { messageBox: 'inbox', recipientFee: -1 })
    const query = new URLSearchParams({ messageBox: 'inbox' })
    for (const { identityKey } of [bob, carol, dave]) query.append('recipient', identityKey)
    const { json } = await alice.get(node.url, `/permissions/quote?${query}`)
    const common = { messageBox: 'inbox', deliveryFee: 0 }
    expect(json.quotesByRecipient).to.deep.equal([
      { recipient: bob.identityKey, ...common, recipientFee: 7, status: 'payment_required' },
      { recipient: carol.identityKey, ...common, recipientFee: -1, status: 'blocked' },
      { recipient: dave.identityKey, ...common, recipientFee: 0, status: 'always_allow' }
    ])
    expect(json.totals).to.deep.equal({ deliveryFees: 0, recipientFees: 7, totalForPayableRecipients: 7 })
    expect(json.blockedRecipients).to.deep.equal([carol.identityKey])
  })

  it('refuses what is blocked or unpaid for all recipients, and stores nothing', async () => {
    const [bob, carol, dave, alice] = [newUser(), newUser(), newUser(), newUser()]
    await set(bob, { messageBox: 'inbox', recipientFee: -1, sender: alice.identityKey })
    await set(carol, { messageBox: 'inbox', recipientFee: 5 })
    const blocked = await send(alice, [dave, carol, bob])
    expect(refusal(blocked)).to.deep.equal({ status: 403, code: 'ERR_DELIVERY_BLOCKED' })
    expect(blocked.json.blockedRecipients).to.deep.equal([bob.identityKey])
    const unpaid = await send(alice, [dave, carol])
    expect(refusal(unpaid)).to.deep.equal({ status: 400, code: 'ERR_MISSING_PAYMENT_TX' })
    expect(unpaid.json.recipients).to.deep.equal([{ recipient: carol.identityKey, recipientFee: 5 }])
    expect(refusal(await send(alice, dave, 'notifications'))).to.deep.equal({
      status: 400,
      code: 'ERR_MISSING_PAYMENT_TX'
    })
    expect(await Promise.all([bob, carol, dave].map(user => count(user)))).to.deep.equal([0, 0, 0])
    expect((await send(dave, bob)).status).to.equal(200)
    expect((await send(alice, bob, 'other')).status).to.equal(200)
  })

  it('holds for messages that share a statement, and only for whom it is meant', async () => {
    const [bob, carol, alice] = [newUser(), newUser(), newUser()]
    await alice.handshake(node.url)
    // The boxes are there: only then requests share a statement.
    for (const user of [bob, carol]) expect((await send(alice, user)).status).to.equal(200)
    await set(bob, { messageBox: 'inbox', recipientFee: -1 })
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => send(alice, i % 2 === 0 ? bob : carol))
    )
    const statuses = answers.map(({ status }) => status)
    expect(statuses).to.deep.equal(Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? 403 : 200)))
    expect([await count(bob), await count(carol)]).to.deep.equal([1, 21])
  })

  it('answers a retry as before, whatever the recipient says meanwhile', async () => {
    const [bob, alice] = [newUser(), newUser()]
    const message = { recipient: bob.identityKey, messageBox: 'inbox', messageId: 'once', body: 'x' }
    expect((await alice.post(node.url, '/sendMessage', { message })).status).to.equal(200)
    await set(bob, { messageBox: 'inbox', recipientFee: -1 })
    expect((await alice.post(node.url, '/sendMessage', { message })).status).to.equal(200)
    const another = { ...message, messageId: 'another' }
    expect((await alice.post(node.url, '/sendMessage', { message: another })).status).to.equal(403)
    expect(await count(bob)).to.equal(1)
  })

  it('keeps one rule of a name however many race for it', async () => {
    const bob = newUser()
    await bob.handshake(node.url)
    await Promise.all(
      Array.from({ length: 30 }, (_, i) => set(bob, { messageBox: 'inbox', recipientFee: i }))
    )
    const [rule, ...others] = await rules(bob)
    expect(others).to.deep.equal([])
    const { json } = await bob.get(node.url, '/permissions/get?messageBox=inbox')
    expect(json.permission).to.deep.equal(rule)
  })

  it('lists pages in either order, in both spellings, with the total', async () => {
    const bob = newUser()
    for (const box of ['a', 'b', 'c']) {
      await set(bob, { messageBox: box, recipientFee: box === 'b' ? 12 : 0 })
      node.clock.forward(1)
    }
    const boxes = async (query: string) => (await rules(bob, query)).map(rule => rule.messageBox)
    expect(await boxes('')).to.deep.equal(['c', 'b', 'a'])
    expect(await boxes('?createdAtOrder=asc&limit=2')).to.deep.equal(['a', 'b'])
    expect(await boxes('?limit=2&offset=2')).to.deep.equal(['a'])
    const { json } = await bob.get(node.url, '/permissions/list?message_box=b')
    expect(json.totalCount).to.equal(1)
    const [rule] = json.permissions as [Rule]
    expect(rule).to.include({
      sender: null,
      messageBox: 'b',
      message_box: 'b',
      recipientFee: 12,
      recipient_fee: 12,
      status: 'payment_required'
    })
    expect(rule.created_at).to.equal(rule.createdAt)
    expect(rule.updated_at).to.equal(rule.updatedAt)
    expect((await bob.get(node.url, '/permissions/list?offset=5')).json).to.include({ totalCount: 3 })
  })

  it('has at most so many rules of one recipient, of which those taken back give way', async () => {
    const bob = newUser()
    await node.context.database.query(
      statement(
        'fill-permissions',
        `insert into permissions (recipient, message_box, sender, recipient_fee, set_at, created_at, updated_at)
         select $1::bytea, 'box ' || i, '', case when i > 1 then 1 end, i, i, i from generate_series(1, $2::integer) i`
      ),
      [Buffer.from(bob.identityKey, 'hex'), RULES_AT_MOST]
    )
    await bob.handshake(node.url)
    const answers = await Promise.all(
      ['x', 'y'].map(messageBox => bob.post(node.url, '/permissions/set', { messageBox, recipientFee: 1 }))
    )
    expect(answers.map(({ status }) => status)).to.have.members([200, 409])
    expect(answers.find(({ status }) => status === 409)!.json).to.include({
      code: 'ERR_TOO_MANY_PERMISSIONS'
    })
    await set(bob, { messageBox: 'box 2', recipientFee: 5 })
    await bob.post(node.url, '/permissions/delete', { messageBox: 'box 2' })
    await set(bob, { messageBox: 'z', recipientFee: 5 })
  })

  it('takes the latest of what was signed, and nothing signed by others or for later', async () => {
    const [bob, alice] = [newUser(), newUser()]
    const now = node.clock.now()
    const signed = (recipientFee: number | null, setAt: number, signer = bob) => ({
      messageBox: 'inbox',
      recipientFee,
      setAt,
      signature: signPortably(
        signer.keys,
        permissionText(bob.identityKey, { messageBox: 'inbox', sender: undefined, recipientFee, setAt })
      )
    })
    const outcome = async (path: string, body: object) => refusal(await bob.post(node.url, path, body))
    const good = { status: 200, code: undefined }
    expect(await outcome('/permissions/set', signed(5, now))).to.deep.equal(good)
    expect(await outcome('/permissions/set', signed(5, now))).to.deep.equal(good)
    const outdated = { status: 409, code: 'ERR_PERMISSION_OUTDATED' }
    expect(await outcome('/permissions/set', signed(7, now - 1))).to.deep.equal(outdated)
    expect(await outcome('/permissions/delete', signed(null, now - 1))).to.deep.equal(outdated)
    // At one time one of two holds, whichever comes first.
    expect(await outcome('/permissions/set', signed(6, now))).to.deep.equal(outdated)
    expect(await outcome('/permissions/set', signed(-1, now))).to.deep.equal(good)
    expect(await outcome('/permissions/set', signed(9, now + 1, alice))).to.deep.equal({
      status: 400,
      code: 'ERR_SIGNATURE_INVALID'
    })
    expect(await outcome('/permissions/set', { ...signed(9, now + 1), recipientFee: 8 })).to.deep.equal({
      status: 400,
      code: 'ERR_SIGNATURE_INVALID'
    })
    expect(await outcome('/permissions/set', signed(9, now + 600_001))).to.deep.equal({
      status: 400,
      code: 'ERR_INVALID_SET_AT'
    })
    expect((await rules(bob))[0]).to.include({ recipientFee: -1 })
    expect(await outcome('/permissions/delete', signed(null, now + 600_000))).to.deep.equal(good)
    expect(await rules(bob)).to.deep.equal([])
    // What he says plainly now is later than all that he signed.
    expect(await outcome('/permissions/set', { messageBox: 'inbox', recipientFee: 3 })).to.deep.equal(good)
    expect(await outcome('/permissions/set', signed(4, now + 600_000))).to.deep.equal(outdated)
    expect((await rules(bob))[0]).to.include({ recipientFee: 3 })
  })

  it('remembers whether sealed messages are taken beside the fee', async () => {
    const bob = newUser()
    await set(bob, { messageBox: 'notifications', sealed: false })
    expect((await rules(bob))[0]).to.include({ recipientFee: 10, sealed: false })
    await set(bob, { messageBox: 'notifications', recipientFee: 0 })
    expect((await rules(bob))[0]).to.include({ recipientFee: 0, sealed: false })
    await set(bob, { messageBox: 'notifications', sealed: true })
    expect((await rules(bob))[0]).to.include({ recipientFee: 0, sealed: true })
  })

  it('says what is wrong with a call', async () => {
    const bob = newUser()
    const key = newUser().identityKey
    const cases: [Rule | unknown[], string][] = [
      [{}, 'ERR_INVALID_REQUEST'],
      [[], 'ERR_INVALID_REQUEST'],
      [{ messageBox: 'inbox' }, 'ERR_INVALID_REQUEST'],
      [{ messageBox: 'inbox', recipientFee: '5' }, 'ERR_INVALID_FEE_VALUE'],
      [{ messageBox: 'inbox', recipientFee: null }, 'ERR_INVALID_FEE_VALUE'],
      [{ messageBox: 'inbox', recipientFee: 1.5 }, 'ERR_INVALID_FEE_VALUE'],
      [{ messageBox: 'inbox', recipientFee: -2 }, 'ERR_INVALID_FEE_VALUE'],
      [{ messageBox: 'inbox', recipientFee: 1e12 }, 'ERR_INVALID_FEE_VALUE'],
      [{ messageBox: ' inbox', recipientFee: 1 }, 'ERR_INVALID_MESSAGE_BOX'],
      [{ messageBox: 5, recipientFee: 1 }, 'ERR_INVALID_MESSAGE_BOX'],
      [{ messageBox: 'inbox', recipientFee: 1, sender: 'x' }, 'ERR_INVALID_PUBLIC_KEY'],
      [{ messageBox: 'inbox', sealed: 1 }, 'ERR_INVALID_REQUEST'],
      [{ messageBox: 'inbox', sealed: false, sender: key }, 'ERR_INVALID_REQUEST'],
      [{ messageBox: 'inbox', sealed: true, signature: 'x', setAt: 1 }, 'ERR_INVALID_REQUEST'],
      [{ messageBox: 'inbox', recipientFee: 1, signature: 'x' }, 'ERR_INVALID_SET_AT'],
      [{ messageBox: 'inbox', recipientFee: 1, signature: 5, setAt: 1 }, 'ERR_SIGNATURE_INVALID']
    ]
    for (const [body, code] of cases) {
      const answer = await bob.post(node.url, '/permissions/set', body)
      expect(refusal(answer), JSON.stringify(body)).to.deep.equal({ status: 400, code })
    }
    for (const [target, code] of [
      ['get', 'ERR_MISSING_PARAMETERS'],
      ['get?messageBox=inbox&sender=x', 'ERR_INVALID_PUBLIC_KEY'],
      ['get?messageBox=%00', 'ERR_INVALID_MESSAGE_BOX'],
      ['list?limit=0', 'ERR_INVALID_LIMIT'],
      ['list?limit=1001', 'ERR_INVALID_LIMIT'],
      ['list?offset=-1', 'ERR_INVALID_OFFSET'],
      ['quote?messageBox=inbox', 'ERR_MISSING_PARAMETERS'],
      [`quote?recipient=${key}`, 'ERR_MISSING_PARAMETERS'],
      ['quote?messageBox=inbox&recipient=x', 'ERR_INVALID_PUBLIC_KEY'],
      [`quote?messageBox=inbox${`&recipient=${key}`.repeat(101)}`, 'ERR_TOO_MANY_RECIPIENTS']
    ] as const) {
      const answer = await bob.get(node.url, `/permissions/${target}`)
      expect(refusal(answer), target).to.deep.equal({ status: 400, code })
    }
    expect(await rules(bob)).to.deep.equal([])
  })

  it('tells nobody but hosts what a recipient wants of others', async () => {
    const [bob, alice, carol] = [newUser(), newUser(), newUser()]
    await set(bob, { messageBox: 'inbox', recipientFee: -1, sender: alice.identityKey })
    const query = new URLSearchParams({
      recipient: bob.identityKey,
      messageBox: 'inbox',
      sender: alice.identityKey
    })
    const { json } = await carol.get(node.url, `/permissions/quote?${query}`)
    expect(json.quote).to.deep.equal({ deliveryFee: 0, recipientFee: 0 })
  })
})

describe('what is due', () => {
  let node: MessageBoxNode
  const [alice, bob, carol, dave] = ['alice', 'bob', 'carol', 'dave'].map(
    name => new TestUser(`${name} of dues`)
  ) as [TestUser, TestUser, TestUser, TestUser]
  const wallet = new PayingWallet(alice)

  before(async () => {
    node = await startMessageBoxNode({}, { deliveryFees: new Map([['priced', 3]]) })
    for (const [user, recipientFee] of [
      [bob, 5],
      [dave, 9]
    ] as const) {
      await user.post(node.url, '/permissions/set', { messageBox: 'priced', recipientFee })
    }
  })
  after(() => node?.stop())

  const send = (to: TestUser[], payment?: object, messageId?: string[]) =>
    alice.post(node.url, '/sendMessage', {
      message: { recipients: to.map(user => user.identityKey), messageBox: 'priced', body: 'x', messageId },
      payment
    })
  const toNode = (satoshis: number) => ({
    payee: node.context.keys.identityKey,
    satoshis,
    forAnyone: false
  })
  const to = (user: TestUser, satoshis: number) => ({
    payee: user.identityKey,
    satoshis,
    forAnyone: true
  })

  it('is told in the order of the request, and what is paid is stored once', async () => {
    const all = [dave, carol, bob]
    const unpaid = await send(all)
    expect(unpaid.json).to.deep.include({
      code: 'ERR_MISSING_PAYMENT_TX',
      deliveryFee: 3,
      recipients: [
        { recipient: dave.identityKey, recipientFee: 9 },
        { recipient: bob.identityKey, recipientFee: 5 }
      ]
    })
    const ids = ['1a', '2a', '3a']
    const payment = await makePayment(wallet, [toNode(3), to(dave, 9), to(bob, 5)])
    const sent = await send(all, payment, ids)
    expect(sent.status, sent.body.toString()).to.equal(200)
    // Again: nothing is due for what is there.
    expect((await send(all, payment, ids)).status).to.equal(200)
    const { json } = await bob.post(node.url, '/listMessages', { messageBox: 'priced' })
    expect(json.messages).to.have.length(1)
  })

  it('is the fee of the node where the recipient wants nothing', async () => {
    const unpaid = await send([carol])
    expect(unpaid.json).to.deep.include({ code: 'ERR_MISSING_PAYMENT_TX', deliveryFee: 3, recipients: [] })
    expect((await send([carol], await makePayment(wallet, [toNode(3)]))).status).to.equal(200)
  })

  it('is nothing to those who are blocked: that is told first', async () => {
    await carol.post(node.url, '/permissions/set', { messageBox: 'priced', recipientFee: -1 })
    const answer = await send([bob, carol])
    expect(answer.json).to.deep.include({
      code: 'ERR_DELIVERY_BLOCKED',
      blockedRecipients: [carol.identityKey]
    })
  })
})
