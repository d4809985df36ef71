import { expect } from 'chai'
import {
  ALL_LANES,
  claimDeliveries,
  deferDeliveries,
  finishDeliveries,
  pruneFederation
} from '../../federation/storage/deliveries.js'
import { recordFailure, setBackoff } from '../../federation/storage/destinations.js'
import { createTestDatabase, type TestDatabase } from '../support/database.js'

const DOMAIN = 'relay.example.org'

describe('the tables of deliveries', () => {
  let databases: TestDatabase
  before(async () => {
    databases = await createTestDatabase()
  })
  after(() => databases.drop())

  const query = <Row>(text: string, ...values: unknown[]): Promise<Row[]> =>
    databases.database.query<Row>({ name: '', text }, values)

  /** Deliveries of so many lanes, from a number that none of them had before. */
  async function plan(count: number, lanes: number, expiresAt: number, domain = DOMAIN): Promise<void> {
    await query(
      `insert into deliveries (domain, host_key, recipient, sender, message_box, message_id, name, envelope_id, lane,
        first_hand, first_seen, next_attempt_at, created_at, expires_at)
      select $1::text, '\\x02', '\\x03', '\\x04', 'inbox', gen_random_uuid()::text,
        sha256(convert_to(gen_random_uuid()::text, 'UTF8')), sha256(convert_to(gen_random_uuid()::text, 'UTF8')), n % $3::integer, true, 1, 1, 1, $4::bigint
      from generate_series(1, $2::integer) n`,
      domain,
      count,
      lanes,
      expiresAt
    )
  }

  const size = async () =>
    (await query<{ n: number }>(`select pg_total_relation_size('deliveries') as n`))[0]!.n

  it('are no larger after three rounds of filling and expiring than 1.3 times the first', async function () {
    this.timeout(60_000)
    const sizes: number[] = []
    for (let round = 1; round <= 3; round++) {
      await plan(3_000, 100, round * 1_000)
      for (;;) {
        const { deliveries } = await claimDeliveries(databases.database, DOMAIN, 10, 20, 64)
        if (deliveries.length === 0) break
        const endings = deliveries.map(
          delivery => ({ delivery, state: 'delivered', answer: 'success' }) as const
        )
        await finishDeliveries(databases.database, endings, 10)
      }
      sizes.push(await size())
      let steps = 0
      while ((await pruneFederation(databases.database, round * 1_000, 500)) > 0) {
        steps++
        // What autovacuum does meanwhile, at times that the test knows.
        await query('vacuum deliveries')
      }
      // Pages of an index that one vacuum has emptied are taken again after the next, if there was a transaction between.
      await query('select pg_current_xact_id()')
      await query('vacuum deliveries')
      expect(steps).to.equal(6)
      expect(await query('select from deliveries')).to.have.length(0)
    }
    expect(Math.max(...sizes) / sizes[0]!).to.be.below(1.3)
  })

  it('let no lane that waits hide another, however much waits in it', async () => {
    const domain = 'hot.example.org'
    await plan(1_000, 1, 10_000, domain)
    const now = 100
    const first = await claimDeliveries(databases.database, domain, now, 200, 8)
    expect(first.deliveries).to.have.length(1)
    await plan(50, 50, 10_000, domain)
    const others = await claimDeliveries(databases.database, domain, now, 200, 8, first.walkedTo)
    expect(others.deliveries).to.have.length(8)
    expect(new Set([...first.deliveries, ...others.deliveries].map(({ id }) => id))).to.have.length(9)
  })

  it('are looked at a few lanes at a time, until all have been seen', async () => {
    const domain = 'many.example.org'
    await plan(1_000, 1_000, 10_000, domain)
    await query(
      `update deliveries set next_attempt_at = 1000 where domain = $1 and id < (select max(id) from deliveries)`,
      domain
    )
    let walkedTo = ALL_LANES
    const found: number[] = []
    let claims = 0
    do {
      const claim = await claimDeliveries(databases.database, domain, 100, 200, 8, walkedTo)
      found.push(...claim.deliveries.map(({ id }) => id))
      walkedTo = claim.walkedTo
      claims++
    } while (walkedTo !== ALL_LANES)
    expect(found).to.have.length(1)
    expect(claims).to.be.within(4, 6)
  })

  it('give nothing to a late worker', async () => {
    const domain = 'late.example.org'
    await plan(1, 1, 10_000, domain)
    const [late] = (await claimDeliveries(databases.database, domain, 100, 200, 1)).deliveries
    const [next] = (await claimDeliveries(databases.database, domain, 300, 400, 1)).deliveries
    expect(next!.id).to.equal(late!.id)
    const ending = { state: 'delivered', answer: 'success' } as const
    expect(await finishDeliveries(databases.database, [{ ...ending, delivery: late! }], 310)).to.deep.equal(
      []
    )
    const deferral = { delivery: late!, answer: 'x', nextAttemptAt: 9_000, setbacks: 9, skip: true }
    await deferDeliveries(databases.database, [deferral], 310)
    expect((await claimDeliveries(databases.database, domain, 320, 500, 1)).deliveries).to.have.length(0)
    expect(await finishDeliveries(databases.database, [{ ...ending, delivery: next! }], 320)).to.deep.equal([
      next!.id
    ])
  })

  it('send one probe to a failing domain, one that has been tried least', async () => {
    const domain = 'failing.example.org'
    await plan(10, 5, 10_000, domain)
    const [tried] = (await claimDeliveries(databases.database, domain, 100, 200, 1)).deliveries
    const deferral = { answer: 'x', nextAttemptAt: 100, setbacks: 0, skip: false }
    await deferDeliveries(databases.database, [{ ...deferral, delivery: tried! }], 100)
    const failure = { domain, operatorKey: Buffer.of(2), answer: 'x', beganAt: 100, now: 101 }
    expect(await recordFailure(databases.database, failure)).to.equal(1)
    // Calls that were under way then fail with it.
    expect(await recordFailure(databases.database, { ...failure, now: 102 })).to.equal(1)
    await setBackoff(databases.database, domain, 1_000)
    expect((await claimDeliveries(databases.database, domain, 999, 2_000, 8)).deliveries).to.have.length(0)
    const [probe] = (await claimDeliveries(databases.database, domain, 1_000, 2_000, 8)).deliveries
    expect(probe).to.include({ failing: true })
    expect(probe!.id).not.to.equal(tried!.id)
    expect((await claimDeliveries(databases.database, domain, 1_500, 2_500, 8)).deliveries).to.have.length(0)
    expect(await recordFailure(databases.database, { ...failure, beganAt: 1_001, now: 1_600 })).to.equal(2)
    expect((await claimDeliveries(databases.database, domain, 1_600, 2_500, 8)).deliveries).to.have.length(1)
  })

  it('remember so many failing domains and no more, those longest that are left alone longest', async () => {
    await query('delete from destinations')
    for (let i = 0; i < 10; i++) {
      const failure = { operatorKey: Buffer.of(2), answer: 'x', beganAt: 1, now: 1_000_000 }
      await recordFailure(databases.database, { ...failure, domain: `${i}.example.org` })
      await setBackoff(databases.database, `${i}.example.org`, 1_000_000 + i)
    }
    await pruneFederation(databases.database, 1_000_000, 100, 4)
    const left = await query<{ domain: string }>('select domain from destinations order by domain')
    expect(left.map(({ domain }) => domain[0])).to.deep.equal(['6', '7', '8', '9'])
  })
})
