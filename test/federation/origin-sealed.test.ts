import { expect } from 'chai'
import { TestUser } from '../support/client.js'
import { build, type Recipe } from '../support/origin-messages.js'
import { OriginNode } from '../support/origin-node.js'
import { privateKey, recipient, seededBase64, sender, thirdRecipient } from '../support/origin-parties.js'
import type { Members } from '../support/origin-requests.js'

/** Nobody knows who sent a sealed body: whoever has seen it can send it again in the name of either of the two. */
describe('sealed messages (protocol section 4, 3)', () => {
  let node: OriginNode
  const alice = new TestUser(privateKey(sender))
  const bob = new TestUser(privateKey(recipient))

  before(async function () {
    this.timeout(30_000)
    node = await OriginNode.start('sealed')
  })
  after(() => node?.remove())

  let boxes = 0
  const newBox = (): string => `sealed ${++boxes}`
  let ciphertexts = 0
  const newCiphertext = (): string => seededBase64(`ciphertext ${++ciphertexts}`, 60)

  /** From alice to bob, without any other proof. */
  function sealedIn(messageBox: string): Recipe {
    const ciphertext = newCiphertext()
    const body = JSON.stringify({ encryptedMessage: ciphertext })
    return { label: messageBox, messageBox, messageId: undefined, ciphertext, body }
  }

  const propagate = (recipe: Recipe) => node.resultsOf(build(recipe).body)
  const success = { status: 'success' }

  /** Sends it himself, through this node. */
  async function send(user: TestUser, to: TestUser, messageBox: string, body: unknown): Promise<void> {
    const message = { recipient: to.identityKey, messageBox, body }
    const { status, body: text } = await user.post(node.node.url, '/sendMessage', { message })
    expect(status, text.toString()).to.equal(200)
  }

  async function acknowledge(messageId: unknown): Promise<void> {
    const { json } = await bob.post(node.node.url, '/acknowledgeMessage', { messageIds: [messageId] })
    expect(json.acknowledged).to.equal(1)
  }

  /** What the node counts for bob's box. */
  async function counted(messageBox: string): Promise<Members> {
    const [row] = await node.query<Members>(
      `select count(*)::int as messages, coalesce(sum(m.bytes), 0)::int as bytes
       from message_boxes b join messages m on m.box_id = b.id where b.recipient = $1 and b.name = $2`,
      [Buffer.from(bob.identityKey, 'hex'), messageBox]
    )
    return row!
  }

  it('are taken once for a sender, a recipient and a box, whatever they come in', async () => {
    const messageBox = newBox()
    const recipe = sealedIn(messageBox)
    expect(await propagate(recipe)).to.deep.equal([{ recipient: bob.identityKey, ...success }])
    const rows = await node.rows()
    const again: Recipe[] = [
      { label: 'a fresh envelope' },
      { label: 'another format', format: 'authrite' },
      { label: 'another id', messageId: 'chosen' },
      { label: 'made from the public key alone', forged: true },
      { label: 'with blanks', body: ` ${String(recipe.body)}` }
    ]
    for (const change of again) {
      expect((await propagate({ ...recipe, ...change }))[0], change.label).to.include(success)
    }
    expect(await node.list(bob, messageBox)).to.have.length(1)
    expect(await node.rows()).to.deep.equal(rows)
    const other = newBox()
    await propagate({ ...recipe, messageBox: other })
    expect(await node.list(bob, other)).to.have.length(1)
    expect(await node.list(bob, messageBox)).to.have.length(1)
  })

  it('are not taken again after they were acknowledged', async () => {
    const messageBox = newBox()
    const recipe = sealedIn(messageBox)
    await propagate(recipe)
    const [message] = await node.list(bob, messageBox)
    await acknowledge(message!.messageId)
    const rows = await node.rows()
    expect((await propagate({ ...recipe, label: 'once more' }))[0]).to.include(success)
    expect(await node.list(bob, messageBox)).to.deep.equal([])
    expect(await node.rows()).to.deep.equal(rows)
  })

  for (const [origin, proof] of [
    ['home-host', { attested: true }],
    ['signature', { signed: true }]
  ] as const) {
    it(`give way to the proof ${origin} of the same ciphertext, and count once`, async () => {
      const messageBox = newBox()
      const recipe = sealedIn(messageBox)
      await propagate(recipe)
      const [rows, counters] = [await node.rows(), await counted(messageBox)]
      const better = build({ ...recipe, label: `${messageBox} better`, ...proof })
      expect((await node.resultsOf(better.body))[0]).to.include(success)
      const messages = await node.list(bob, messageBox)
      expect(messages).to.have.length(1)
      const [message] = messages
      expect(message).to.include({ origin, body: recipe.body, sender: alice.identityKey })
      expect(message!.proof !== undefined).to.equal(origin === 'signature')
      // Now it is known who sent the ciphertext.
      expect(await node.rows()).to.deep.equal({ ...rows, sent_ciphertexts: rows.sent_ciphertexts! + 1 })
      expect(await counted(messageBox)).to.deep.equal(counters)
      const envelopes = () =>
        node.query<{ id: string; holds: number; signed: string }>(
          `select encode(e.id, 'hex') as id, e.holds, encode(e.signed_bytes, 'hex') as signed
           from messages m join envelopes e on e.id = m.envelope_id
           join message_boxes b on b.id = m.box_id where b.name = $1`,
          [messageBox]
        )
      expect(await envelopes()).to.deep.equal([
        { id: better.values.envelopeId, holds: 1, signed: better.signedBytes.toString('hex') }
      ])

      await propagate({ ...recipe, label: 'worse again', forged: true })
      expect(await node.list(bob, messageBox)).to.deep.equal(messages)
      await acknowledge(message!.messageId)
      expect(await counted(messageBox)).to.deep.equal({ messages: 0, bytes: 0 })
      const left = await node.query(`select from envelopes where encode(id, 'hex') = $1`, [
        better.values.envelopeId
      ])
      expect(left).to.deep.equal([])
    })
  }

  it('give way to what the sender sends through this node himself', async () => {
    const messageBox = newBox()
    const recipe = sealedIn(messageBox)
    await propagate(recipe)
    await send(alice, bob, messageBox, recipe.body)
    expect((await node.list(bob, messageBox)).map(({ origin }) => origin)).to.deep.equal(['local'])
    const bytes = Buffer.byteLength(String(recipe.body))
    expect(await counted(messageBox)).to.deep.equal({ messages: 1, bytes })
  })

  for (const [how, first] of [
    ['sent through this node', undefined],
    ['that came with a signature', { signed: true }],
    ['that came attested', { attested: true }]
  ] as const) {
    it(`are put into no other box, and not reflected, if it is known who sent them: ${how}`, async () => {
      const messageBox = newBox()
      const recipe = sealedIn(messageBox)
      if (first === undefined) await send(alice, bob, messageBox, recipe.body)
      else expect((await propagate({ ...recipe, ...first }))[0]).to.include(success)
      const rows = await node.rows()
      const refused = (check: string, key: string) => [
        { recipient: key, status: 'error', code: 'ERR_ORIGIN_UNPROVEN', httpStatus: 403, check }
      ]
      const ways: Recipe[] = [
        { label: 'into another box', forged: true },
        { label: 'with blanks', body: `{ ${String(recipe.body).slice(1)}`, forged: true },
        { label: 'in another format', format: 'authrite', forged: true },
        { label: 'under another id', messageId: 'other', forged: true }
      ]
      for (const way of ways) {
        const result = await propagate({ ...recipe, ...way, messageBox: newBox() })
        expect(result, way.label).to.deep.equal(refused('boxed-again', bob.identityKey))
      }
      const reflected: Recipe = { ...recipe, sender: recipient, recipients: [sender], forged: true }
      for (const box of [messageBox, newBox()]) {
        const result = await propagate({ ...reflected, label: `reflected ${box}`, messageBox: box })
        expect(result).to.deep.equal(refused('reflected', alice.identityKey))
      }
      const [message] = await node.list(bob, messageBox)
      await acknowledge(message!.messageId)
      const late = await propagate({ ...recipe, label: 'later', messageBox: newBox(), forged: true })
      expect(late).to.deep.equal(refused('boxed-again', bob.identityKey))
      expect((await node.rows()).sent_ciphertexts).to.equal(rows.sent_ciphertexts)
      // Two boxes are the sender's to choose: he says so.
      const second = newBox()
      const proven = await propagate({ ...recipe, label: 'to two boxes', messageBox: second, signed: true })
      expect(proven[0]).to.include(success)
      expect(await node.list(bob, second)).to.have.length(1)
    })
  }

  it('do not keep the genuine one away where a faster stranger put them into another box', async () => {
    const [genuine, stolen] = [newBox(), newBox()]
    const recipe = sealedIn(genuine)
    expect((await propagate({ ...recipe, messageBox: stolen, forged: true }))[0]).to.include(success)
    expect((await propagate(recipe))[0]).to.include(success)
    expect(await node.list(bob, genuine)).to.have.length(1)
  })

  it('are not reflected to whoever sent them through this node', async () => {
    const messageBox = newBox()
    const ciphertext = newCiphertext()
    const body = JSON.stringify({ encryptedMessage: ciphertext })
    await send(alice, bob, messageBox, body)
    const rows = await node.rows()
    const reflected: Recipe = { sender: recipient, recipients: [sender], messageBox, ciphertext, body }
    const ways: Recipe[] = [
      { label: 'into the same box', forged: true },
      { label: 'into another box', messageBox: newBox(), forged: true },
      { label: 'with blanks', body: `{ ${body.slice(1)}`, forged: true },
      { label: 'in the name of somebody else', sender: thirdRecipient, forged: true },
      { label: 'in another format', format: 'brc103', forged: true },
      { label: 'by bob himself, who gives no proof' }
    ]
    for (const way of ways) {
      expect(await propagate({ ...reflected, ...way }), way.label).to.deep.equal([
        {
          recipient: alice.identityKey,
          status: 'error',
          code: 'ERR_ORIGIN_UNPROVEN',
          httpStatus: 403,
          check: 'reflected'
        }
      ])
    }
    expect(await node.rows()).to.deep.equal(rows)
    const proven: Recipe = { ...reflected, label: 'by bob himself, who signs it', signed: true }
    expect((await propagate(proven))[0]).to.include(success)
  })
})
