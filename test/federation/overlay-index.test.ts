import { expect } from 'chai'
import { createWithdrawalScript, signWithdrawalSpend } from '../../federation/phip/withdrawal.js'
import { curve, TestUser } from '../support/client.js'
import {
  fundScripts,
  lookUp,
  makeToken,
  type OverlayNode,
  operator,
  spend,
  spendToken,
  startOverlayNode,
  submit,
  withdrawal
} from '../support/overlay.js'

type Operator = ReturnType<typeof operator>

describe('the index of hosts', () => {
  let node: OverlayNode
  let users = 0
  const [one, two] = [operator('one'), operator('two')]
  const keyOf = ({ keys }: Operator): string => keys.identityKey
  before(async () => {
    node = await startOverlayNode('index')
  })
  after(() => node.remove())

  const someone = (): TestUser => new TestUser(`index ${users++}`)

  /** Each a second after the one before. */
  async function admit(host: Operator, recipient: TestUser, boxExpression?: string) {
    node.clock.time += 1_000
    const token = await makeToken(host, recipient, boxExpression)
    await submit(node, token.beef)
    return token
  }

  async function firstSeen(recipient: TestUser, host: Operator): Promise<number | undefined> {
    const text = 'select first_seen from live_hosts($1) where operator_key = $2'
    const key = Buffer.from(recipient.identityKey, 'hex')
    const [row] = await node.query<{ first_seen: number }>(text, [key, Buffer.from(keyOf(host), 'hex')])
    return row?.first_seen
  }

  describe('routes', () => {
    it('to each operator once, newest operator first, by his newest token', async () => {
      const bob = someone()
      await admit(one, bob)
      await admit(two, bob, '^first$')
      await admit(one, bob, '^newest$')
      const text = `select encode(operator_key, 'hex') as key, domain, box_expression as box from live_hosts($1)`
      const rows = await node.query(text, [Buffer.from(bob.identityKey, 'hex')])
      expect(rows).to.deep.equal([
        { key: keyOf(two), domain: 'two.example', box: '^first$' },
        { key: keyOf(one), domain: 'one.example', box: '^newest$' }
      ])
    })

    it('to the sixteen newest, and to this node however old it is', async () => {
      const bob = someone()
      const key = Buffer.from(bob.identityKey, 'hex')
      const own = Buffer.from(node.keys.publicKey)
      await node.query('insert into node (identity_key, created_at) values ($1, 0)', [own])
      await admit(node, bob)
      const others = Array.from({ length: 18 }, (_, index) => operator(`many${index}`))
      for (const other of others) await admit(other, bob)
      const hosts = await node.liveHosts(bob)
      expect(hosts).to.deep.equal([...others.slice(2).reverse().map(keyOf), node.keys.identityKey])
      expect(key).to.have.lengthOf(33)
    })

    it('by a few rows of one index, however many hosts and tokens there are', async () => {
      const bob = someone()
      const key = Buffer.from(bob.identityKey, 'hex')
      await node.query(
        `insert into phip_tokens (txid, output_index, operator_key, domain, recipient, authorization_text_digest, admitted_at)
        select sha256(n::text::bytea), 0, '\\x02' || sha256((n / 2)::text::bytea), 'x.example', $1, sha256('x'), n
        from generate_series(2, 4001) n`,
        [key]
      )
      await node.query('analyze phip_hosts')
      expect(await node.liveHosts(bob)).to.have.lengthOf(16)
      const explain = 'explain (analyze, costs off, timing off) select * from live_hosts($1)'
      const plan = await node.query<Record<string, string>>(explain, [key])
      const lines = plan.map(row => row['QUERY PLAN']).join('\n')
      expect(lines).to.match(/Index Scan using phip_hosts_live on phip_hosts \w+ \(actual rows=16/)
      expect(lines).not.to.match(/Seq Scan on phip_hosts|phip_tokens/)
    })
  })

  describe('knows the age of a host', () => {
    it('which copies, replacements and returns make no younger', async () => {
      const bob = someone()
      const token = await admit(one, bob)
      const age = await firstSeen(bob, one)
      await admit(two, bob)
      node.clock.time += 1_000
      await submit(node, (await fundScripts([token.script])).beef)
      expect(await firstSeen(bob, one), 'a copy').to.equal(age)
      await admit(one, bob, '.*')
      expect(await firstSeen(bob, one), 'another authorization').to.equal(age)
      expect((await node.liveHosts(bob))[0]).to.equal(keyOf(two))
    })

    it('also when all its tokens are gone, and when the index forgets them', async () => {
      const bob = someone()
      const token = await admit(one, bob)
      const age = await firstSeen(bob, one)
      await submit(node, (await spendToken(token)).beef)
      expect(await node.liveHosts(bob)).to.deep.equal([])
      const again = await admit(one, bob)
      expect(await firstSeen(bob, one)).to.equal(age)
      await node.query('delete from phip_tokens where txid = $1', [Buffer.from(again.txid, 'hex')])
      expect(await node.liveHosts(bob)).to.deep.equal([])
      await admit(one, bob)
      expect(await firstSeen(bob, one)).to.equal(age)
    })
  })

  describe('honours a withdrawal', () => {
    async function withdraw(host: Operator, recipient: TestUser, boxExpression?: string) {
      const made = await fundScripts([
        createWithdrawalScript(curve, withdrawal(host, recipient, boxExpression))
      ])
      node.clock.time += 1_000
      const answer = await submit(node, made.beef)
      return { ...made, isAdmitted: answer.json.tm_phip.outputsToAdmit.length === 1 }
    }

    it('which voids the tokens of its text, those that are there and copies that come', async () => {
      const bob = someone()
      const token = await admit(one, bob)
      await admit(two, bob)
      node.changed.length = 0
      expect(await withdraw(one, bob)).to.include({ isAdmitted: true })
      expect(node.changed).to.include(bob.identityKey)
      expect(await node.liveHosts(bob)).to.deep.equal([keyOf(two)])
      await submit(node, (await fundScripts([token.script])).beef)
      expect(await node.liveHosts(bob)).to.deep.equal([keyOf(two)])
      const { outputs } = (await lookUp(node, { recipient: bob.identityKey })).json
      expect(outputs, 'the other token and the withdrawal').to.have.lengthOf(2)
      expect((await lookUp(node, { operator: keyOf(one) })).json.outputs.length).to.equal(
        (
          await node.query(
            'select from phip_tokens where operator_key = $1 and spent_at is null and not withdrawn',
            [Buffer.from(keyOf(one), 'hex')]
          )
        ).length
      )
    })

    it('but not for another text of the same recipient, or for another recipient of the same text', async () => {
      const [bob, carol] = [someone(), someone()]
      await admit(one, bob)
      await admit(one, carol)
      await withdraw(one, bob)
      expect(await node.liveHosts(bob)).to.deep.equal([])
      expect(await node.liveHosts(carol)).to.deep.equal([keyOf(one)])
      await admit(one, bob, '.*')
      expect(await node.liveHosts(bob)).to.deep.equal([keyOf(one)])
    })

    it('until its recipient lifts it; nobody can put it there again', async () => {
      const bob = someone()
      await admit(one, bob)
      const made = await withdraw(one, bob)
      const lifted = await spend(made, digest => signWithdrawalSpend(bob.keys, digest))
      expect((await submit(node, lifted.beef)).json.tm_phip.coinsRemoved).to.deep.equal([0])
      expect(await node.liveHosts(bob)).to.deep.equal([keyOf(one)])
      expect(await withdraw(one, bob)).to.include({ isAdmitted: false })
      expect(await node.liveHosts(bob)).to.deep.equal([keyOf(one)])
    })

    it('once, and only of a text that it has seen', async () => {
      const bob = someone()
      expect(await withdraw(one, bob)).to.include({ isAdmitted: false })
      await admit(one, bob)
      expect(await withdraw(one, bob)).to.include({ isAdmitted: true })
      expect(await withdraw(one, bob)).to.include({ isAdmitted: false })
    })

    it('that the operator cannot lift', async () => {
      const bob = someone()
      await admit(one, bob)
      const made = await withdraw(one, bob)
      const forged = await spend(made, digest => signWithdrawalSpend(one.keys, digest))
      expect((await submit(node, forged.beef)).json.code).to.equal('ERR_INVALID_TRANSACTION')
      expect(await node.liveHosts(bob)).to.deep.equal([])
    })

    it('also if token and withdrawal come at the same time', async () => {
      const bob = someone()
      const token = await admit(one, bob)
      const copies = await Promise.all(Array.from({ length: 5 }, () => fundScripts([token.script])))
      await Promise.all([withdraw(one, bob), ...copies.map(({ beef }) => submit(node, beef))])
      expect(await node.liveHosts(bob)).to.deep.equal([])
    })
  })
})
