import { constants } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from './logger.js'

/** What was opened, to be closed in reverse order. */
export class Lifecycle {
  readonly #logger: Logger
  readonly #opened: { name: string; stop: () => Promise<unknown> | unknown }[] = []
  #stopped: Promise<void> | undefined

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /**
   * To be called right after something was opened.
   *
   * @param stop resolves when it is closed; a rejection is logged and does not keep the others from closing
   */
  add(name: string, stop: () => Promise<unknown> | unknown): void {
    this.#opened.push({ name, stop })
  }

  /**
   * Closes everything, last opened first. Called again, it waits for the same end.
   *
   * @param limitMilliseconds for all together. After it, what does not answer is left behind, and what was opened
   * before it is still closed, since that includes what must not be cut off, like the embedded Postgres.
   */
  stop(limitMilliseconds: number): Promise<void> {
    this.#stopped ??= this.#stop(performance.now() + limitMilliseconds)
    return this.#stopped
  }

  async #stop(end: number): Promise<void> {
    for (let opened = this.#opened.pop(); opened !== undefined; opened = this.#opened.pop()) {
      const { name, stop } = opened
      const limit = new AbortController()
      try {
        const left = Math.max(end - performance.now(), LEAST_MILLISECONDS)
        const overdue = delay(left, 'overdue', { signal: limit.signal })
        const closed = await Promise.race([Promise.resolve().then(stop), overdue.catch(() => undefined)])
        if (closed === 'overdue')
          this.#logger.error({ part: name }, 'does not stop in time and is left behind')
        else this.#logger.debug({ part: name }, 'stopped')
      } catch (error) {
        this.#logger.error({ part: name, err: error }, 'failed to stop')
      } finally {
        limit.abort()
      }
    }
  }
}

/** What is closed after the limit has this long all the same. */
const LEAST_MILLISECONDS = 1_000

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const

/** npm passes on to its child the ctrl-c that the terminal has sent to both of them. */
const ECHO_MILLISECONDS = 500

/**
 * Lets the first SIGTERM, SIGINT (ctrl-c) or SIGHUP (closed terminal) stop the program in order, and the second end
 * it at once.
 *
 * @param stop called once with the name of the signal
 * @param echoMilliseconds signals this soon after the first are the first again
 * @returns takes the handlers away again
 */
export function onSignals(
  stop: (signal: NodeJS.Signals) => void,
  echoMilliseconds: number = ECHO_MILLISECONDS
): () => void {
  let first: number | undefined
  const handle = (signal: NodeJS.Signals): void => {
    if (first === undefined) {
      first = performance.now()
      stop(signal)
    } else if (performance.now() - first >= echoMilliseconds) {
      // The exit code by which shells know a process that a signal ended.
      process.exit(128 + constants.signals[signal])
    }
  }
  for (const signal of SIGNALS) process.on(signal, handle)
  return () => {
    for (const signal of SIGNALS) process.off(signal, handle)
  }
}
