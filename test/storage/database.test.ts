import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { expect } from 'chai'
import { ApiError } from '../../src/errors.js'
import { createLogger } from '../../src/logger.js'
import { createDatabase, type Database, statement } from '../../src/storage/database.js'
import { hasSqlState } from '../../src/storage/database-errors.js'
import { createTestDatabase, type TestDatabase } from '../support/database.js'

const logger = createLogger('silent')
const ONE = statement('one', 'select 1 as one')
const SLEEP = statement('sleep', 'select pg_sleep($1)')
const FAIL = statement('fail', 'select fail($1::text)')
const PID = statement('pid', 'select pg_backend_pid() as pid')
const COUNT = statement('count', 'select count(*) as n from numbers')
const INSERT = statement('insert', 'insert into numbers (id, n) values ($1::int, 0)')
const ADD = statement('add', 'update numbers set n = n + 1 where id = $1::int')

/** Waits for a refusal that is an ApiError and returns it. */
async function refusal(promise: Promise<unknown>): Promise<ApiError> {
  try {
    await promise
  } catch (error) {
    if (error instanceof ApiError) return error
    throw error
  }
  throw new Error('the promise resolved')
}

function expectUnavailable(error: ApiError): void {
  expect(error.httpStatus).to.equal(503)
  expect(error.code).to.equal('ERR_DATABASE_UNAVAILABLE')
  expect(error.headers).to.have.property('Retry-After')
}

describe('database', () => {
  let test: TestDatabase
  let database: Database

  before(async () => {
    test = await createTestDatabase({ empty: true })
    database = test.database
    await database.query(
      statement(
        'create fail',
        `create function fail(code text) returns void language plpgsql as
         $$ begin raise exception 'made to fail' using errcode = code; end $$`
      )
    )
    await database.query(statement('create', 'create table numbers (id int primary key, n int not null)'))
  })

  after(() => test.drop())

  beforeEach(() => database.query(statement('truncate', 'truncate numbers')))

  describe('values', () => {
    it('come back as numbers and bytes', async () => {
      const rows = await database.query(
        statement(
          'values',
          `select 9007199254740991::bigint as big, $1::bytea as bytes, array[1, null, 3]::bigint[] as list,
             '{}'::bigint[] as none, '{"a":[1]}'::jsonb as json, null::bigint as nothing`
        ),
        [Buffer.from([0, 255])]
      )
      expect(rows).to.deep.equal([
        {
          big: Number.MAX_SAFE_INTEGER,
          bytes: Buffer.from([0, 255]),
          list: [1, null, 3],
          none: [],
          json: { a: [1] },
          nothing: null
        }
      ])
    })

    it('arrive as they were given, of every kind and length', async () => {
      const texts = ['', 'a', '"', '\\', '\\x41', '{,}', 'NULL', ' é日本😀\n', null, "'"]
      const bytes = [Buffer.alloc(0), Buffer.from([0, 34, 92, 255]), null]
      const long = [Buffer.alloc(16_384, 1), Buffer.alloc(100_000, 2)]
      const parameters = statement(
        'parameters',
        `select $1::text[] as texts, $2::bytea[] as bytes, $3::bytea as short, $4::bytea as long, $5::bytea as longer,
           $6::boolean[] as booleans, $7::bigint as number, $8::text as nothing, $9::jsonb as json,
           $10::timestamptz as time, $11::text as text, $12::text[] as none, $13::boolean as boolean`
      )
      const json = { a: ['"', '\\', 'é'] }
      const values = [
        texts,
        bytes,
        Buffer.from('short'),
        long[0],
        long[1],
        [true, false, null],
        2 ** 53 - 1,
        undefined,
        json,
        new Date(1_700_000_000_123),
        'é'.repeat(20_000),
        [],
        false
      ]
      // The first run prepares and describes, the second does neither.
      for (let run = 0; run < 2; run++) {
        const [row] = await database.query<Record<string, unknown>>(parameters, values)
        expect(row).to.deep.equal({
          texts,
          bytes,
          short: Buffer.from('short'),
          long: long[0],
          longer: long[1],
          booleans: [true, false, null],
          number: Number.MAX_SAFE_INTEGER,
          nothing: null,
          json,
          time: new Date(1_700_000_000_123),
          text: 'é'.repeat(20_000),
          none: [],
          boolean: false
        })
      }
      const wrong = database.query(ONE, [() => 1])
      expect(await wrong.catch((error: unknown) => error)).to.be.instanceOf(TypeError)
    })

    it('of a statement that fails are not taken for those of the next', async () => {
      const single = createDatabase({ connectionString: test.connectionString, logger, maxConnections: 1 })
      const divide = statement('divide', 'select 1 / $1::int as quotient')
      const malformed = statement('malformed', 'selec 1')
      for (const [failing, values] of [
        [divide, [0]],
        [malformed, []]
      ] as const) {
        const failure = await single.query(failing, values).catch((error: unknown) => error)
        expect(failure).to.be.instanceOf(Error)
        expect(await single.query(ONE)).to.deep.equal([{ one: 1 }])
      }
      expect(await single.query(divide, [1])).to.deep.equal([{ quotient: 1 }])
      expect(await single.query(divide, [1])).to.deep.equal([{ quotient: 1 }])
      await single.close()
    })

    it('beyond 2^53 are an error rather than another number', async () => {
      const query = database.query(statement('too big', 'select 9007199254740993::bigint'))
      expect(await query.catch((error: unknown) => error)).to.be.instanceOf(RangeError)
      expect(await database.query(ONE)).to.deep.equal([{ one: 1 }])
    })
  })

  it('prepares a statement once per connection', async () => {
    const single = createDatabase({ connectionString: test.connectionString, logger, maxConnections: 1 })
    for (let i = 0; i < 3; i++) await single.query(PID)
    const rows = await single.query<{ uses: number }>(
      statement(
        'prepared',
        `select generic_plans + custom_plans as uses from pg_prepared_statements where name = 'pid'`
      )
    )
    expect(rows).to.deep.equal([{ uses: 3 }])
    await single.close()
  })

  it('prepares a statement without a name each time', async () => {
    const single = createDatabase({ connectionString: test.connectionString, logger, maxConnections: 1 })
    for (const n of [1, 2, 1]) {
      const text = `select ${n}::bigint as n${n}`
      expect(await single.query({ name: '', text })).to.deep.equal([{ [`n${n}`]: n }])
      expect(await single.query(ONE)).to.deep.equal([{ one: 1 }])
    }
    await single.close()
  })

  it('runs a statement that was prepared before its table changed', async () => {
    const all = statement('all', 'select * from changing')
    await database.query(statement('make', 'create table changing as select 1 as a'))
    expect(await database.query(all)).to.deep.equal([{ a: 1 }])
    await database.query(statement('alter', 'alter table changing add column b int default 2'))
    expect(await database.query(all)).to.deep.equal([{ a: 1, b: 2 }])
  })

  describe('transaction', () => {
    it('commits all or nothing', async () => {
      await database.transaction(async tx => {
        await tx.query(INSERT, [1])
        await tx.query(INSERT, [2])
      })
      const refused = new ApiError(409, 'ERR_TEST', 'no')
      const failing = database.transaction(async tx => {
        await tx.query(INSERT, [3])
        throw refused
      })
      expect(await failing.catch((error: unknown) => error)).to.equal(refused)
      expect(await database.query(COUNT)).to.deep.equal([{ n: 2 }])
    })

    it('passes the error of a statement on, with its code', async () => {
      const twice = database.transaction(async tx => {
        await tx.query(INSERT, [1])
        await tx.query(INSERT, [1])
      })
      const error = await twice.catch((reason: unknown) => reason)
      expect(hasSqlState(error, '23505')).to.equal(true)
      expect(await database.query(COUNT)).to.deep.equal([{ n: 0 }])
    })

    it('rejects when a failed statement was ignored, as nothing is committed then', async () => {
      const ignoring = database.transaction(async tx => {
        await tx.query(INSERT, [1])
        await tx.query(FAIL, ['22012']).catch(() => {})
      })
      expect(await ignoring.catch((error: Error) => error.message)).to.match(/ignored/)
      expect(await database.query(COUNT)).to.deep.equal([{ n: 0 }])
    })

    it('cannot be used after its end', async () => {
      const tx = await database.transaction(async inside => inside)
      expect(await tx.query(ONE).catch((error: Error) => error.message)).to.match(/after the end/)
    })

    it('runs again after a serialization failure, at most three times', async () => {
      let runs = 0
      const result = await database.transaction(async tx => {
        await tx.query(INSERT, [1])
        if (++runs <= 3) await tx.query(FAIL, ['40001'])
        return 'done'
      })
      expect([result, runs, await database.query(COUNT)]).to.deep.equal(['done', 4, [{ n: 1 }]])

      runs = 0
      const hopeless = database.transaction(async tx => {
        runs++
        await tx.query(FAIL, ['40001'])
      })
      expect(hasSqlState(await hopeless.catch((error: unknown) => error), '40001')).to.equal(true)
      expect(runs).to.equal(4)
    })
  })

  it('runs a statement again that lost a deadlock', async () => {
    await database.query(INSERT, [1])
    await database.query(INSERT, [2])
    await database.query(
      statement(
        'create both',
        `create function add_both(one int, other int) returns void language plpgsql as $$ begin
           set local deadlock_timeout = '200ms';
           update numbers set n = n + 1 where id = one;
           update numbers set n = n + 1 where id = other;
         end $$`
      )
    )
    const waiting = statement(
      'waiting',
      `select from pg_stat_activity where wait_event_type = 'Lock' and query like '%add_both%' and datname = current_database()`
    )
    let alone: Promise<unknown> | undefined
    await database.transaction(async tx => {
      await tx.query(statement('patient', `set local deadlock_timeout = '10s'`))
      await tx.query(ADD, [1])
      alone = database.query(statement('both', 'select add_both(2, 1)'))
      while ((await database.query(waiting)).length === 0);
      await tx.query(ADD, [2])
    })
    await alone
    const rows = await database.query(statement('all numbers', 'select id, n from numbers order by id'))
    expect(rows).to.deep.equal([
      { id: 1, n: 2 },
      { id: 2, n: 2 }
    ])
  })

  describe('while Postgres is away', () => {
    it('answers 503 for connections that are cut off, does not crash, and recovers', async () => {
      const victim = createDatabase({
        connectionString: test.connectionString,
        logger,
        applicationName: 'victim'
      })
      const terminate = statement(
        'terminate',
        `select count(*) filter (where pg_terminate_backend(pid)) as n from pg_stat_activity
         where application_name = 'victim' and datname = current_database()`
      )
      const sleeping = statement(
        'sleeping',
        `select from pg_stat_activity where application_name = 'victim' and wait_event = 'PgSleep'
           and datname = current_database()`
      )
      await Promise.all([victim.query(ONE), victim.query(ONE)])
      const cut = [
        refusal(victim.query(SLEEP, [10])),
        refusal(victim.transaction(tx => tx.query(SLEEP, [10])))
      ]
      while ((await database.query(sleeping)).length < 2);
      expect(await database.query(terminate)).to.deep.equal([{ n: 2 }])
      for (const error of await Promise.all(cut)) expectUnavailable(error)
      expect(await victim.query(ONE)).to.deep.equal([{ one: 1 }])

      // Now the connection is idle, where nobody waits for its error.
      await database.query(terminate)
      await new Promise(resolve => setImmediate(resolve))
      const next = await victim.query(ONE).catch(() => victim.query(ONE))
      expect(next).to.deep.equal([{ one: 1 }])
      await victim.close()
    })

    it('answers 503 at once if nobody listens', async () => {
      const nowhere = createDatabase({ connectionString: 'postgresql://127.0.0.1:1/none', logger })
      const started = performance.now()
      const error = await refusal(nowhere.query(ONE))
      expectUnavailable(error)
      expect(error.cause).to.have.property('code', 'ECONNREFUSED')
      expect(performance.now() - started).to.be.below(1_000)
      await nowhere.close()
    })

    it('answers 503 soon if somebody listens and says nothing', async () => {
      const sockets: Socket[] = []
      const mute = createServer(socket => sockets.push(socket)).listen(0, '127.0.0.1')
      await once(mute, 'listening')
      const { port } = mute.address() as AddressInfo
      const silent = createDatabase({ connectionString: `postgresql://127.0.0.1:${port}/none`, logger })
      const started = performance.now()
      expectUnavailable(await refusal(silent.transaction(async () => {})))
      expect(performance.now() - started).to.be.within(900, 1_900)
      await silent.close()
      for (const socket of sockets) socket.destroy()
      mute.close()
    })

    it('answers 503 if no connection becomes free', async () => {
      const narrow = createDatabase({ connectionString: test.connectionString, logger, maxConnections: 1 })
      const long = narrow.query(SLEEP, [2.5])
      const started = performance.now()
      expectUnavailable(await refusal(narrow.query(ONE)))
      expect(performance.now() - started).to.be.within(1_900, 2_400)
      await long
      expect(await narrow.query(ONE)).to.deep.equal([{ one: 1 }])
      await narrow.close()
    })

    for (const [code, what] of [
      ['53100', 'the disk is full'],
      ['53300', 'there are too many connections'],
      ['57014', 'a statement takes too long'],
      ['57P03', 'it starts'],
      ['08006', 'the connection fails']
    ] as const) {
      it(`answers 503 if ${what}`, async () => {
        expectUnavailable(await refusal(database.query(FAIL, [code])))
        expectUnavailable(await refusal(database.transaction(tx => tx.query(FAIL, [code]))))
      })
    }
  })
})
