import { createLogger } from '../logger.js'
import { createNode } from '../node.js'
import { StartError } from '../start-error.js'
import type { Report, Work } from './process-channel.js'
import { introduce, queueOf } from './summary.js'

/**
 * Runs one process of a node, and tells its supervisor whether it starts.
 *
 * @param stopped resolves when it is to stop
 * @returns the exit code
 */
export async function runProcess(work: Work, stopped: Promise<void>): Promise<number> {
  const { configuration, number, connectionString } = work
  try {
    const logger = createLogger(configuration.config.logLevel).child({ process: number })
    const node = await createNode(configuration, { logger, process: { number, connectionString } })
    await report({ introduction: introduce(node, queueOf(configuration)) })
    await stopped
    await node.stop()
    return 0
  } catch (error) {
    const { message, stack } = error instanceof Error ? error : new Error(String(error))
    await report({ isStartError: error instanceof StartError, message, stack })
    return 1
  }
}

/** Resolves when it was handed over. */
function report(what: Report): Promise<void> {
  return new Promise(resolve => process.send!(what, undefined, undefined, () => resolve()))
}
