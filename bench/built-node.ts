import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { isObject } from '../src/message.js'
import { BenchError } from './bench-error.js'
import { keepTrack } from './cleanup.js'

const MAIN = join(import.meta.dirname, '..', 'dist', 'src', 'main.js')
const READY_MILLISECONDS = 60_000
const POLL_MILLISECONDS = 5

export interface BuiltNodeOptions {
  /** Its DATA_DIR, absolute. */
  readonly dataDirectory: string
  readonly databaseUrl?: string | undefined
  readonly environment?: Readonly<Record<string, string>>
  /** Of node itself. */
  readonly execArguments?: readonly string[]
}

/** The built program as users run it: a process of its own, with its defaults, as on `npm start`. */
export class BuiltNode {
  readonly url: string
  /** Of metrics and steering. */
  readonly adminUrl: string
  readonly pid: number
  /** From the start of the process until it said that it is ready, ms. */
  readonly startMilliseconds: number
  readonly stop: () => Promise<void>
  readonly #log: string

  private constructor(
    { url, adminUrl }: NodeAddresses,
    pid: number,
    startMilliseconds: number,
    stop: () => Promise<void>,
    log: string
  ) {
    this.url = url
    this.adminUrl = adminUrl
    this.pid = pid
    this.startMilliseconds = startMilliseconds
    this.stop = stop
    this.#log = log
  }

  /** @throws BenchError with the end of its log if it does not start */
  static async start(options: BuiltNodeOptions): Promise<BuiltNode> {
    const { dataDirectory, databaseUrl, environment = {}, execArguments = [] } = options
    if (!existsSync(MAIN)) throw new BenchError(`${MAIN} is not there: npm run build`)
    makeFolder(dataDirectory)
    const logFile = join(dataDirectory, 'node.log')
    const log = openSync(logFile, 'a', 0o600)
    const { PATH, HOME, TMPDIR } = process.env
    // Not 0: tokens on the local network name the port.
    const port = await freePort()
    const begin = performance.now()
    const child = spawn(process.execPath, [...execArguments, MAIN, 'start', '--json'], {
      env: {
        ...{ PATH, HOME, TMPDIR, PORT: String(port), ADMIN_PORT: '0', DRAIN_SECONDS: '0' },
        DATA_DIR: dataDirectory,
        ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl }),
        ...environment
      },
      // Should this process be killed, the channel ends and the node with it.
      stdio: ['ignore', 'pipe', log, 'ipc'],
      detached: true
    })
    closeSync(log)
    const stop = keepTrack(() => end(child))
    const addresses = await addressesOf(child.stdout!)
    if (addresses === undefined) throw new BenchError(`The node does not start:\n${endOf(logFile)}`)
    await untilReady(addresses.url)
    return new BuiltNode(addresses, child.pid!, performance.now() - begin, stop, logFile)
  }

  /** What it wrote to standard error. */
  log(): string {
    return readFileSync(this.#log, 'utf8')
  }
}

/** Makes a folder that Postgres, which may run as another user, can pass through. */
export function makeFolder(path: string): string {
  mkdirSync(path, { recursive: true, mode: 0o711 })
  return path
}

/** Runs `work` with an empty folder, which is removed afterwards. */
export async function withFolder<T>(parent: string, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = makeFolder(join(parent, `peerserv-bench-${randomUUID()}`))
  const remove = keepTrack(async () => rmSync(folder, { recursive: true, force: true }))
  try {
    return await work(folder)
  } finally {
    await remove()
  }
}

/** A port that nothing listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  await ended
}

interface NodeAddresses {
  readonly url: string
  readonly adminUrl: string
}

/** Where it listens; undefined if it ends without saying so. */
async function addressesOf(stdout: Readable): Promise<NodeAddresses | undefined> {
  for await (const line of createInterface({ input: stdout })) {
    const event: unknown = JSON.parse(line)
    if (!isObject(event) || event.event !== 'started') continue
    const { url, adminUrl } = event
    if (typeof url === 'string' && typeof adminUrl === 'string') {
      stdout.resume()
      return { url, adminUrl }
    }
  }
  return undefined
}

async function untilReady(url: string): Promise<void> {
  const end = performance.now() + READY_MILLISECONDS
  while (performance.now() < end) {
    const answer = await fetch(`${url}/readyz`)
    await answer.arrayBuffer()
    if (answer.status === 200) return
    await delay(POLL_MILLISECONDS)
  }
  throw new BenchError(`The node at ${url} does not become ready.`)
}

function endOf(file: string): string {
  return readFileSync(file, 'utf8').slice(-2_000)
}
