import { expect } from 'chai'
import { TestUser } from '../support/client.js'
import { authorizeRouting, startMesh, type TestNode, until } from '../support/nodes.js'
import { build, CREATED_AT, messageText, type Recipe } from '../support/origin-messages.js'
import { OriginNode } from '../support/origin-node.js'
import { DAY, NOW, privateKey, recipient, seededBase64, TIME_TO_LIVE } from '../support/origin-parties.js'

/** The three fail today; the first two belong into origin-sealed.test.ts, the third into origin-chain.test.ts. */
describe('sealed messages that somebody else sent first', () => {
  let node: OriginNode
  const bob = new TestUser(privateKey(recipient))
  before(async () => {
    node = await OriginNode.start('sealed first')
  })
  after(() => node?.remove())

  const success = [{ recipient: bob.identityKey, status: 'success' }]
  function sealedIn(messageBox: string): Recipe {
    const ciphertext = seededBase64(messageBox, 60)
    return {
      label: messageBox,
      messageBox,
      ciphertext,
      body: JSON.stringify({ encryptedMessage: ciphertext })
    }
  }
  /** By whoever saw the ciphertext: spelled otherwise, under another id, and said to expire in five seconds. */
  const spoiled = (recipe: Recipe): Recipe => ({
    ...recipe,
    label: `${recipe.label} spoiled`,
    body: ` ${String(recipe.body)}`,
    messageId: 'evil',
    forged: true,
    wire: body => ({ ...body, firstSeen: NOW - TIME_TO_LIVE + 5_000 })
  })

  it('give way to a better proof with their words, their id and their time', async () => {
    const recipe = sealedIn('spoiled')
    expect(await node.resultsOf(build(spoiled(recipe)).body)).to.deep.equal(success)
    const genuine = build({ ...recipe, signed: true })
    expect(await node.resultsOf(genuine.body)).to.deep.equal(success)
    const [message] = await node.list(bob, 'spoiled')
    expect(message).to.include({ origin: 'signature', body: recipe.body, messageId: 'id' })
    const { messageId, createdAt } = message!.proof!
    // The recipient can check the signature himself.
    expect(messageText(bob.identityKey, 'spoiled', messageId, message!.body, createdAt)).to.equal(
      genuine.values.recipients![0]!.signedText
    )
    const [row] = await node.query<{ expires_at: number }>(
      `select m.expires_at from messages m join message_boxes b on b.id = m.box_id where b.name = 'spoiled'`
    )
    expect(row!.expires_at).to.equal(CREATED_AT + TIME_TO_LIVE)
  })

  it('do not keep the genuine message away after they have expired', async () => {
    const recipe = sealedIn('expired')
    expect(await node.resultsOf(build(spoiled(recipe)).body)).to.deep.equal(success)
    await node.query('select prune_message_boxes($1::bigint, 1000, 86400000)', [NOW + 6_000])
    expect(await node.list(bob, 'expired')).to.deep.equal([])
    expect(await node.resultsOf(build({ ...recipe, attested: true }).body)).to.deep.equal(success)
    expect((await node.list(bob, 'expired')).map(({ origin }) => origin)).to.deep.equal(['home-host'])
  })
})

describe('a sealed message under an authorization that is void', () => {
  let [one, two]: TestNode[] = []
  before(async function () {
    this.timeout(60_000)
    ;[one, two] = await startMesh(['void one', 'void two'])
  })
  after(() => Promise.all([one, two].map(node => node?.remove())))

  it('is as good as any sealed message', async () => {
    const [alice, bob, forwarding] = ['alice', 'bob', 'host'].map(
      name => new TestUser(`${name} of void`)
    ) as [TestUser, TestUser, TestUser]
    await authorizeRouting(bob, two!)
    await authorizeRouting(alice, one!)
    const known = (hosts: number) =>
      until(
        () =>
          two!.databases.database.query({ name: '', text: 'select from live_hosts($1)' }, [
            Buffer.from(alice.identityKey, 'hex')
          ]),
        found => found.length === hosts
      )
    await known(1)
    await alice.post(one!.url, '/revokeRouting', {})
    await known(0)
    const given = Date.now() - DAY
    const ciphertext = seededBase64('void', 60)
    const { body } = build({
      sender: alice.keys,
      host: new TestUser('node void one').keys,
      recipients: [bob.keys],
      ciphertext,
      body: JSON.stringify({ encryptedMessage: ciphertext }),
      attested: true,
      authorization: { given, expires: given + 30 * DAY },
      attestation: { receivedAt: Date.now() }
    })
    const answer = await forwarding.post(two!.url, '/propagateMessage', body)
    expect(answer.json.results).to.deep.equal([{ recipient: bob.identityKey, status: 'success' }])
  })
})
