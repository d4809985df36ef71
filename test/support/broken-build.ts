import { randomUUID } from 'node:crypto'
import { cp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureCompiled, ROOT } from './compiled.js'

/** What a node runs from. */
const BUILD = ['dist', 'migrations', 'test/support/node-process.js', 'package.json']

/** One place where a copy differs from the product. */
export interface Change {
  readonly file: string
  readonly from: RegExp
  /** As for String.replace. */
  readonly to: string
}

/** A copy of the product in which something is broken on purpose. */
export interface BrokenBuild {
  /** Folder, for FaultMeshOptions. */
  readonly root: string
  remove(): Promise<void>
}

/** @throws if a change finds nothing to change: the product was rewritten there, and the change must be, too */
export async function breakBuild(changes: readonly Change[]): Promise<BrokenBuild> {
  const root = join(tmpdir(), `peerserv-broken-${randomUUID()}`)
  await mkdir(root)
  ensureCompiled()
  for (const path of BUILD) await cp(join(ROOT, path), join(root, path), { recursive: true })
  await symlink(join(ROOT, 'node_modules'), join(root, 'node_modules'))
  for (const { file, from, to } of changes) {
    const path = join(root, file)
    const text = await readFile(path, 'utf8')
    const broken = text.replace(from, to)
    if (broken === text) throw new Error(`${file} has nothing like ${from}`)
    await writeFile(path, broken)
  }
  return { root, remove: () => rm(root, { recursive: true, force: true }) }
}
