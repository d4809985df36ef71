import { expect } from 'chai'
import { LiveUser } from '../support/live-client.js'
import { standInForLocalHost } from '../support/local-overlay.js'
import { startTestNode, type TestNode, until } from '../support/nodes.js'

describe('the stock client sends and hears live', () => {
  let node: TestNode
  let putBack: () => void
  let open: LiveUser[] = []
  before(async () => {
    node = await startTestNode('stock live')
    putBack = await standInForLocalHost(node.url)
  })
  after(async () => {
    putBack()
    await node.remove()
  })
  afterEach(async () => {
    for (const user of open) await user.close()
    open = []
  })

  let names = 0
  function newUser(): LiveUser {
    const user = new LiveUser(`stock live ${names++}`, node.url)
    open.push(user)
    return user
  }

  it('in rooms that it joins and leaves', async () => {
    const alice = newUser()
    const room = `${alice.user.identityKey}-inbox`
    await alice.client.initializeConnection()
    await alice.client.joinRoom('inbox')
    expect([...alice.client.getJoinedRooms()]).to.deep.equal([room])
    await alice.client.joinRoom('inbox')
    expect(alice.client.getJoinedRooms().size).to.equal(1)
    await alice.client.leaveRoom('inbox')
    expect(alice.client.getJoinedRooms().size).to.equal(0)
  })

  it('objects and text, encrypted and not, with who sent them', async () => {
    const [alice, bob] = [newUser(), newUser()]
    await bob.listen('inbox')
    const { identityKey: recipient } = bob.user
    const say = (body: string | object, skipEncryption: boolean) =>
      alice.client.sendLiveMessage({ recipient, messageBox: 'inbox', body, skipEncryption })
    const sent = [await say('sealed', false), await say({ deep: [1] }, false), await say('open', true)]
    for (const { status } of sent) expect(status).to.equal('success')
    await bob.hears(3)
    expect(bob.heard.map(({ messageId }) => messageId)).to.deep.equal(sent.map(({ messageId }) => messageId))
    expect(bob.heard.map(({ sender }) => sender)).to.deep.equal(Array(3).fill(alice.user.identityKey))
    // Live, the client parses nothing that it has decrypted.
    expect(bob.heard.map(({ body }) => body)).to.deep.equal(['sealed', '{"deep":[1]}', 'open'])
  })

  it('what stays in the box until it is acknowledged', async () => {
    const [alice, bob] = [newUser(), newUser()]
    await bob.listen('inbox')
    await alice.send(bob.user, 'inbox', 'kept')
    await bob.hears(1)
    const [message] = await bob.client.listMessages({ messageBox: 'inbox' })
    expect(message).to.deep.include({ messageId: bob.heard[0]!.messageId, body: 'kept' })
    await bob.client.acknowledgeMessage({ messageIds: [message!.messageId] })
    expect(await bob.client.listMessages({ messageBox: 'inbox' })).to.deep.equal([])
  })

  it('again after it has come back, without joining anew', async () => {
    const [alice, bob] = [newUser(), newUser()]
    await bob.listen('inbox')
    await bob.close()
    await bob.listen('inbox')
    await alice.send(bob.user, 'inbox', 'back again')
    expect(await bob.hears(1)).to.include('back again')
  })

  it('over HTTP instead when a socket brings a refusal, and then throws', async () => {
    const alice = newUser()
    await alice.client.initializeConnection()
    const error = await alice.client
      .sendLiveMessage({ recipient: alice.user.identityKey, messageBox: 'delivery_reports', body: 'x' })
      .then(
        () => undefined,
        (reason: unknown) => reason
      )
    expect(String(error)).to.contain('HTTP 403')
  })

  it('to somebody who listens to two boxes at once', async () => {
    const [alice, bob] = [newUser(), newUser()]
    const others: unknown[] = []
    await bob.listen('inbox')
    await bob.client.listenForLiveMessages({
      messageBox: 'a-b',
      onMessage: ({ body }) => others.push(body)
    })
    await alice.send(bob.user, 'a-b', 'second')
    await alice.send(bob.user, 'inbox', 'first')
    expect(await bob.hears(1)).to.deep.equal(['first'])
    await until(
      async () => others.length,
      length => length > 0
    )
    expect(others).to.deep.equal(['second'])
  })
})
