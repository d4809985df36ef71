import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TestUser } from './client.js'
import { ensureCompiled, ROOT } from './compiled.js'
import { createTestDatabase, type TestDatabase } from './database.js'
import { freePort } from './nodes.js'

/** A node of the `local` network as a process of its own, which can be killed; its database stays. */
export interface ProcessNode {
  readonly url: string
  readonly domain: string
  readonly identityKey: string
  readonly databases: TestDatabase
  /** Resolves when the process that runs now, or is being started, answers. */
  readonly running: Promise<void>
  start(): Promise<void>
  /**
   * Ends the process as a power failure would, and starts another one.
   *
   * @param clockAhead how much time seems to have passed, ms
   */
  crash(clockAhead?: number): Promise<void>
  remove(): Promise<void>
}

export interface ProcessNodeOptions {
  /** Two with one name have one identity key. */
  readonly name: string
  readonly port: number
  readonly databases: TestDatabase
  readonly environment?: Readonly<Record<string, string>>
}

const ENTRY = join(ROOT, 'test', 'support', 'node-process.js')

/** Not started yet. */
export function createProcessNode({ name, port, databases, environment }: ProcessNodeOptions): ProcessNode {
  const { privateKey, identityKey } = new TestUser(`node ${name}`)
  const settings = {
    PORT: String(port),
    ADMIN_PORT: '0',
    PUBLIC_DOMAIN: `localhost:${port}`,
    DATA_DIR: join(tmpdir(), `peerserv-node-${randomUUID()}`),
    DATABASE_URL: databases.connectionString,
    SERVER_PRIVATE_KEY: privateKey.toString('hex'),
    DRAIN_SECONDS: '0',
    LOG_LEVEL: 'fatal',
    ...environment
  }
  let child: ChildProcess | undefined
  let running: Promise<void> = Promise.reject(new Error('not started'))
  running.catch(() => {})

  async function launch(clockAhead: number): Promise<void> {
    const { PATH, HOME, TMPDIR } = process.env
    ensureCompiled()
    child = spawn(process.execPath, [ENTRY], {
      env: { PATH, HOME, TMPDIR, ...settings, TEST_CLOCK_AHEAD: String(clockAhead) },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc']
    })
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`node ${name} ended with ${code}`)
    })
    await Promise.race([once(child, 'message'), ended])
    ended.catch(() => {})
  }

  async function kill(): Promise<void> {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  return {
    url: `http://localhost:${port}`,
    domain: `localhost:${port}`,
    identityKey,
    databases,
    get running() {
      return running
    },
    start() {
      running = launch(0)
      return running
    },
    crash(clockAhead = 0) {
      running = kill().then(() => launch(clockAhead))
      return running
    },
    async remove() {
      await kill()
      await databases.drop()
    }
  }
}

/** Running nodes that know each other as overlay hosts, each on a database of its own. */
export async function startProcessMesh(names: readonly string[]): Promise<ProcessNode[]> {
  const ports = await Promise.all(names.map(freePort))
  const nodes = await Promise.all(
    names.map(async (name, i) =>
      createProcessNode({
        name,
        port: ports[i]!,
        databases: await createTestDatabase(),
        environment: {
          PEERS: ports
            .filter((_, other) => other !== i)
            .map(port => `http://localhost:${port}`)
            .join()
        }
      })
    )
  )
  await Promise.all(nodes.map(node => node.start()))
  return nodes
}
