import { readFileSync } from 'node:fs'

/** The version in package.json, which stands two or three folders above, in the sources and in dist/. */
export const VERSION: string = readVersion(['../package.json', '../../package.json'])

function readVersion(candidates: readonly string[]): string {
  for (const candidate of candidates) {
    try {
      const text = readFileSync(new URL(candidate, import.meta.url), 'utf8')
      const { version } = JSON.parse(text) as { version: string }
      return version
    } catch {
      // Not this far up; the other one it is.
    }
  }
  throw new Error('package.json is missing beside the program')
}
