import type { Command, Options } from './command.js'
import { COMMANDS } from './commands.js'

/** Understood by every command. */
export const COMMON_OPTIONS = {
  json: { type: 'boolean', help: 'JSON, one object a line, instead of sentences' },
  help: { type: 'boolean', short: 'h', help: 'this text' }
} as const

/** `peerserv --help`. */
export function overview(): string {
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(10)} ${summary}`)
  return `Usage: npx peerserv <command> [options]

${lines.join('\n')}

  npx peerserv <command> --help   says more; --json works with every command.
Exit codes: 0 done, 1 failed, 2 used wrongly.`
}

/** `peerserv <command> --help`. */
export function helpOf({ usage, description, options }: Command): string {
  return `Usage: npx peerserv ${usage}\n\n${description}\n\nOptions:\n${optionLines({ ...options, ...COMMON_OPTIONS })}`
}

function optionLines(options: Options): string {
  const rows = Object.entries(options).map(([name, { short, value, help }]) => ({
    left: `${short === undefined ? '' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`,
    help
  }))
  const width = Math.max(...rows.map(({ left }) => left.length))
  return rows.map(({ left, help }) => `  ${left.padEnd(width)}  ${help}`).join('\n')
}
