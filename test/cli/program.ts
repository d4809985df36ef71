import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { PassThrough, type Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { ensureCompiled, ROOT } from '../support/compiled.js'

export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

type Environment = Readonly<Record<string, string>>

/** A folder of the test's own; nobody else can see into it but a Postgres that runs as somebody else. */
export class Folder {
  readonly path = join(tmpdir(), `peerserv-cli-${randomUUID()}`)

  constructor() {
    mkdirSync(this.path, { mode: 0o711 })
  }

  file(...names: string[]): string {
    return join(this.path, ...names)
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

/** The program as a person has it: keys in a folder of the test, nothing else set. */
export class Program {
  readonly folder: Folder
  readonly #environment: Environment

  constructor(folder: Folder, environment: Environment = {}) {
    this.folder = folder
    this.#environment = {
      PATH: process.env.PATH ?? '',
      HOME: folder.path,
      PEERSERV_KEYS: folder.file('keys'),
      ...environment
    }
  }

  /** With further variables set. */
  with(environment: Environment): Program {
    return new Program(this.folder, { ...this.#environment, ...environment })
  }

  /** Starts it with a channel to this process, so that a node does not outlive a test that breaks off. */
  spawn(...args: readonly string[]): ChildProcess & { readonly stdout: Readable; readonly stderr: Readable } {
    ensureCompiled()
    const child = spawn(process.execPath, [join(ROOT, 'dist', 'src', 'main.js'), ...args], {
      env: this.#environment,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc']
    })
    const { stdout, stderr } = child
    if (stdout === null || stderr === null) throw new Error('no pipes')
    return Object.assign(child, { stdout, stderr })
  }

  /** Calls it in this process, which is quicker than a process for each of many calls. */
  async call(...args: readonly string[]): Promise<Outcome> {
    // As the program imports its commands, so that there is one copy of what they share.
    const { runCommandLine } = await import('../../src/cli/run.js')
    const [out, err] = [new PassThrough(), new PassThrough()]
    const read = Promise.all([text(out), text(err)])
    const code = await runCommandLine(args, this.#environment, { out, err })
    out.end()
    err.end()
    const [stdout, stderr] = await read
    return { code, stdout, stderr }
  }

  /** Runs it to its end, as a process of its own. */
  async run(...args: readonly string[]): Promise<Outcome> {
    const child = this.spawn(...args)
    const ended = once(child, 'close')
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
    const [code] = await ended
    return { code, stdout, stderr }
  }

  /** Calls it with `--json`: what it printed, line by line. */
  async json(
    ...args: readonly string[]
  ): Promise<{ code: number | null; events: Record<string, unknown>[] }> {
    const { code, stdout } = await this.call(...args, '--json')
    const lines = stdout.split('\n').filter(line => line !== '')
    return { code, events: lines.map(line => JSON.parse(line)) }
  }
}

/** The first line that fits, of a stream of JSON lines; undefined if it ends before. The stream flows on. */
export async function eventOf(
  stdout: Readable,
  fits: (event: Record<string, unknown>) => boolean
): Promise<Record<string, unknown> | undefined> {
  const lines = createInterface({ input: stdout })
  try {
    for await (const line of lines) {
      const event: Record<string, unknown> = JSON.parse(line)
      if (fits(event)) return event
    }
    return undefined
  } finally {
    stdout.resume()
  }
}
