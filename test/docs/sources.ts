import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The folder of the project. */
export const ROOT = join(import.meta.dirname, '..', '..')

/** The text of one page of docs/. */
export function readDocs(page: string): string {
  return readFileSync(join(ROOT, 'docs', page), 'utf8')
}

/** Every page a reader is given, by its path from the project's folder. */
export function readPages(): Map<string, string> {
  const below = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
  const paths = ['README.md', ...below.filter(path => path.endsWith('.md')).map(path => join('docs', path))]
  return new Map(paths.map(path => [path, readFileSync(join(ROOT, path), 'utf8')]))
}

/** The text of all TypeScript files below some folders. */
export function readSources(...folders: readonly string[]): string {
  const files = folders.flatMap(folder =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter(path => path.endsWith('.ts'))
      .map(path => join(ROOT, folder, path))
  )
  return files.map(file => readFileSync(file, 'utf8')).join('\n')
}
