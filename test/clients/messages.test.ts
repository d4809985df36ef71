import { MessageBoxClient } from '@bsv/message-box-client'
import { expect } from 'chai'
import { TestUser } from '../support/client.js'
import { standInForLocalHost } from '../support/local-overlay.js'
import { authorizeRouting, startMesh, type TestNode, until } from '../support/nodes.js'
import { stockWallet } from '../support/stock-client.js'

describe('the stock client sends and reads messages', () => {
  let node: TestNode
  let other: TestNode
  let putBack: () => void
  before(async () => {
    ;[node, other] = (await startMesh(['stock messages', 'other stock messages'])) as [TestNode, TestNode]
    putBack = await standInForLocalHost(node.url)
  })
  after(async () => {
    putBack()
    await Promise.all([node, other].map(each => each.remove()))
  })

  interface StockUser {
    readonly user: TestUser
    readonly key: string
    readonly client: MessageBoxClient
  }
  let names = 0
  function newUser(host = node.url): StockUser {
    const user = new TestUser(`stock messages ${names++}`)
    const client = new MessageBoxClient({ walletClient: stockWallet(user), host, networkPreset: 'local' })
    return { user, key: user.identityKey, client }
  }
  const bodies = async ({ client }: StockUser, messageBox = 'inbox', host?: string) =>
    (await client.listMessages({ messageBox, ...(host && { host }) })).map(({ body }) => body)
  /** What the node shows, unread by the client. */
  const shown = async ({ user }: StockUser, messageBox = 'inbox') =>
    (await user.post(node.url, '/listMessages', { messageBox })).json.messages as {
      body: string
      messageId: string
    }[]
  const failure = (sending: Promise<unknown>): Promise<string> =>
    sending.then(
      () => 'no failure',
      (error: unknown) => String(error)
    )

  it('encrypted, which only the recipient reads', async () => {
    const [alice, bob] = [newUser(), newUser()]
    const sent = await alice.client.sendMessage({
      recipient: bob.key,
      messageBox: 'inbox',
      body: 'for you only'
    })
    expect(sent).to.include({ status: 'success' })
    const [stored] = await shown(bob)
    expect(Object.keys(JSON.parse(stored!.body))).to.deep.equal(['encryptedMessage'])
    const [message, ...others] = await bob.client.listMessages({ messageBox: 'inbox' })
    expect(others).to.deep.equal([])
    expect(message).to.deep.include({ body: 'for you only', sender: alice.key, messageId: sent.messageId })
    expect(message!.created_at).to.match(/^\d{4}-\d\d-\d\dT/)
    expect(message).to.have.property('updated_at')
  })

  it('to himself', async () => {
    const alice = newUser()
    await alice.client.sendMessage({
      recipient: alice.key,
      messageBox: 'notes',
      body: { remember: ['milk'] }
    })
    expect(await bodies(alice, 'notes')).to.deep.equal([{ remember: ['milk'] }])
  })

  it('in plain text, and reads what was meant, whatever it looks like', async () => {
    const [alice, bob] = [newUser(), newUser()]
    const sent = [
      'plain',
      { a: 1 },
      '[1,2]',
      '{"message":"hi","extra":9}',
      { message: { deeper: true } },
      'é日本😀'
    ]
    for (const body of sent) {
      await alice.client.sendMessage({ recipient: bob.key, messageBox: 'inbox', body, skipEncryption: true })
    }
    expect(await bodies(bob)).to.deep.equal([
      'plain',
      { a: 1 },
      [1, 2],
      { message: 'hi', extra: 9 },
      { message: { deeper: true } },
      'é日本😀'
    ])
  })

  it('with all fields that it reads, without payments and lite, too', async () => {
    const [alice, bob] = [newUser(), newUser()]
    await alice.client.sendMessage({ recipient: bob.key, messageBox: 'inbox', body: 'lite' })
    for (const list of [
      bob.client.listMessagesLite({ messageBox: 'inbox', host: node.url }),
      bob.client.listMessages({ messageBox: 'inbox', acceptPayments: false })
    ]) {
      expect((await list)[0]).to.deep.include({ body: 'lite', sender: alice.key })
    }
  })

  it('and finds an empty box empty', async () => {
    expect(await bodies(newUser(), 'nobody ever wrote here')).to.deep.equal([])
  })

  it('and acknowledges them, several at once, and again without harm', async () => {
    const [alice, bob] = [newUser(), newUser()]
    for (const body of ['1', '2', '3']) {
      await alice.client.sendMessage({ recipient: bob.key, messageBox: 'inbox', body })
    }
    const [first, ...rest] = (await bob.client.listMessages({ messageBox: 'inbox' })).map(
      ({ messageId }) => messageId
    )
    expect(await bob.client.acknowledgeMessage({ messageIds: [first!] })).to.equal('success')
    expect(await bodies(bob)).to.deep.equal([2, 3])
    expect(await bob.client.acknowledgeMessage({ messageIds: rest })).to.equal('success')
    expect(await bodies(bob)).to.deep.equal([])
    // Deployed servers answer 400 here, at which the client throws.
    expect(await bob.client.acknowledgeMessage({ messageIds: rest })).to.equal('success')
    expect(await bob.client.acknowledgeMessage({ messageIds: ['never seen'] })).to.equal('success')
  })

  it('with ids of his own, and once when the same one comes again', async () => {
    const [alice, bob] = [newUser(), newUser()]
    for (let i = 0; i < 2; i++) {
      const message = { recipient: bob.key, messageBox: 'inbox', body: 'ok', messageId: 'mine' }
      expect(await alice.client.sendMessage(message)).to.include({ status: 'success', messageId: 'mine' })
    }
    // Without an id the client hashes the text, so that this is one message as well.
    for (let i = 0; i < 2; i++) {
      await alice.client.sendMessage({ recipient: bob.key, messageBox: 'inbox', body: 'ok' })
    }
    expect(await shown(bob)).to.have.lengthOf(2)
  })

  it('to several, in the form of its batch: one body, an id for each, an empty payment', async () => {
    const [alice, ...others] = [newUser(), newUser(), newUser(), newUser()]
    const recipients = others.map(({ key }) => key)
    const messageId = recipients.map((_, i) => `batch ${i}`)
    const answer = await alice.user.post(node.url, '/sendMessage', {
      message: { recipients, messageBox: 'inbox', messageId, body: 'to all' },
      payment: { tx: [], outputs: [], description: 'nothing is due' }
    })
    expect(answer.status, answer.body.toString()).to.equal(200)
    const results = answer.json.results as { recipient: string; messageId: string }[]
    expect(results.map(result => result.recipient)).to.deep.equal(recipients)
    expect(results.map(result => result.messageId)).to.deep.equal(messageId)
    for (const [i, each] of others.entries()) {
      const [message] = await each.client.listMessages({ messageBox: 'inbox' })
      expect(message).to.deep.include({ body: 'to all', sender: alice!.key, messageId: messageId[i] })
    }
  })

  it('with a payment that nobody asked for, in a form that nobody knows', async () => {
    const [alice, bob] = [newUser(), newUser()]
    const answer = await alice.user.post(node.url, '/sendMessage', {
      message: { recipient: bob.key, messageBox: 'inbox', messageId: '1', body: 'paid' },
      payment: { derivationPrefix: 'a', derivationSuffix: 'b', transaction: 'c' }
    })
    expect(answer.status, answer.body.toString()).to.equal(200)
    expect(await bodies(bob)).to.deep.equal(['paid'])
  })

  it('and is told what a node refuses', async () => {
    const alice = newUser()
    const send = (recipient: string, body: string, messageBox = 'inbox') =>
      alice.client.sendMessage({ recipient, messageBox, body, skipEncryption: true, messageId: 'any' })
    expect(
      await failure(alice.client.sendMessage({ recipient: 'nobody', messageBox: 'inbox', body: 'x' }))
    ).to.match(/Failed|Invalid|Point/)
    expect(await failure(send(alice.key, 'x', ' blank '))).to.contain('HTTP 400')
    expect(await failure(send(alice.key, 'x', 'delivery_reports'))).to.contain('HTTP 403')
    expect(await failure(send(alice.key, ' '))).to.contain('must have a body')
    const limit = node.node.context.config.limits.messageBodyBytes
    expect(await failure(send(alice.key, 'x'.repeat(limit + 1)))).to.contain('HTTP 413')
    expect(await bodies(alice)).to.deep.equal([])
  })

  it('at a host that was given with a slash at its end', async () => {
    const alice = newUser(`${node.url}/`)
    await alice.client.sendMessage({ recipient: alice.key, messageBox: 'inbox', body: 'slash' })
    expect(await bodies(alice)).to.deep.equal(['slash'])
  })

  it('to somebody on another node, whose host it need not know', async () => {
    const [alice, bob] = [newUser(), newUser(other.url)]
    await authorizeRouting(bob.user, other)
    await until(
      () =>
        alice.user.post(node.url, '/sendMessage', {
          message: { recipient: bob.key, messageBox: 'ready', body: '{"encryptedMessage":"x"}' }
        }),
      ({ json }) => json.code === 'ERR_ORIGIN_UNPROVABLE'
    )
    const sent = await alice.client.sendMessage({ recipient: bob.key, messageBox: 'inbox', body: 'far away' })
    const received = await until(
      () => bodies(bob, 'inbox', other.url),
      found => found.length > 0
    )
    expect(received).to.deep.equal(['far away'])
    expect(
      await bob.client.acknowledgeMessage({ messageIds: [String(sent.messageId)], host: other.url })
    ).to.equal('success')
    expect(await bodies(bob, 'inbox', other.url)).to.deep.equal([])
  })
})
