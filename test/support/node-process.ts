import { readConfiguration } from '../../src/config.js'
import { createLogger } from '../../src/logger.js'
import { createNode } from '../../src/node.js'

/*
 * A node as a process of its own, started by process-node.ts: says `ready` to its parent once it answers, and ends with it.
 */
process.on('disconnect', () => process.exit(1))

const configuration = readConfiguration(process.env)
/** How far its clock is ahead, ms: what takes a minute need not be waited for. */
const ahead = Number(process.env.TEST_CLOCK_AHEAD ?? 0)
await createNode(configuration, {
  logger: createLogger(configuration.config.logLevel),
  clock: { now: () => Date.now() + ahead },
  // The shortest waits there are.
  federation: { random: () => 0 }
})
process.send?.('ready')
