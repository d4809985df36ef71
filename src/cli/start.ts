import { type Configuration, readConfiguration } from '../config.js'
import { SETTINGS } from '../config-schema.js'
import { onSignals } from '../lifecycle.js'
import { createLogger, type Logger } from '../logger.js'
import { createNode } from '../node.js'
import { type Command, parseArguments, type Surroundings, UsageError } from './command.js'
import { type RunningNode, startProcesses } from './node-processes.js'
import { introduce, queueOf } from './summary.js'

/** When everything is closed, whatever still keeps the process alive gets no longer than this, ms. */
const LINGER_MILLISECONDS = 500

const OPTIONS = {
  processes: {
    type: 'string',
    value: '<n>',
    help: 'processes that share the work, one for each core to be used (default: PROCESSES, which is 1)'
  }
} as const

export const start: Command = {
  usage: 'start [options]',
  description: `Runs a node until ctrl-c or SIGTERM. It is configured by environment variables and by the file
that CONFIG_FILE names (docs/configuration.md lists them); without any it listens on
http://localhost:8080 and keeps everything in ./data. The log goes to standard error.`,
  options: OPTIONS,
  async run(args, { output, environment }) {
    const { values } = parseArguments(OPTIONS, args)
    const configuration = readConfiguration(withProcesses(values.processes, environment))
    for (const warning of configuration.warnings) output.complain(`Warning: ${warning}`)

    const stop = signalled()
    const logger = createLogger(configuration.config.logLevel)
    const run = configuration.config.processes === 1 ? startHere : startProcesses
    const { introductions, stop: stopNode } = await run(configuration, logger)
    const [{ summary, box, warnings }] = introductions
    for (const warning of warnings) output.complain(`Warning: ${warning}`)
    output.event({ ...summary, processes: introductions.map(({ process }) => process) }, box)

    const reason = await stop
    output.event({ event: 'stopping', reason }, `Stopping (${reason}) …`)
    await stopNode()
    output.event({ event: 'stopped' }, 'Stopped.')
    setTimeout(() => process.exit(), LINGER_MILLISECONDS).unref()
  }
}

/** Runs the node in this process. */
async function startHere(configuration: Configuration, logger: Logger): Promise<RunningNode> {
  const node = await createNode(configuration, { logger })
  return { introductions: [introduce(node, queueOf(configuration))], stop: () => node.stop() }
}

/** @throws UsageError if the option is no number of processes */
function withProcesses(
  given: string | undefined,
  environment: Surroundings['environment']
): Surroundings['environment'] {
  if (given === undefined) return environment
  const { parser } = SETTINGS.PROCESSES
  if (parser.parse(given) === undefined) {
    throw new UsageError(`--processes is '${given}'; it may be ${parser.expected}`)
  }
  return { ...environment, PROCESSES: given }
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
