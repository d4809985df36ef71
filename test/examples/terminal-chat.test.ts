import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect } from 'chai'
import { startMesh, type TestNode, until } from '../support/nodes.js'

const MAIN = join(import.meta.dirname, '..', '..', 'examples', 'terminal-chat', 'main.ts')

describe('the terminal chat', () => {
  const keys = mkdtempSync(join(tmpdir(), 'peerserv-chat-'))
  const running: ChildProcess[] = []
  let nodes: TestNode[]

  before(async () => {
    nodes = await startMesh(['terminal a', 'terminal b'])
  })
  after(async () => {
    for (const child of running) child.kill()
    await Promise.all(nodes.map(node => node.remove()))
    rmSync(keys, { recursive: true })
  })

  function start(...args: string[]) {
    const child = spawn(process.execPath, ['--import', 'tsx', MAIN, ...args, '--keys', keys], {
      stdio: ['pipe', 'pipe', 'inherit']
    })
    running.push(child)
    const lines: string[] = []
    createInterface({ input: child.stdout }).on('line', line => lines.push(line))
    const shows = (text: string, count = 1) =>
      until(
        async () => lines.filter(line => line.includes(text)),
        found => found.length >= count
      )
    return { child, lines, shows, say: (text: string) => child.stdin.write(`${text}\n`) }
  }

  it('carries lines between two nodes, the same one twice too, and ends in order', async function () {
    this.timeout(120_000)
    const alice = start('alice', 'bob', nodes[0]!.url)
    const bob = start('bob', 'alice', `${nodes[1]!.url}/`)
    await Promise.all([alice.shows('You are'), bob.shows('You are')])
    alice.say('Hello Bob \u001b[2J')
    await bob.shows('alice: Hello Bob  [2J')
    bob.say('ok')
    bob.say('ok')
    await alice.shows('bob: ok', 2)
    for (const { child } of [alice, bob]) {
      const ended = once(child, 'exit')
      child.stdin.end()
      expect((await ended)[0]).to.equal(0)
    }
    expect(bob.lines.filter(line => line.startsWith('alice: '))).to.have.length(1)
  })
})
