import { type ParseArgsConfig, parseArgs } from 'node:util'
import type { Output } from './output.js'

/** One option of a command, as parseArgs takes it, and what `--help` says of it. */
export interface Option {
  readonly type: 'string' | 'boolean'
  readonly short?: string
  /** What stands for its value in help; for strings. */
  readonly value?: string
  readonly help: string
}

export type Options = Readonly<Record<string, Option>>

/** What a command gets beside its arguments. */
export interface Surroundings {
  readonly output: Output
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** One command of `peerserv`; each file of this folder that is named after one exports one. */
export interface Command {
  /** Without `peerserv` and options: `lookup <recipient>`. */
  readonly usage: string
  /** What it does, and what a reader of its output has to know; plain text. */
  readonly description: string
  readonly options: Options
  /**
   * @param args what follows the command's name, without `--json` and `--help`
   * @throws UsageError if they make no sense, CommandError or StartError if it fails
   */
  run(args: readonly string[], surroundings: Surroundings): Promise<void>
}

/** The command was used wrongly: exit code 2. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'UsageError'
  }
}

/** The command failed for a reason that a person can act on: exit code 1. */
export class CommandError extends Error {
  /** @param code stable, `ERR_…`; a node's own where it is a node that refused */
  constructor(
    readonly code: string,
    message: string,
    options?: ErrorOptions
  ) {
    super(message, options)
    this.name = 'CommandError'
  }
}

type Parsed<O extends Options> = ReturnType<
  typeof parseArgs<{
    options: { [Name in keyof O]: { type: O[Name]['type'] } }
    allowPositionals: true
    strict: true
  }>
>

/**
 * Understands the arguments of a command.
 *
 * @param most positional arguments at most
 * @throws UsageError
 */
export function parseArguments<const O extends Options>(
  options: O,
  args: readonly string[],
  most = 0
): { readonly values: Parsed<O>['values']; readonly positionals: readonly string[] } {
  const config = { args: [...args], options, allowPositionals: true, strict: true } satisfies ParseArgsConfig
  let parsed: Parsed<O>
  try {
    parsed = parseArgs(config) as Parsed<O>
  } catch (error) {
    if (error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')) {
      // The first sentence says what is wrong, the others speak of a rare case.
      throw new UsageError(error.message.replace(/\. .*/s, ''))
    }
    throw error
  }
  const { values, positionals } = parsed
  if (positionals.length > most) throw new UsageError(`Unexpected argument '${positionals[most]}'`)
  return { values, positionals }
}

/** @throws UsageError if it is not there */
export function required(value: string | undefined, name: string): string {
  if (value === undefined || value === '') throw new UsageError(`${name} is missing`)
  return value
}
