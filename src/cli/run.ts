import { StartError } from '../start-error.js'
import { VERSION } from '../version.js'
import { CommandError, UsageError } from './command.js'
import { COMMANDS } from './commands.js'
import { helpOf, overview } from './help.js'
import { Output } from './output.js'

const SUCCEEDED = 0
const FAILED = 1
const USED_WRONGLY = 2

/** Where answers go, and complaints. */
export interface Streams {
  readonly out: NodeJS.WritableStream
  readonly err: NodeJS.WritableStream
}

/**
 * `peerserv <command> …`: finds the command, runs it, and says in one place what went wrong.
 *
 * @param args without `node` and the program's name
 * @returns the exit code: 0, 1 (failed) or 2 (used wrongly)
 */
export async function runCommandLine(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  streams: Streams
): Promise<number> {
  const output = new Output(has(args, '--json'), streams.out, streams.err)
  try {
    await dispatch(args, output, environment)
    return SUCCEEDED
  } catch (error) {
    const name = args[0] !== undefined && Object.hasOwn(COMMANDS, args[0]) ? `${args[0]} ` : ''
    return report(error, output, `(npx peerserv ${name}--help)`)
  }
}

async function dispatch(
  [name, ...args]: readonly string[],
  output: Output,
  environment: Readonly<Record<string, string | undefined>>
): Promise<void> {
  if (name === '--version') return output.event({ version: VERSION }, VERSION)
  if (name === undefined) throw new UsageError('which command?')
  if (name === '--help' || name === '-h' || name === 'help')
    return output.event({ help: overview() }, overview())
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (entry === undefined) throw new UsageError(`there is no command '${name}'`)
  const command = await entry.load()
  if (has(args, '--help') || has(args, '-h')) {
    const help = helpOf(command)
    return output.event({ help }, help)
  }
  await command.run(withoutFlag(args, '--json'), { output, environment })
}

function report(error: unknown, output: Output, hint: string): number {
  if (error instanceof UsageError)
    return complain(output, 'ERR_USAGE', `${error.message}\n${hint}`, USED_WRONGLY)
  if (error instanceof CommandError) return complain(output, error.code, error.message, FAILED)
  if (error instanceof StartError) return complain(output, 'ERR_START', error.message, FAILED)
  // A mistake of the program: whoever looks for it needs to know where.
  return complain(
    output,
    'ERR_INTERNAL',
    error instanceof Error ? (error.stack ?? error.message) : String(error),
    FAILED
  )
}

function complain(output: Output, code: string, description: string, exitCode: number): number {
  if (output.isJson) output.event({ status: 'error', code, description }, '')
  output.complain(description)
  return exitCode
}

/** Options end at `--`; what follows is data. */
function has(args: readonly string[], flag: string): boolean {
  const end = args.indexOf('--')
  return (end === -1 ? args : args.slice(0, end)).includes(flag)
}

function withoutFlag(args: readonly string[], flag: string): string[] {
  const end = args.indexOf('--')
  return args.filter((arg, index) => arg !== flag || (end !== -1 && index > end))
}
