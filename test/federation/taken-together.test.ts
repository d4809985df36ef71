import { expect } from 'chai'
import type { Answer } from '../support/client.js'
import { TestUser } from '../support/client.js'
import {
  authorizeRouting,
  authorizeSending,
  listMessages,
  startTestNode,
  type TestNode
} from '../support/nodes.js'
import { propagated } from '../support/propagated.js'

describe('messages that come at once', () => {
  let node: TestNode
  const alice = new TestUser('alice of many at once')
  const bob = new TestUser('bob of many at once')
  const carol = new TestUser('carol of many at once')
  const host = new TestUser('host of many at once')

  before(async function () {
    this.timeout(30_000)
    // Its worker would deliver.
    node = await startTestNode('many at once', { environment: { ROLE: 'api' } })
    await Promise.all([alice, bob, host].map(user => user.handshake(node.url)))
    await authorizeRouting(bob, node)
    await authorizeSending(alice, node)
    await rows(
      `insert into phip_hosts (recipient, operator_key, first_seen, live, domain) values ($1, $2, 1, true, $3)`,
      [Buffer.from(carol.identityKey, 'hex'), Buffer.from(host.identityKey, 'hex'), 'carol.example.org']
    )
  })
  after(() => node?.remove())

  const rows = (text: string, values: readonly unknown[] = []) =>
    node.databases.database.query<Record<string, unknown>>({ name: '', text }, values)
  /** Every envelope is held by as many as there are. */
  const strayEnvelopes = () =>
    rows(`select 1 from envelopes e where holds <> (select count(*) from messages m where m.envelope_id = e.id)
      + (select count(*) from deliveries d where d.envelope_id = e.id and d.state = 'pending')`)

  /** Whoever fails together is taken alone, and nobody is told: but then no two are in one transaction. */
  const transactions = async (table: 'messages' | 'deliveries') =>
    (await rows(`select count(distinct xmin::text)::integer as n from ${table}`))[0]!.n

  it('from another host are taken as if one had come after the other', async () => {
    const message = (body: string, messageId?: string, recipient = bob) =>
      propagated(host, alice, { recipient: recipient.identityKey, messageBox: 'inbox', body, messageId })
    const take = async (call: object): Promise<string> => {
      const answer = await host.post(node.url, '/propagateMessage', call)
      const [result] = (answer.json.results ?? []) as { status: string; code?: string }[]
      return result?.code ?? result?.status ?? String(answer.json.code)
    }
    expect(await take(message('the box'))).to.equal('success')
    const again = message('said twice')
    const calls = [
      ...['1', '2', '3', '4'].map(body => message(body)),
      ...[again, again, again],
      message('one id', 'one id'),
      message('the same id', 'one id'),
      message('nobody', undefined, carol)
    ]
    const results = await Promise.all(calls.map(take))
    expect(results).to.deep.equal([...Array(9).fill('success'), 'ERR_NOT_HOME'])

    const listed = await listMessages(bob, node, 'inbox')
    expect(listed.map(({ body }) => body).sort()).to.deep.equal(
      ['1', '2', '3', '4', 'one id', 'said twice', 'the box', 'the same id'].sort()
    )
    expect(new Set(listed.map(({ messageId }) => messageId)).size).to.equal(8)
    expect(listed.filter(({ messageId }) => messageId === 'one id')).to.have.length(1)
    expect(
      await rows(
        `select r.message_count::integer as counted, r.last_position = (select max(position) from messages m where m.recipient_id = r.id) as is_last,
        (select count(*)::integer from messages m where m.recipient_id = r.id) as stored
        from recipients r where identity_key = $1`,
        [Buffer.from(bob.identityKey, 'hex')]
      )
    ).to.deep.equal([{ counted: 8, is_last: true, stored: 8 }])
    expect(await transactions('messages')).to.be.below(8)
    expect(await strayEnvelopes()).to.deep.equal([])
  })

  it('for another host are planned as if one had come after the other', async () => {
    const send = (body: string, messageId: string): Promise<Answer> =>
      alice.post(node.url, '/sendMessage', {
        message: { recipient: carol.identityKey, messageBox: 'inbox', body, messageId }
      })
    const told = ({ status, json }: Answer) =>
      status === 200 ? (json.results as { delivery: string; messageId: string }[])[0]!.delivery : json.code
    const ids = ['a', 'b', 'c', 'd', 'e', 'f']
    const answers = await Promise.all([
      ...ids.map(id => send(`body ${id}`, id)),
      send('body a', 'a'),
      send('another body', 'b')
    ])
    // Which of the two came first is open.
    expect(answers.slice(0, 7).filter(answer => answer.status === 200).length).to.be.at.least(6)
    expect(answers.map(told).filter(answer => answer === 'ERR_DUPLICATE_MESSAGE')).to.have.length(1)
    expect(answers.map(told).filter(answer => answer === 'forwarding')).to.have.length(7)
    const planned = await rows(
      'select message_id, domain, first_hand, state from deliveries where recipient = $1 order by message_id',
      [Buffer.from(carol.identityKey, 'hex')]
    )
    expect(planned).to.deep.equal(
      ids.map(message_id => ({ message_id, domain: 'carol.example.org', first_hand: true, state: 'pending' }))
    )
    expect(await transactions('deliveries')).to.be.below(ids.length)
    expect(await strayEnvelopes()).to.deep.equal([])
    // Later too a repeat is one, and other words under the same id are none.
    expect(told(await send('body c', 'c'))).to.equal('forwarding')
    expect(told(await send('other words', 'c'))).to.equal('ERR_DUPLICATE_MESSAGE')
  })

  it('for another host that nothing would prove there are refused', async () => {
    const eve = new TestUser('eve of many at once')
    await eve.handshake(node.url)
    const send = (user: TestUser, body: string) =>
      user.post(node.url, '/sendMessage', {
        message: { recipient: carol.identityKey, messageBox: 'inbox', body }
      })
    const answers = await Promise.all([send(eve, '1'), send(alice, '2'), send(eve, '3'), send(alice, '4')])
    expect(answers.map(({ status }) => status)).to.deep.equal([403, 200, 403, 200])
    expect(answers[0]!.json.code).to.equal('ERR_ORIGIN_UNPROVABLE')
  })
})
