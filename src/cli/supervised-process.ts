import cluster, { type Worker } from 'node:cluster'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '../logger.js'
import { StartError } from '../start-error.js'
import { LISTENING, type Order, type Report, type Work } from './process-channel.js'
import type { Introduction } from './summary.js'

const SHORTEST_PAUSE = 100
const LONGEST_PAUSE = 5_000
/** A process that ran this long did not fail to start; the next restart is quick again. */
const STEADY_MILLISECONDS = 30_000

/** One process of a node, started again whenever it ends. */
export class SupervisedProcess {
  readonly #work: Work
  readonly #logger: Logger
  readonly #stopping = new AbortController()
  #worker: Worker | undefined
  #ended: Promise<string> = Promise.resolve('not started')
  #watching: Promise<void> = Promise.resolve()

  constructor(work: Work, logger: Logger) {
    this.#work = work
    this.#logger = logger.child({ process: work.number })
  }

  /**
   * Resolves when it takes requests. From then on it is started again whenever it ends.
   *
   * @throws StartError, or the error of the program, because of which it does not start
   */
  async start(): Promise<Introduction> {
    const introduction = await this.#launch()
    this.#watching = this.#keepRunning()
    return introduction
  }

  /**
   * Lets it drain and close, and kills it if that takes too long. Resolves when it has ended.
   *
   * @param limitMilliseconds from now
   */
  async stop(limitMilliseconds: number): Promise<void> {
    this.#stopping.abort()
    const limit = setTimeout(() => {
      this.#logger.error('a process of the node does not stop in time and is killed')
      this.#worker?.process.kill('SIGKILL')
    }, limitMilliseconds)
    if (this.#worker !== undefined) order(this.#worker, 'stop')
    await this.#ended
    clearTimeout(limit)
    await this.#watching
  }

  async #keepRunning(): Promise<void> {
    const { signal } = this.#stopping
    let pause = SHORTEST_PAUSE
    while (!signal.aborted) {
      const since = performance.now()
      const ending = await this.#ended
      if (signal.aborted) return
      if (performance.now() - since > STEADY_MILLISECONDS) pause = SHORTEST_PAUSE
      this.#logger.error({ ending, pause }, 'a process of the node ended and is started again')
      await delay(pause, undefined, { signal }).catch(() => {})
      pause = Math.min(pause * 2, LONGEST_PAUSE)
      if (signal.aborted) return
      await this.#launch().then(
        ({ process: { pid } }) => this.#logger.info({ pid }, 'the process of the node runs again'),
        error => this.#logger.error({ err: error }, 'the process of the node did not start')
      )
    }
  }

  async #launch(): Promise<Introduction> {
    const worker = cluster.fork()
    this.#worker = worker
    const ended = new Promise<string>(resolve => {
      worker.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
      // Of a process that could not be made there is no other news; one that runs reports its end besides.
      worker.on('error', error => {
        if (worker.process.pid === undefined) resolve(String(error))
      })
    })
    this.#ended = ended
    const reported = new Promise<Report>(resolve => {
      worker.on('message', (message: Report | typeof LISTENING) => {
        if (message !== LISTENING) return resolve(message)
        order(worker, this.#work)
        if (this.#stopping.signal.aborted) order(worker, 'stop')
      })
    })
    const report = await Promise.race([reported, ended])
    if (typeof report === 'string') {
      throw new StartError(`Process ${this.#work.number} of the node ended while it started (${report}).`)
    }
    if ('introduction' in report) return report.introduction
    await ended
    throw failureOf(report)
  }
}

/** A process that has just ended hears nothing, which its end tells. */
function order(worker: Worker, what: Order): void {
  worker.send(what, () => {})
}

/** The error of a process, as if it had happened in this one. */
function failureOf({ isStartError, message, stack }: Extract<Report, { isStartError: boolean }>): Error {
  return isStartError ? new StartError(message) : Object.assign(new Error(message), { stack })
}
