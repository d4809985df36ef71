import { ConfigurationError, readConfiguration } from '../config.js'
import { type Command, CommandError, parseArguments, type Surroundings } from './command.js'
import {
  checkDatabase,
  checkDomain,
  checkKey,
  checkNode,
  checkQueue,
  checkRoundTrip,
  findRunningNode
} from './doctor-checks.js'
import { checkClock } from './doctor-clock.js'
import { type Finding, failed, ok, skipped } from './finding.js'
import { indented, type Output } from './output.js'

const SIGNS: Readonly<Record<Finding['state'], string>> = { ok: 'OK  ', failed: 'FAIL', skipped: '-   ' }

export const doctor: Command = {
  usage: 'doctor',
  description: `Checks the configuration and everything the node needs, whether it runs or not; give it the same
environment as 'start'. 'OK' is fine, 'FAIL' needs you and says what to do, '-' cannot be checked
now. It changes nothing, and fails if one check fails.`,
  options: {},
  async run(args, { output, environment }) {
    parseArguments({}, args)
    let failures = 0
    for await (const finding of findings(environment)) {
      show(finding, output)
      if (finding.state === 'failed') failures++
    }
    if (failures > 0) throw new CommandError('ERR_UNHEALTHY', `${failures} check(s) failed.`)
  }
}

async function* findings(environment: Surroundings['environment']): AsyncGenerator<Finding> {
  let configuration: ReturnType<typeof readConfiguration>
  try {
    configuration = readConfiguration(environment)
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error
    for (const problem of error.problems) yield failed('config', problem, 'correct it')
    return
  }
  const { config, warnings } = configuration
  yield ok('config', [`network ${config.network}, role ${config.role}`, ...warnings].join('; '))
  const { finding, identityKey } = checkKey(configuration)
  yield finding
  const running = await findRunningNode(configuration)
  const isOurs = checkNode(configuration, running, identityKey)
  yield isOurs
  // What another node depends on is not what this one needs.
  const node = isOurs.state === 'failed' ? undefined : running
  yield await checkDatabase(configuration, node)
  yield await checkQueue(configuration, node)
  yield await checkClock(configuration)
  yield await checkDomain(configuration, node, identityKey)
  yield await checkRoundTrip(configuration, node)
  if (config.network === 'test' || config.network === 'main') {
    yield skipped(
      'wallet',
      `none yet on network ${config.network}: nothing can be advertised`,
      'use NETWORK private'
    )
  }
}

function show(finding: Finding, output: Output): void {
  const { check, state, text, advice } = finding
  const line = `${SIGNS[state]}  ${check.padEnd(10)}  ${text}`
  output.event(finding, advice === undefined ? line : `${line}\n${indented(`→ ${advice}`, 18)}`)
}
