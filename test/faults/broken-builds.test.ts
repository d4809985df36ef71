import { expect } from 'chai'
import { type BrokenBuild, breakBuild, type Change } from '../support/broken-build.js'
import { type Fault, FaultMesh } from '../support/fault-mesh.js'
import { ANSWERS_LOST, API_KILLED, WORKER_FROZEN, WORKER_KILLED } from '../support/fault-scenarios.js'
import { describeVerdict, type ViolationKind } from '../support/oracle.js'
import { chosenSeed } from '../support/random.js'

interface Mistake {
  readonly name: string
  readonly changes: readonly Change[]
  /** What an honest node survives. */
  readonly faults: readonly Fault[]
  /** What the oracle must say of this one, among other things. */
  readonly caughtAs: ViolationKind
}

const MISTAKES: readonly Mistake[] = [
  {
    name: 'answers before the commit',
    changes: [
      {
        file: 'dist/src/storage/database.js',
        from: /const client = await this\.#acquire\(\);\n(\s+let failure;\n\s+try \{\n\s+return await this\.#run)/,
        to: `const client = await this.#acquire()
      if (statement.name.startsWith('accept-sent')) {
        await client.query('begin')
        const rows = await this.#run(client, statement, values)
        setTimeout(() => {
          void client.query('commit').finally(() => this.#connections.release(client, false))
        }, 300)
        return rows
      }
$1`
      }
    ],
    faults: [API_KILLED],
    caughtAs: 'lost'
  },
  {
    name: 'takes the same message again',
    changes: [
      {
        file: 'migrations/000001_message-boxes.sql',
        from: /create unique index (messages_(?:name|shown_id|id_key))/g,
        to: 'create index $1'
      },
      {
        file: 'migrations/000001_message-boxes.sql',
        from: /(function is_name_known[^;]*?return )[^;]*;/,
        to: '$1false;'
      },
      {
        file: 'migrations/000004_acceptance.sql',
        from: /not exists \(\s*select from messages m where [^)]*m\.shown_id = p_client_ids\[i\]\s*\)/g,
        to: 'true'
      }
    ],
    faults: ANSWERS_LOST,
    caughtAs: 'doubled'
  },
  {
    name: 'believes a worker whose claim has run out',
    changes: [
      {
        file: 'migrations/000003_deliveries.sql',
        from: /and (?:d\.)?claim = (?:p_claim|f\.claim) and (?:d\.)?state = 'pending'/g,
        to: ''
      },
      {
        file: 'migrations/000003_deliveries.sql',
        from: /set claimed_until = null, last_answer/,
        to: `set state = 'pending', claimed_until = null, last_answer`
      }
    ],
    faults: [WORKER_FROZEN],
    caughtAs: 'wrongly reported'
  },
  {
    name: 'ticks a delivery off before it has arrived',
    changes: [
      {
        file: 'migrations/000003_deliveries.sql',
        from: /set attempts = d\.attempts \+ 1,/,
        to: `set state = 'delivered', attempts = d.attempts + 1,`
      }
    ],
    faults: [WORKER_KILLED],
    caughtAs: 'lost'
  }
]

for (const { name, changes, faults, caughtAs } of MISTAKES) {
  describe(`a node that ${name}`, function () {
    // Many processes start and stop; on a busy machine that takes long.
    this.timeout(120_000)
    const seed = chosenSeed()
    let build: BrokenBuild
    let mesh: FaultMesh

    before(async () => {
      build = await breakBuild(changes)
      mesh = await FaultMesh.start({ name, root: build.root })
    })
    after(async () => {
      await mesh?.remove()
      await build?.remove()
    })

    it(`does not pass the oracle: ${caughtAs}`, async () => {
      const verdict = await mesh.judge({ run: 'broken', seed, requests: 150, faults, patience: 10_000 })
      const kinds = verdict.violations.map(({ kind }) => kind)
      expect(kinds, `FAULT_SEED=${seed}\n${describeVerdict(verdict)}`).to.include(caughtAs)
    })
  })
}
