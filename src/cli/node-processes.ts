import cluster from 'node:cluster'
import { extname, join } from 'node:path'
import type { Configuration } from '../config.js'
import { Lifecycle } from '../lifecycle.js'
import type { Logger } from '../logger.js'
import { prepareDatabase } from '../prepared-database.js'
import type { Introduction } from './summary.js'
import { SupervisedProcess } from './supervised-process.js'

/** A node as `start` has it, in this process or in several. */
export interface RunningNode {
  /** Of each process. */
  readonly introductions: readonly [Introduction, ...Introduction[]]
  /** Stops as one process does; see Node. */
  stop(): Promise<void>
}

/** What each process runs, also where this program runs from its sources. */
const ENTRY = join(import.meta.dirname, `node-process${extname(import.meta.filename)}`)

/** What a process has after its drain; one that runs by itself ends within 10 s. */
const STOP_MILLISECONDS = 11_000
/** What an embedded Postgres needs at most after that. */
const POSTGRES_MILLISECONDS = 10_000

/**
 * Runs the node in several processes on one database, which this process owns and outlives: the embedded Postgres, where it is
 * used, is started first and stopped last. The processes share PORT; this one hands each new connection to the next of them.
 * A process that ends is started again.
 *
 * @throws StartError with one sentence for a person if any of them cannot start
 */
export async function startProcesses(configuration: Configuration, logger: Logger): Promise<RunningNode> {
  const { processes: count, drainMilliseconds } = configuration.config
  const processMilliseconds = drainMilliseconds + STOP_MILLISECONDS
  const lifecycle = new Lifecycle(logger)
  const stop = () => lifecycle.stop(processMilliseconds + POSTGRES_MILLISECONDS)
  try {
    const connectionString = await prepareDatabase(configuration, logger, lifecycle)
    // A structured copy of the configuration; a channel is seen by nobody, other than environments and arguments.
    cluster.setupPrimary({ exec: ENTRY, args: [], serialization: 'advanced' })
    const processes = Array.from(
      { length: count },
      (_, number) => new SupervisedProcess({ number, configuration, connectionString }, logger)
    )
    lifecycle.add('processes', () => Promise.all(processes.map(each => each.stop(processMilliseconds))))
    const [first, ...others] = processes
    // The first one makes what is made once, like the key, and finds out whether the node can run at all.
    const introduction = await first!.start()
    const introductions = await Promise.all(others.map(each => each.start()))
    return { introductions: [introduction, ...introductions], stop }
  } catch (error) {
    await stop()
    throw error
  }
}
