import { readConfiguration } from '../../dist/src/config.js'
import { createLogger } from '../../dist/src/logger.js'
import { createNode } from '../../dist/src/node.js'

/*
 * A node as a process of its own, started by process-node.ts and fault-process.ts: says `ready` to its parent once it
 * answers, and ends with it. It runs what was compiled, which starts twice as fast as the sources.
 */
process.on('disconnect', () => process.exit(1))

const { TEST_CLOCK_AHEAD, TEST_CLAIM_MILLISECONDS, TEST_CALL_MILLISECONDS } = process.env
const configuration = readConfiguration(process.env)
/** How far its clock is ahead, ms: what takes a minute need not be waited for. */
const ahead = Number(TEST_CLOCK_AHEAD ?? 0)
const call = Number(TEST_CALL_MILLISECONDS)
const node = await createNode(configuration, {
  logger: createLogger(configuration.config.logLevel),
  clock: { now: () => Date.now() + ahead },
  federation: {
    // The shortest waits there are.
    random: () => 0,
    ...(TEST_CLAIM_MILLISECONDS !== undefined && { claimMilliseconds: Number(TEST_CLAIM_MILLISECONDS) }),
    ...(TEST_CALL_MILLISECONDS !== undefined && {
      outbound: { timeouts: { connect: call, headers: call, total: call } }
    })
  }
})
process.once('SIGTERM', async () => {
  await node.stop()
  process.exit(0)
})
process.send?.('ready')
