import { CommandError } from '../src/cli/command.js'
import { onSignals } from '../src/lifecycle.js'
import { StartError } from '../src/start-error.js'
import { type BenchOptions, parseBenchArguments } from './arguments.js'
import { BenchError } from './bench-error.js'
import { cleanUp } from './cleanup.js'
import { growthText, runGrowth } from './growth.js'
import { hostileText, runHostile } from './hostile.js'
import { memoryText, runMemory } from './memory.js'
import { meshText, runMesh } from './mesh.js'
import { pausesText, runPauses } from './pauses.js'
import { profileText, runProfile } from './profile.js'
import { rounded } from './report.js'
import { runSockets, socketsText } from './sockets.js'
import { runStandard, standardText } from './standard.js'

const say = (text: string): void => console.log(text)

onSignals(() => {
  void cleanUp().finally(() => process.exit(1))
})

try {
  const options = parseBenchArguments(process.argv.slice(2))
  const begin = performance.now()
  const result = await run(options)
  say(`\nTook ${Math.round((performance.now() - begin) / 1000)} s.`)
  say(JSON.stringify(rounded({ bench: options.mode, ...result })))
} catch (error) {
  await cleanUp()
  if (!(error instanceof BenchError || error instanceof CommandError || error instanceof StartError))
    throw error
  console.error(error.message)
  process.exitCode = 1
}

/** Runs what was asked for, says what came out for a person, and answers it for a program. */
async function run(options: BenchOptions): Promise<object> {
  switch (options.mode) {
    case 'mesh': {
      const result = await runMesh(options, say)
      say(meshText(result))
      return result
    }
    case 'growth': {
      const result = await runGrowth(options, say)
      say(growthText(result))
      return result
    }
    case 'memory': {
      const result = await runMemory(options, say)
      say(memoryText(result))
      return result
    }
    case 'pauses': {
      const result = await runPauses(options, say)
      say(pausesText(result))
      return result
    }
    case 'hostile': {
      const result = await runHostile(options, say)
      say(hostileText(result))
      return result
    }
    case 'sockets': {
      const result = await runSockets(options, say)
      say(socketsText(result))
      return result
    }
    case 'profile': {
      const result = await runProfile(options, say)
      say(profileText(result))
      return { operations: result.operations.map(({ name, requests, file }) => ({ name, requests, file })) }
    }
    case 'standard': {
      const result = await runStandard(options, say)
      say(standardText(result))
      return result
    }
  }
}
