import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect } from 'chai'
import { CommandError } from '../../src/cli/command.js'
import { MeshNode } from '../../src/cli/mesh-node.js'
import { freePort } from '../support/nodes.js'
import { Folder, Program } from './program.js'

/** Below what systems hand out for port 0, and apart from the ports that nodes have by default. */
const FIRST_PORT = 20_000
const PORTS = 10_000

describe('mesh', function () {
  this.timeout(90_000)
  const folder = new Folder()
  const program = new Program(folder)

  after(() => folder.remove())

  it('delivers between three nodes, one of them stopped in between, and ends', async () => {
    const args = ['--port', String(await freeBase()), '--data', folder.file('mesh-data')]
    const { code, stdout, stderr } = await program.run('mesh', '--once', '--json', ...args)
    expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' })
    const events = stdout
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
    expect(events.map(({ step, event }) => step ?? event)).to.deep.equal([
      ...['start', 'authorize', 'advertise'],
      ...['send', 'arrive', 'list', 'acknowledge'],
      ...['stop', 'send', 'start', 'arrive', 'list', 'acknowledge'],
      'delivered'
    ])
    for (const { step, milliseconds } of events)
      if (step !== undefined) expect(milliseconds).to.be.at.least(0)
    expect(events.filter(({ step }) => step === 'send').map(({ what }) => what)).to.satisfy(
      (texts: string[]) => texts.every(what => what.endsWith('(accepted: forwarding)'))
    )
  })

  it('fails with what a node says that cannot start', async () => {
    const data = folder.file('exposed')
    mkdirSync(data)
    writeFileSync(join(data, 'identity.key'), '11'.repeat(32), { mode: 0o644 })
    const node = new MeshNode({ name: 'B', port: await freePort(), folder: data, peers: [], environment: {} })
    const failure = await node.start().catch((error: unknown) => error)
    expect(failure).to.be.instanceOf(CommandError)
    expect(String(failure)).to.contain('Node B does not start: Others may read the identity key')
    await node.stop()
  })
})

/** The first of three ports that are free, and those for their metrics too. */
async function freeBase(): Promise<number> {
  for (;;) {
    const base = FIRST_PORT + Math.floor(Math.random() * PORTS)
    const wanted = [0, 1, 2].flatMap(offset => [base + offset, base + offset + 1_000])
    const free = await Promise.all(wanted.map(isFree))
    if (free.every(Boolean)) return base
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
    server.close()
    await once(server, 'close')
    return true
  } catch {
    return false
  }
}
