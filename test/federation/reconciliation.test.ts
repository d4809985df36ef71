import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { signPortably } from '../../src/keys/portable-signature.js'
import { signedMessageText } from '../../src/message.js'
import { messageName } from '../../src/names.js'
import { inspect, submitScript, tokenScript, untilHosts } from '../support/advertised.js'
import { TestUser } from '../support/client.js'
import { authorizeRouting, listMessages, startMesh, type TestNode, until } from '../support/nodes.js'

const BOX = 'inbox'
const bytes = (hex: string) => Buffer.from(hex, 'hex')

describe('the reconciliation of two hosts', () => {
  let one: TestNode
  let two: TestNode
  const names = ['reconciliation one', 'reconciliation two']
  const alice = new TestUser('alice of reconciliation')
  const operator = new TestUser(`node ${names[0]}`)
  let users = 0

  before(async function () {
    this.timeout(60_000)
    ;[one, two] = (await startMesh(names, { options: { federation: { random: () => 0 } } })) as [
      TestNode,
      TestNode
    ]
  })
  after(() => Promise.all([one?.remove(), two?.remove()]))

  async function recipientAtBoth(): Promise<TestUser> {
    const user = new TestUser(`recipient ${users++} of reconciliation`)
    await Promise.all([one, two].map(node => authorizeRouting(user, node)))
    for (const node of [one, two]) await untilHosts(node, user, 2)
    return user
  }

  /** Sends signed messages through node one; answers their names when both hosts have them. */
  async function sendSome(recipient: TestUser, count: number): Promise<string[]> {
    const sent: string[] = []
    for (let i = 0; i < count; i++) {
      const [createdAt, messageId, body] = [Date.now(), randomBytes(8).toString('hex'), `text ${i}`]
      const text = signedMessageText(recipient.identityKey, BOX, messageId, body, createdAt)
      const signature = signPortably(alice.keys, text)
      const message = {
        recipient: recipient.identityKey,
        messageBox: BOX,
        messageId,
        body,
        createdAt,
        signature
      }
      const answer = await alice.post(one.url, '/sendMessage', { message })
      expect(answer.status, answer.body.toString()).to.equal(200)
      sent.push(messageName(alice.identityKey, BOX, undefined, text, Buffer.alloc(0)).toString('hex'))
    }
    await untilNames(two, recipient, sent)
    await until(
      () => inspect(one, `select from deliveries where state = 'pending'`),
      rows => rows.length === 0
    )
    return sent
  }

  async function namesAt(node: TestNode, user: TestUser): Promise<string[]> {
    return (await listMessages(user, node, BOX)).map(({ envelopeId }) => envelopeId)
  }

  const untilNames = (node: TestNode, user: TestUser, expected: readonly string[]) =>
    until(
      () => namesAt(node, user),
      found => found.length === expected.length && expected.every(name => found.includes(name))
    )

  /** A disk that forgot: the message and all memory of it. */
  async function lose(node: TestNode, user: TestUser, name: string): Promise<void> {
    await inspect(
      node,
      `select release_envelopes(take_messages(array_agg(box_id), array_agg(position), null, null))
       from held_messages($1, '{}', array[$2::bytea])`,
      bytes(user.identityKey),
      bytes(name)
    )
  }

  /** Makes a node compare now; answers with how many calls, by what the other one counted. */
  async function compare(node: TestNode): Promise<number> {
    const other = node === one ? two : one
    const calls = async () => {
      const text = await other.node.context.metrics.text()
      const line = /peerserv_http_request_seconds_count\{path="\/reconcile",status="200"\} (\d+)/.exec(text)
      return Number(line?.[1] ?? 0)
    }
    const before = await calls()
    await inspect(node, 'update reconciliations set finished_at = null')
    await until(
      async () => {
        // Again where the other one began first, or one of them was too busy to go on.
        await inspect(
          node,
          'update reconciliations set next_at = 0 where finished_at is null and claimed_until is null'
        )
        return inspect(
          node,
          'select from reconciliations where finished_at is not null and claimed_until is null'
        )
      },
      rows => rows.length === 1
    )
    return (await calls()) - before
  }

  it('begins by itself once they share a recipient', async () => {
    await recipientAtBoth()
    // Either of them: it serves both.
    await until(
      () =>
        Promise.all(
          [one, two].map(node => inspect(node, 'select from reconciliations where finished_at is not null'))
        ),
      found => found.flat().length > 0
    )
  })

  it('gives back what one of them lost, whoever of them asks', async () => {
    const bob = await recipientAtBoth()
    const sent = await sendSome(bob, 4)
    // Delivered long ago: what was delivered just now may be on its way into the box.
    await inspect(one, 'update deliveries set finished_at = 1')
    await lose(two, bob, sent[1]!)
    await lose(one, bob, sent[2]!)
    await compare(one)
    await untilNames(two, bob, sent)
    await untilNames(one, bob, sent)
    await inspect(one, `update deliveries set finished_at = 1 where state = 'delivered'`)
    await inspect(two, `update deliveries set finished_at = 1 where state = 'delivered'`)
    await lose(one, bob, sent[0]!)
    await lose(two, bob, sent[3]!)
    await compare(two)
    await untilNames(one, bob, sent)
    await untilNames(two, bob, sent)
  })

  it('tells again what was acknowledged, and brings nothing back', async () => {
    const bob = await recipientAtBoth()
    const sent = await sendSome(bob, 3)
    await inspect(one, 'update deliveries set finished_at = 1')
    await two.stop()
    const messages = await listMessages(bob, one, BOX)
    await bob.post(one.url, '/acknowledgeMessage', { messageIds: [messages[0]!.messageId] })
    await inspect(one, 'delete from statements')
    await two.restart()
    await inspect(one, 'delete from destinations')
    await compare(two)
    await untilNames(two, bob, sent.slice(1))
    expect(await namesAt(one, bob)).to.have.members(sent.slice(1))
    // And they agree now: what is asked of everything is all that is asked.
    expect(await compare(one)).to.be.at.most(4)
  })

  it('takes work for what differs, not for what is the same', async () => {
    const bob = await recipientAtBoth()
    const sent = await sendSome(bob, 2)
    await inspect(one, 'update deliveries set finished_at = 1')
    for (const node of [one, two]) {
      await inspect(
        node,
        `insert into messages select (jsonb_populate_record(m, jsonb_build_object(
            'position', 1000 + i, 'name', '\\x' || encode(sha256(i::text::bytea), 'hex'), 'shown_id', 'copy ' || i, 'id_key', null
          ))).*
        from generate_series(1, 5000) i, messages m where m.name = $1`,
        bytes(sent[0]!)
      )
      await inspect(
        node,
        `update recipients set message_count = message_count + 5000, last_position = last_position + 6000
         where id = (select recipient_id from messages where name = $1)`,
        bytes(sent[0]!)
      )
    }
    expect(await compare(one)).to.be.at.most(4)
    await lose(two, bob, sent[1]!)
    // The other's time to live, three levels of parts, and the offer: five, and as many again on a busy machine.
    expect(await compare(one)).to.be.at.most(10)
    await until(
      () => inspect(two, 'select from messages where name = $1', bytes(sent[1]!)),
      rows => rows.length === 1
    )
    for (const node of [one, two]) {
      await inspect(
        node,
        `select take_messages(array_agg(box_id), array_agg(position), null, null)
         from messages where shown_id like 'copy %'`
      )
    }
  })

  describe('with a host that means no good', () => {
    const stranger = new TestUser('stranger of reconciliation')
    const ask = (caller: TestUser, body: object) =>
      caller.post(two.url, '/reconcile', { timeToLive: 2_592_000, ...body })
    const everything = { from: '', until: null, count: 0, fingerprint: '00'.repeat(32) }

    it('answers hosts only', async () => {
      const answer = await ask(stranger, { ranges: [everything] })
      expect(answer.status).to.equal(403)
      expect(answer.json).to.include({ code: 'ERR_NOT_A_HOST' })
    })

    it('shows nothing of recipients who are not his', async () => {
      const bob = await recipientAtBoth()
      const [name] = await sendSome(bob, 1)
      const mallory = new TestUser('operator without recipients here')
      await submitScript(two, tokenScript(mallory, 'localhost:1', new TestUser('somebody else')))
      const item = bob.identityKey + name
      const other = bob.identityKey + randomBytes(32).toString('hex')
      const answer = await ask(mallory, { ranges: [everything], offers: [other], wants: [item] })
      expect(answer.status, answer.body.toString()).to.equal(200)
      expect(answer.json.ranges).to.deep.equal([{ until: null, items: [] }])
      expect(answer.json.wanted).to.deep.equal([])
      const planned = await inspect(
        two,
        'select from deliveries where host_key = $1',
        bytes(mallory.identityKey)
      )
      expect(planned).to.deep.equal([])
      // A host of his is told.
      const his = await ask(operator, { ranges: [everything], offers: [other] })
      expect((his.json.ranges as { items: string[] }[])[0]!.items).to.include(item)
      expect(his.json.wanted).to.deep.equal([other])
    })

    it('destroys nothing', async () => {
      const bob = await recipientAtBoth()
      const sent = await sendSome(bob, 3)
      const items = sent.map(name => bob.identityKey + name)
      for (const body of [{ ranges: [everything] }, { offers: items }, { wants: items }]) {
        expect((await ask(operator, body)).status).to.equal(200)
      }
      expect(await namesAt(two, bob)).to.have.members(sent)
    })

    it('refuses what makes no sense', async () => {
      const item = stranger.identityKey + '11'.repeat(32)
      const many = (count: number) =>
        Array.from({ length: count }, () => stranger.identityKey + randomBytes(32).toString('hex'))
      const owners = Array.from(
        { length: 101 },
        (_, i) => new TestUser(`owner ${i}`).identityKey + '11'.repeat(32)
      )
      for (const body of [
        { timeToLive: 0 },
        { timeToLive: '1' },
        { ranges: {} },
        { ranges: Array.from({ length: 17 }, () => everything) },
        { ranges: [null] },
        { ranges: [{ ...everything, from: 'x' }] },
        { ranges: [{ ...everything, from: item, until: item }] },
        { ranges: [{ ...everything, count: -1 }] },
        { ranges: [{ ...everything, fingerprint: 'x' }] },
        { offers: 'x' },
        { offers: [item.toUpperCase()] },
        { offers: many(1_001) },
        { wants: many(1_001) },
        { wants: owners }
      ]) {
        const answer = await ask(operator, body)
        expect(answer.status, JSON.stringify(body).slice(0, 100)).to.equal(400)
        expect(answer.json).to.include({ code: 'ERR_INVALID_RECONCILIATION' })
      }
    })

    it('does the work of one call at a time', async () => {
      const answers = await Promise.all(
        Array.from({ length: 6 }, () => ask(operator, { ranges: [everything] }))
      )
      const statuses = answers.map(({ status }) => status)
      expect(statuses).to.include(200).and.to.include(429)
      const busy = answers.find(({ status }) => status === 429)!
      expect(busy.json).to.include({ code: 'ERR_RECONCILIATION_BUSY', retryAfter: 1 })
    })
  })
})
