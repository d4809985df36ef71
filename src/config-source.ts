import { readFileSync, statSync } from 'node:fs'
import { CONFIG_FILE, SETTINGS } from './config-schema.js'

/** Texts of settings before they are understood. */
export interface Source {
  readonly texts: ReadonlyMap<string, string>
  readonly problems: readonly string[]
  readonly warnings: readonly string[]
}

const NAMES = [...Object.keys(SETTINGS), CONFIG_FILE]

/**
 * Collects settings from the environment and from the file that CONFIG_FILE names, where the environment wins.
 * An empty text counts as not set, as container tools pass empty texts for what nobody set.
 */
export function collect(environment: Readonly<Record<string, string | undefined>>): Source {
  const problems: string[] = []
  const warnings: string[] = []
  const texts = new Map<string, string>()
  const file = environment[CONFIG_FILE]
  if (file !== undefined && file !== '') readFile(file, texts, problems, warnings)
  for (const [name, text] of Object.entries(environment)) {
    if (text === undefined || text.trim() === '') continue
    if (name in SETTINGS) texts.set(name, text.trim())
    else if (name !== CONFIG_FILE) warnings.push(...suggestion(name))
  }
  return { texts, problems, warnings }
}

/** One NAME=value per line; empty lines and lines that begin with # say nothing; quotes around a value go. */
function readFile(file: string, texts: Map<string, string>, problems: string[], warnings: string[]): void {
  let lines: string[]
  try {
    lines = readFileSync(file, 'utf8').split('\n')
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? error.code : error
    problems.push(`${CONFIG_FILE} is ${JSON.stringify(file)}, which cannot be read (${reason})`)
    return
  }
  lines.forEach((line, index) => {
    const trimmed = line.trim()
    if (trimmed === '' || trimmed.startsWith('#')) return
    const [, name = '', quoted, plain = ''] = /^(\w+)\s*=\s*(?:"(.*)"|(.*))$/.exec(trimmed) ?? []
    const where = `line ${index + 1} of ${file}`
    // The line itself may hold a secret.
    if (name === '') problems.push(`${where} is no NAME=value`)
    else if (!(name in SETTINGS))
      warnings.push(suggestion(name)[0] ?? `${where} sets ${name}, which is unknown`)
    else if (texts.has(name)) problems.push(`${where} sets ${name} a second time`)
    else if ((quoted ?? plain) !== '') texts.set(name, quoted ?? plain)
  })
  const secrets = Object.entries(SETTINGS).filter(([name, { secret }]) => secret && texts.has(name))
  if (secrets.length > 0 && (statSync(file).mode & 0o077) !== 0) {
    warnings.push(
      `${file} holds ${secrets.map(([name]) => name).join(', ')} and others may read it; chmod 600`
    )
  }
}

/** A warning if the name looks like a setting mistyped. */
function suggestion(name: string): string[] {
  const meant = NAMES.find(known => edits(name.toUpperCase(), known) <= tolerance(known))
  return meant === undefined ? [] : [`${name} is set and means nothing; ${meant} is meant?`]
}

/** HOME and NODE, which everybody has, are two edits from HOST and ROLE. */
function tolerance(known: string): number {
  return known.length <= 5 ? 1 : 2
}

/** Insertions, deletions, replacements and swaps of neighbours between two names; anything above 2 is 3. */
function edits(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return 3
  let before: number[] = []
  let above = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1]
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      current.push(
        Math.min(
          above[column]! + 1,
          current[column - 1]! + 1,
          above[column - 1]! + (same ? 0 : 1),
          swapped ? before[column - 2]! + 1 : 3
        )
      )
    }
    before = above
    above = current
  }
  return above[b.length]!
}
