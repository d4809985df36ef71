import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { extname, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { SETTINGS } from '../config-schema.js'
import { ensureDataDirectory } from '../data-directory.js'
import { isObject } from '../message.js'
import { CommandError, type Surroundings } from './command.js'

export interface MeshNodeOptions {
  /** `A`, `B`, … */
  readonly name: string
  readonly port: number
  /** Its DATA_DIR, absolute; the log is in it too. */
  readonly folder: string
  readonly peers: readonly string[]
  readonly environment: Surroundings['environment']
}

/** This program, also where it runs from its sources. */
const MAIN = join(import.meta.dirname, '..', `main${extname(import.meta.filename)}`)

/** One node of a mesh: a process of this program with a data folder of its own. */
export class MeshNode {
  readonly name: string
  readonly url: string
  readonly port: number
  readonly #options: MeshNodeOptions
  #child: ChildProcess | undefined

  constructor(options: MeshNodeOptions) {
    this.name = options.name
    this.port = options.port
    this.url = `http://localhost:${options.port}`
    this.#options = options
  }

  get log(): string {
    return join(this.#options.folder, 'node.log')
  }

  /**
   * Starts the process and waits until the node takes requests.
   *
   * @throws CommandError with what the node says
   */
  async start(): Promise<void> {
    const { folder } = this.#options
    ensureDataDirectory(folder)
    const log = openSync(this.log, 'a', 0o600)
    const child = spawn(process.execPath, [...process.execArgv, MAIN, 'start', '--json'], {
      env: this.#environment(),
      // Ctrl-c is for us: we stop the nodes. Should we be killed, the channel ends and they stop by themselves.
      detached: true,
      stdio: ['ignore', 'pipe', log, 'ipc']
    })
    closeSync(log)
    this.#child = child
    const failure = await started(child.stdout!)
    if (failure === undefined) return
    throw new CommandError(
      'ERR_NODE_NOT_STARTED',
      `Node ${this.name} does not start: ${failure} (log: ${this.log})`
    )
  }

  /** Stops the process and waits for its end. */
  async stop(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    await ended
  }

  /** Settings of this process are not those of its nodes: a key or a database that all share would be refused. */
  #environment(): Record<string, string | undefined> {
    const { port, folder, peers, environment } = this.#options
    const inherited = Object.entries(environment).filter(
      ([name]) => !(name in SETTINGS) && name !== 'CONFIG_FILE'
    )
    return {
      ...Object.fromEntries(inherited),
      PORT: String(port),
      DATA_DIR: folder,
      PEERS: peers.join(','),
      NETWORK: 'local',
      LOG_LEVEL: 'info',
      DRAIN_SECONDS: '0'
    }
  }
}

/** @returns undefined once the node takes requests; otherwise what it said when it gave up */
async function started(stdout: Readable): Promise<string | undefined> {
  let failure = 'it ended without a word'
  for await (const line of createInterface({ input: stdout })) {
    const event: unknown = JSON.parse(line)
    if (!isObject(event)) continue
    if (event.event === 'started') {
      // What it says later is not read, but must not fill the pipe.
      stdout.resume()
      return undefined
    }
    if (typeof event.description === 'string') failure = event.description
  }
  return failure
}
