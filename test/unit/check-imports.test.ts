import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect } from 'chai'

describe('check-imports', () => {
  const root = join(tmpdir(), `peerserv-imports-${randomUUID()}`)

  function check(files: Record<string, string>): { status: number | null; problems: string[] } {
    rmSync(root, { recursive: true, force: true })
    for (const file of ['src/empty.ts', 'federation/empty.ts', ...Object.keys(files)]) {
      mkdirSync(dirname(join(root, file)), { recursive: true })
      writeFileSync(join(root, file), files[file] ?? '')
    }
    const { status, stderr } = spawnSync(process.execPath, ['scripts/check-imports.js', root], {
      encoding: 'utf8'
    })
    return { status, problems: stderr.split('\n').filter(line => line !== '') }
  }

  after(() => rmSync(root, { recursive: true, force: true }))

  it('lets pass what the architecture allows', () => {
    const files = {
      'src/node.ts': `import { federation } from '../federation/index.js'`,
      'src/config.ts': 'process.env',
      'src/storage/database.ts': `import pg from 'pg'`,
      'src/api/a.ts': '// never process.env here',
      'federation/queue.ts': `import {\n  Queue\n} from 'bullmq'\nimport { Redis } from 'ioredis'`,
      'federation/api/a.ts': `import type { Context } from '../../src/context.js'\nimport '../storage/tokens.js'`,
      'federation/sync/a.ts': `import '../delivery/outcome.js'`
    }
    expect(check(files)).to.deep.equal({ status: 0, problems: [] })
  })

  const forbidden: [string, string][] = [
    ['src/app.ts', `import type { X } from '../federation/index.js'`],
    ['src/api/a.ts', `export { x } from '../../federation/queue.js'`],
    ['src/api/a.ts', `import pg from 'pg'`],
    ['src/api/a.ts', 'const port = process.env.PORT'],
    ['src/rates/budget.ts', `import { Redis } from 'ioredis'`],
    ['src/rates/budget.ts', `import { RateLimiterRedis } from 'rate-limiter-flexible'`],
    ['src/api/send.ts', `await import('@bsv/sdk')`],
    ['federation/api/a.ts', `import { createApp } from '../../src/app.js'`],
    ['federation/api/a.ts', `import {\n  deliver\n} from '../delivery/deliver.js'`],
    ['federation/overlay/a.ts', `import '../api/lookup.js'`],
    ['federation/phip/token.ts', `import type { Logger } from '../../src/logger.js'`],
    ['federation/origin/proof.ts', 'const now = Date.now()'],
    ['federation/delivery/a.ts', `import { request } from 'undici'`],
    ['federation/delivery/a.ts', `import '../sync/pass-on.js'`],
    ['federation/storage/a.ts', `import pg from 'pg/lib/client.js'`]
  ]
  for (const [file, text] of forbidden) {
    it(`refuses in ${file}: ${text.replaceAll('\n', '')}`, () => {
      const { status, problems } = check({ [file]: text })
      expect(status).to.equal(1)
      expect(problems).to.have.length(1)
      expect(problems[0]).to.match(
        new RegExp(`^${file} (imports [^ ]+[;,] |is pure and must not |reads process.env)`)
      )
    })
  }
})
