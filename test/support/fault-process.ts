import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { ensureCompiled, ROOT } from './compiled.js'

const ENTRY = join('test', 'support', 'node-process.js')

export interface FaultProcessOptions {
  /** For messages of failure. */
  readonly name: string
  /** Its settings; the environment of this process is not passed on. */
  readonly environment: Readonly<Record<string, string>>
  /** Folder with the build it runs; default: this repository. */
  readonly root?: string
}

/** A process of a node, which can be killed, frozen and started again. */
export class FaultProcess {
  readonly name: string
  /** How it ended although nobody had ended it. */
  death: string | undefined
  readonly #options: FaultProcessOptions
  #child: ChildProcess | undefined
  #ended: Promise<unknown> = Promise.resolve()
  #isEnding = false

  constructor(options: FaultProcessOptions) {
    this.name = options.name
    this.#options = options
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /**
   * Resolves when it answers.
   *
   * @param clockAhead how far its clock is ahead of the true time, ms
   */
  async start(clockAhead = 0): Promise<void> {
    const { PATH, HOME, TMPDIR } = process.env
    const { environment, root = ROOT } = this.#options
    ensureCompiled()
    const child = spawn(process.execPath, [ENTRY], {
      cwd: root,
      env: { PATH, HOME, TMPDIR, ...environment, TEST_CLOCK_AHEAD: String(clockAhead) },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc']
    })
    this.#child = child
    this.#isEnding = false
    this.#ended = once(child, 'exit').then(([code, signal]) => {
      if (!this.#isEnding) this.death = `${this.name} ended by itself (${code ?? signal})`
    })
    const ready = once(child, 'message')
    const early = this.#ended.then(() => {
      throw new Error(`${this.name} ended before it was ready`)
    })
    early.catch(() => {})
    await Promise.race([ready, early])
  }

  /** Ends it as a power failure would. */
  kill(): Promise<void> {
    return this.#end('SIGKILL')
  }

  /** Lets it stop in order. */
  terminate(): Promise<void> {
    return this.#end('SIGTERM')
  }

  /** Nothing of it runs any more, and its connections stay open, until `thaw`. */
  freeze(): void {
    this.#child?.kill('SIGSTOP')
  }

  thaw(): void {
    this.#child?.kill('SIGCONT')
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (!this.isRunning) return
    this.#isEnding = true
    this.#child!.kill(signal)
    await this.#ended
  }
}
