import { readConfiguration } from '../config.js'
import { onSignals } from '../lifecycle.js'
import { createLogger } from '../logger.js'
import { createNode } from '../node.js'
import { type Command, parseArguments } from './command.js'
import { summaryBox, summaryOf } from './summary.js'

/** When everything is closed, whatever still keeps the process alive gets no longer than this, ms. */
const LINGER_MILLISECONDS = 500

export const start: Command = {
  usage: 'start',
  description: `Runs a node until ctrl-c or SIGTERM. It is configured by environment variables and by the file
that CONFIG_FILE names (docs/configuration.md lists them); without any it listens on
http://localhost:8080 and keeps everything in ./data. The log goes to standard error.`,
  options: {},
  async run(args, { output, environment }) {
    parseArguments({}, args)
    const configuration = readConfiguration(environment)
    for (const warning of configuration.warnings) output.complain(`Warning: ${warning}`)

    const stop = signalled()
    const logger = createLogger(configuration.config.logLevel)
    const node = await createNode(configuration, { logger })
    for (const warning of node.key.warnings) output.complain(`Warning: ${warning}`)
    const queue = configuration.secrets.redisUrl === undefined ? 'postgres' : 'redis'
    output.event(summaryOf(node, queue), summaryBox(node, queue))

    const reason = await stop
    output.event({ event: 'stopping', reason }, `Stopping (${reason}) …`)
    await node.stop()
    output.event({ event: 'stopped' }, 'Stopped.')
    setTimeout(() => process.exit(), LINGER_MILLISECONDS).unref()
  }
}

/** Resolves when the node is to stop; a signal that comes while it still starts counts too. */
function signalled(): Promise<string> {
  return new Promise(resolve => {
    onSignals(resolve)
    // Who started this process with a channel to it, as `mesh` does, wants it to end with himself.
    process.once('disconnect', () => resolve('disconnected'))
    process.channel?.unref()
  })
}
