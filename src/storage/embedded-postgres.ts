import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '../logger.js'
import { StartError } from '../start-error.js'
import { type Cluster, prepareCluster } from './embedded-postgres-cluster.js'
import { Ownership } from './embedded-postgres-owner.js'
import {
  endOfLog,
  type LaunchSettings,
  launch,
  readState,
  removeStalePidFile,
  stopPostgres,
  untilReady
} from './embedded-postgres-process.js'

export interface EmbeddedPostgresOptions {
  /** DATA_DIR, absolute; Postgres lives in its folder `postgres`. */
  readonly dataDirectory: string
  readonly logger: Logger
  /** False for tests: commits do not wait for the disk. Default true. */
  readonly durable?: boolean
  /** Connections that must be possible at once; no fewer than 100 are. */
  readonly connections?: number
}

export interface EmbeddedPostgres {
  readonly connectionString: string
  /** Process id of the Postgres that runs now; another one after a restart. */
  readonly pid: number | undefined
  /** Stops Postgres: to be called last, when nothing needs the database any more. */
  stop(): Promise<void>
}

const SHORTEST_PAUSE = 100
const LONGEST_PAUSE = 5_000
/** A Postgres that ran this long did not fail to start; the next restart is quick again. */
const STEADY_MILLISECONDS = 30_000
const START_ATTEMPTS = 3
/** For so long a node that starts together with others on one folder tries again until one of them owns it. */
const CONTEST_MILLISECONDS = 30_000
const LEFTOVER_MILLISECONDS = 60_000
const POLL_MILLISECONDS = 50

/**
 * Runs a Postgres of the node's own in DATA_DIR, reachable only through a Unix socket that only its user and root
 * can open. It is restarted when it dies. What a killed node left running is stopped and started anew.
 *
 * @throws StartError if another node owns the folder, or Postgres does not start
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { logger, durable = true, connections = 0 } = options
  const cluster = await prepareCluster(options.dataDirectory, logger, durable)
  const postgres = new SupervisedPostgres(cluster, logger, { durable, connections })
  await postgres.start()
  return postgres
}

class SupervisedPostgres implements EmbeddedPostgres {
  readonly connectionString: string
  readonly #cluster: Cluster
  readonly #logger: Logger
  readonly #settings: LaunchSettings
  readonly #stopping = new AbortController()
  #child: ChildProcess | undefined
  #ownership: Ownership | undefined
  #watching: Promise<unknown> = Promise.resolve()

  constructor(cluster: Cluster, logger: Logger, settings: LaunchSettings) {
    this.connectionString = cluster.connectionString
    this.#cluster = cluster
    this.#logger = logger
    this.#settings = settings
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  async start(): Promise<void> {
    try {
      await this.#startOwned()
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  async #startOwned(): Promise<void> {
    const since = performance.now()
    for (let attempt = 1; ; attempt++) {
      await this.#removeLeftover()
      try {
        await this.#launch()
        const ownership = await Ownership.take(this.connectionString)
        if (typeof ownership === 'number') throw this.#ownedBy(ownership)
        this.#ownership = ownership
        this.#watching = Promise.all([this.#keepRunning(), this.#keepOwnership(ownership)])
        return
      } catch (error) {
        const isContest = this.#lostContest(error)
        await this.#stopChild()
        const isOver = isContest
          ? performance.now() - since > CONTEST_MILLISECONDS
          : attempt >= START_ATTEMPTS
        if (isOver) throw error
        // At random, or nodes that began together would stay together.
        await this.#pause(SHORTEST_PAUSE * (1 + 3 * Math.random()))
      }
    }
  }

  /** A node that starts at the same moment may have been faster, or have taken our Postgres for a leftover. */
  #lostContest(error: unknown): boolean {
    const wasStopped = this.#child?.exitCode === 0
    return wasStopped || !(error instanceof StartError) || /postmaster\.pid|shared memory/.test(error.message)
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#ownership?.release()
    await this.#stopChild()
    await this.#watching
  }

  async #stopChild(): Promise<void> {
    const pid = this.#child?.pid
    if (pid !== undefined) await stopPostgres(this.#cluster, pid)
  }

  async #launch(): Promise<void> {
    removeStalePidFile(this.#cluster)
    const child = launch(this.#cluster, this.#settings)
    this.#child = child
    await untilReady(this.#cluster, child)
  }

  async #keepRunning(): Promise<void> {
    let pause = SHORTEST_PAUSE
    while (!this.#stopping.signal.aborted) {
      const since = performance.now()
      await this.#childEnded()
      if (this.#stopping.signal.aborted) return
      this.#logger.error({ log: endOfLog(this.#cluster) }, 'the embedded Postgres ended and is started again')
      pause = performance.now() - since > STEADY_MILLISECONDS ? SHORTEST_PAUSE : pause
      await this.#pause(pause)
      pause = Math.min(pause * 2, LONGEST_PAUSE)
      if (this.#stopping.signal.aborted) return
      await this.#launch().catch(error =>
        this.#logger.error({ err: error }, 'the embedded Postgres did not start')
      )
    }
  }

  async #childEnded(): Promise<void> {
    const child = this.#child
    // One that could not be run at all has no number, and never ends either.
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    await once(child, 'exit')
  }

  /** The lock is lost with its connection, for instance when Postgres was restarted. */
  async #keepOwnership(first: Ownership): Promise<void> {
    let ownership: Ownership | undefined = first
    while (!this.#stopping.signal.aborted) {
      await ownership?.lost
      if (this.#stopping.signal.aborted) return
      await this.#pause(SHORTEST_PAUSE)
      const result = await Ownership.take(this.connectionString).catch(() => undefined)
      ownership = result instanceof Ownership ? result : undefined
      this.#ownership = ownership
    }
    await ownership?.release()
  }

  async #pause(milliseconds: number): Promise<void> {
    await delay(milliseconds, undefined, { signal: this.#stopping.signal }).catch(() => {})
  }

  /** Stops a Postgres that no node owns; its exit could not be noticed by a process that did not start it. */
  async #removeLeftover(): Promise<void> {
    for (let waited = 0; waited < LEFTOVER_MILLISECONDS; waited += POLL_MILLISECONDS) {
      const ownership = await Ownership.take(this.connectionString).catch(() => undefined)
      if (typeof ownership === 'number') throw this.#ownedBy(ownership)
      const state = readState(this.#cluster)
      if (ownership === undefined && state === undefined) return
      if (ownership !== undefined) {
        await this.#stopLeftover(state?.pid, ownership)
        return
      }
      // It is starting, recovering or stopping.
      await delay(POLL_MILLISECONDS)
    }
    throw new StartError(
      `A Postgres runs in ${this.#cluster.home} but takes no connections; look into ${this.#cluster.log}.`
    )
  }

  async #stopLeftover(pid: number | undefined, ownership: Ownership): Promise<void> {
    if (pid === undefined) {
      await ownership.release()
      throw new StartError(
        `A Postgres that cannot be seen from here, perhaps of another container, runs in ${this.#cluster.home}; ` +
          'stop it, or set another DATA_DIR.'
      )
    }
    this.#logger.warn({ pid }, 'a Postgres that an earlier run left behind is stopped')
    await stopPostgres(this.#cluster, pid)
  }

  #ownedBy(pid: number): StartError {
    return new StartError(
      `DATA_DIR is in use by another node (process ${pid}, folder ${this.#cluster.home}); stop that one, set ` +
        'another DATA_DIR, or let several processes share one database by DATABASE_URL.'
    )
  }
}
