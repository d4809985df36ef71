import { expect } from 'chai'
import { planBox } from '../../federation/storage/catch-ups.js'
import {
  claimDeliveries,
  claimOverdue,
  dueDomains,
  finishDeliveries,
  pruneFederation
} from '../../federation/storage/deliveries.js'
import { type DeliveryFilter, deliveryPage } from '../../federation/storage/delivery-pages.js'
import { destinationPage } from '../../federation/storage/destination-pages.js'
import { endProbe } from '../../federation/storage/destinations.js'
import { hastenSome, makeDue, pendingDomains } from '../../federation/storage/steering.js'
import type { Database } from '../../src/storage/database.js'
import { pruneMessageBoxes } from '../../src/storage/messages.js'
import { type Answer, TestUser } from '../support/client.js'
import {
  BUSY_DOMAIN,
  COUNTS,
  EXPIRED_AT,
  loadMillionMessages,
  recipientKey,
  SINGLE_LANE_DOMAIN
} from '../support/million-messages.js'
import { startTestNode, type TestNode } from '../support/nodes.js'
import {
  type Observed,
  observeStatements,
  type Scan,
  type StatementObserver
} from '../support/observed-statements.js'
import { propagated } from '../support/propagated.js'

/** Tables that grow with use. */
const LARGE = [
  'recipients',
  'messages',
  'message_names',
  'message_boxes',
  'envelopes',
  'deliveries',
  'client_message_ids',
  'seen_requests_0',
  'seen_requests_1',
  'seen_requests_2',
  'seen_requests_3',
  'seen_requests_4',
  'seen_requests_5',
  'seen_requests_6',
  'seen_requests_7',
  'seen_requests_8',
  'seen_requests_9'
]
/** After five runs Postgres may keep a plan that knows nothing of the values. */
const RUNS = 7

/** Every scan of a large table goes by an index, and looks at no more rows than that. */
function expectIndexed({ scans }: Observed, rows: number, ...tables: readonly string[]): void {
  const large = scans.filter(({ table }) => LARGE.includes(table))
  const told = (scan: Scan) => `${scan.type} of ${scan.table}, ${scan.rows} rows: ${scan.query}`
  expect(large.filter(({ type }) => type === 'Seq Scan').map(told)).to.deep.equal([])
  expect(large.filter(scan => scan.rows > rows).map(told)).to.deep.equal([])
  // Otherwise nothing was watched.
  expect(large.map(({ table }) => table)).to.include.members(tables)
}

describe(`with ${COUNTS.messages.toLocaleString('en')} messages`, () => {
  let node: TestNode
  let database: Database
  let observer: StatementObserver
  const alice = new TestUser('alice of plans')
  const bob = new TestUser('bob of plans')
  const carol = new TestUser('carol of plans')

  before(async function () {
    this.timeout(180_000)
    // Its worker would deliver.
    node = await startTestNode('plans', { environment: { ROLE: 'api' } })
    await loadMillionMessages(node.databases.connectionString, bob.identityKey)
    observer = await observeStatements(node.databases.connectionString, 'peerserv')
    // New connections for everything from here on.
    await node.stop()
    await node.restart()
    database = node.node.context.database
    await Promise.all([alice.handshake(node.url), bob.handshake(node.url)])
    await database.query(
      {
        name: '',
        text: `insert into phip_hosts (recipient, operator_key, first_seen, live, domain) values ($1, $2, 1, true, $3)`
      },
      [Buffer.from(carol.identityKey, 'hex'), recipientKey(77), 'carol.example.org']
    )
  })
  after(async () => {
    observer?.stop()
    await node?.remove()
  })

  /** Statements of the request itself; requests are counted beside them. */
  const roundTrips = ({ statements }: Observed): string[] =>
    statements.filter(name => !/rate|rlflx|waiting-destinations/i.test(name))

  async function repeated(work: (run: number) => Promise<unknown>): Promise<Observed[]> {
    const all: Observed[] = []
    for (let run = 0; run < RUNS; run++) all.push(await observer.during(() => work(run)))
    return all
  }

  const accepted = (answer: Answer): void => {
    expect(answer.status, answer.body.toString()).to.equal(200)
  }

  const sealed = (seed: string) =>
    JSON.stringify({ encryptedMessage: Buffer.alloc(60, seed).toString('base64') })

  for (const [what, recipient, delivery] of [
    ['somebody without a host', bob, 'parked'],
    ['somebody with a host', carol, 'forwarding']
  ] as const) {
    it(`a message to ${what} is one round trip, on indexes`, async () => {
      const all = await repeated(async run => {
        const seed = `${what} ${run}`
        const message = {
          recipient: recipient.identityKey,
          messageBox: 'inbox',
          messageId: seed,
          body: sealed(seed)
        }
        const answer = await alice.post(node.url, '/sendMessage', { message })
        accepted(answer)
        expect((answer.json.results as object[])[0]).to.include({ delivery })
      })
      for (const observed of all) {
        expect(roundTrips(observed)).to.have.length(1)
        expectIndexed(observed, 50, 'client_message_ids')
      }
    })
  }

  it('a message to a hundred people is one round trip, on indexes', async () => {
    const recipients = Array.from(
      { length: 100 },
      (_, i) => new TestUser(`one of a hundred ${i}`).identityKey
    )
    const all = await repeated(async run => {
      const body = sealed(`hundred ${run}`)
      accepted(
        await alice.post(node.url, '/sendMessage', { message: { recipients, messageBox: 'inbox', body } })
      )
    })
    for (const observed of all) {
      expect(roundTrips(observed)).to.have.length(1)
      expectIndexed(observed, 200, 'message_boxes')
    }
  })

  it('a list is one round trip, on indexes, wherever in the box it begins', async () => {
    let cursor: unknown
    const all = await repeated(async () => {
      const { json } = await bob.post(node.url, '/listMessages', { messageBox: 'inbox', limit: 200, cursor })
      expect(json.messages).to.have.length(200)
      cursor = json.nextCursor
    })
    for (const observed of all) {
      expect(roundTrips(observed)).to.have.length(1)
      expectIndexed(observed, 250, 'messages', 'message_boxes')
    }
  })

  it('an acknowledgement is one round trip, on indexes', async () => {
    const all = await repeated(async run => {
      const messageIds = [`somebody without a host ${run}`]
      const answer = await bob.post(node.url, '/acknowledgeMessage', { messageIds })
      expect(answer.json).to.deep.equal({ status: 'success', acknowledged: 1 })
    })
    for (const observed of all) {
      expect(roundTrips(observed)).to.have.length(1)
      expectIndexed(observed, 20, 'recipients', 'messages', 'envelopes')
    }
  })

  it('what another host hands on goes by indexes', async () => {
    await database.query(
      {
        name: '',
        text: `insert into routing_authorizations (recipient, text, signature, authorized_at) values ($1, 'x', 'x', 1)`
      },
      [Buffer.from(bob.identityKey, 'hex')]
    )
    const host = new TestUser('host of plans')
    await host.handshake(node.url)
    const all = await repeated(async run => {
      const message = { recipient: bob.identityKey, messageBox: 'inbox', body: `handed on ${run}` }
      accepted(await host.post(node.url, '/propagateMessage', propagated(host, alice, message)))
    })
    for (const observed of all) expectIndexed(observed, 50, 'message_names')
  })

  it('where messages are is told on indexes', async () => {
    const all = await repeated(async run => {
      const { json } = await alice.post(node.url, '/deliveryStatus', {
        messageIds: [`somebody with a host ${run}`]
      })
      expect(json.deliveries).to.have.length(1)
    })
    for (const observed of all) expectIndexed(observed, 20, 'deliveries')
  })

  it('deliveries are claimed and ended on indexes', async () => {
    const all = await repeated(async run => {
      const now = Date.now()
      const { deliveries: claimed } = await claimDeliveries(database, BUSY_DOMAIN, now, now + 60_000, 8)
      expect(claimed).to.have.length(8)
      const state = run % 2 ? 'refused' : 'delivered'
      const endings = claimed.map(delivery => ({ delivery, state, answer: 'x' }) as const)
      expect(await finishDeliveries(database, endings, now)).to.have.length(8)
    })
    for (const observed of all) expectIndexed(observed, 250, 'deliveries')
  })

  it('deliveries of one long lane are claimed without a look at all of it', async () => {
    const all = await repeated(async () => {
      const now = Date.now()
      const { deliveries: claimed } = await claimDeliveries(
        database,
        SINGLE_LANE_DOMAIN,
        now,
        now + 60_000,
        8
      )
      expect(claimed).to.have.length(1)
      await finishDeliveries(database, [{ delivery: claimed[0]!, state: 'delivered', answer: 'x' }], now)
    })
    for (const observed of all) expectIndexed(observed, 250, 'deliveries')
  })

  it('a host that has been failing is probed without a look at all that waits for it', async () => {
    await database.query(
      {
        name: '',
        text: `insert into destinations (domain, failures, failing_since, backoff_until, last_answer) values ($1, 1, 1, 1, 'x')`
      },
      [BUSY_DOMAIN]
    )
    const all = await repeated(async () => {
      const now = Date.now()
      const { deliveries: claimed } = await claimDeliveries(database, BUSY_DOMAIN, now, now + 60_000, 8)
      expect(claimed).to.have.length(1)
      await finishDeliveries(database, [{ delivery: claimed[0]!, state: 'refused', answer: 'x' }], now)
      await endProbe(database, BUSY_DOMAIN)
    })
    for (const observed of all) expectIndexed(observed, 250, 'deliveries')
  })

  it('domains with something to do are found by one step each', async () => {
    const all = await repeated(async () => {
      expect(await dueDomains(database, Date.now(), 1_000)).to.have.length.within(500, 600)
    })
    for (const observed of all) expectIndexed(observed, 2_000, 'deliveries')
  })

  it('what is overdue is found by its time', async () => {
    const all = await repeated(async () => {
      expect(await claimOverdue(database, Date.now(), 0, 100)).to.have.length(0)
    })
    for (const observed of all) expectIndexed(observed, 250, 'deliveries')
  })

  it('a page of a box is planned on indexes', async () => {
    const box = { id: 1, name: 'inbox' }
    const all = await repeated(run =>
      planBox(database, box, run * 200, 200, Date.now(), node.node.context.keys.publicKey, new Map())
    )
    for (const observed of all) expectIndexed(observed, 1_000, 'messages', 'envelopes')
  })

  const everything = { state: undefined, domain: undefined, recipient: undefined, sender: undefined }
  const FILTERS: readonly (readonly [string, Partial<DeliveryFilter>])[] = [
    ['that wait', { state: 'pending' }],
    ['that wait for one host', { state: 'pending', domain: BUSY_DOMAIN }],
    ['of one recipient', { recipient: recipientKey(1) }],
    ['of one recipient, none of which fits', { recipient: recipientKey(1), domain: 'none.example.org' }],
    ['of one sender', { sender: recipientKey(2), state: 'refused' }],
    ['of one host in any state', { domain: 'none.example.org' }]
  ]
  for (const [what, filter] of FILTERS) {
    it(`a page of deliveries ${what} is one step of an index for each of a bounded number`, async () => {
      let cursor: string | undefined
      const all = await repeated(async () => {
        const page = await deliveryPage(database, { ...everything, ...filter }, cursor, 100)
        // There is more, also where nothing fits.
        expect(page?.cursor).to.be.a('string')
        cursor = page?.cursor
      })
      for (const observed of all) expectIndexed(observed, 1_100, 'deliveries')
    })
  }

  it('hosts are shown by a bounded look at what waits for each', async () => {
    const all = await repeated(async () => {
      const page = await destinationPage(database, Date.now(), BUSY_DOMAIN.slice(0, -1), 10)
      expect(page.map(({ domain }) => domain)).to.include(BUSY_DOMAIN)
      expect(page.find(({ domain }) => domain === BUSY_DOMAIN)?.depth).to.equal(10_001)
    })
    for (const observed of all) expectIndexed(observed, 12_000, 'deliveries')
  })

  it('what waits is hastened by a bounded number at a time', async () => {
    const all = await repeated(async () => {
      expect((await hastenSome(database, SINGLE_LANE_DOMAIN, 0, 0, 100)).lookedAt).to.equal(100)
      await makeDue(database, [1, 2, 3], 0)
      expect(await pendingDomains(database, '', 100)).to.have.length(100)
    })
    for (const observed of all) expectIndexed(observed, 250, 'deliveries')
  })

  it('what has expired is deleted on indexes', async () => {
    const all = await repeated(async () => {
      expect(await pruneMessageBoxes(database, EXPIRED_AT + 1, 100)).to.equal(200)
      await pruneFederation(database, EXPIRED_AT + 1, 100)
    })
    for (const observed of all) expectIndexed(observed, 1_000, 'messages', 'message_names', 'envelopes')
  })
})

/** Postgres keeps a plan until it has looked at the tables again, which can take it a minute. */
describe('with plans made while there was nothing', () => {
  let node: TestNode
  let observer: StatementObserver
  const alice = new TestUser('alice of early plans')
  const bob = new TestUser('bob of early plans')

  before(async function () {
    this.timeout(30_000)
    node = await startTestNode('early plans', { environment: { ROLE: 'api' } })
    observer = await observeStatements(node.databases.connectionString, 'peerserv')
    await node.stop()
    await node.restart()
    await Promise.all([alice.handshake(node.url), bob.handshake(node.url)])
    // Before anything is planned: it ends all plans.
    await query('alter table messages set (autovacuum_enabled = off)')
    for (let run = 0; run < RUNS; run++) await exchange(`early ${run}`)
    await query(
      `insert into messages (box_id, position, recipient_id, name, shown_id, sender, body, wrapped, envelope_id, origin,
         forwardable, parked, sealed, bytes, first_seen, created_at, expires_at)
       select b.id, 1000 + n, r.id, sha256(n::text::bytea), 'loaded ' || n, r.identity_key, '', false, '', 'local', false, false,
         false, 0, 1, 1, 4000000000000
       from recipients r join message_boxes b on b.recipient = r.identity_key, generate_series(1, 20000) n`
    )
  })
  after(async () => {
    observer?.stop()
    await node?.remove()
  })

  const query = (text: string) => node.node.context.database.query({ name: '', text })

  /** A message is sent, listed and acknowledged. */
  async function exchange(messageId: string): Promise<void> {
    const message = { recipient: bob.identityKey, messageBox: 'inbox', body: 'early', messageId }
    expect((await alice.post(node.url, '/sendMessage', { message })).status).to.equal(200)
    await bob.post(node.url, '/listMessages', { messageBox: 'inbox', limit: 10 })
    const { json } = await bob.post(node.url, '/acknowledgeMessage', { messageIds: [messageId] })
    expect(json.acknowledged).to.equal(1)
  }

  it('a message is sent, listed and acknowledged on the right indexes', async () => {
    for (let run = 0; run < RUNS; run++) {
      const observed = await observer.during(() => exchange(`late ${run}`))
      expectIndexed(observed, 50, 'recipients', 'messages', 'message_boxes')
    }
  })
})
