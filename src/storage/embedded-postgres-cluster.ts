import { execFile } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, realpathSync, statSync } from 'node:fs'
import { cp, readdir, readlink, rename, rm, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { ensureDataDirectory } from '../data-directory.js'
import type { Logger } from '../logger.js'
import { StartError } from '../start-error.js'
import {
  binariesAt,
  type PostgresBinaries,
  packagedBinaries,
  restoreSymlinks
} from './embedded-postgres-binaries.js'
import { barrier, giveTo, postgresUser, type SystemUser } from './embedded-postgres-user.js'

const run = promisify(execFile)

/** Linux allows 107 bytes for the path of a socket, macOS 103. */
const MAX_SOCKET_PATH = 103
const PORT = 5432
const SUPERUSER = 'peerserv'
/** Where databases of root go if DATA_DIR is in a place that only root can enter, like /root. */
const PLACE_FOR_ROOT = '/var/lib/peerserv'

/** Nothing of ours: no key, no password, no proxy. */
export const POSTGRES_ENVIRONMENT = { LC_ALL: 'C', TZ: 'UTC', PATH: '/usr/bin:/bin' }

/** One Postgres installation on disk, ready to be started. */
export interface Cluster {
  /** Folder with everything of this Postgres; 0700, as Postgres lets in whoever can open its socket. */
  readonly home: string
  /** Postgres' own data folder inside it. */
  readonly data: string
  /** Folder of the Unix socket. */
  readonly socketFolder: string
  /** File that Postgres' own log goes to. */
  readonly log: string
  readonly connectionString: string
  readonly binaries: PostgresBinaries
  /** Undefined: the user of this process. */
  readonly user: SystemUser | undefined
}

/**
 * Finds or makes the Postgres installation in `dataDirectory/postgres`.
 *
 * @param durable false skips writing the new files through to the disk
 * @throws StartError
 */
export async function prepareCluster(
  dataDirectory: string,
  logger: Logger,
  durable = true
): Promise<Cluster> {
  ensureDataDirectory(dataDirectory)
  const home = await findHome(realpathSync(dataDirectory), logger)
  const user = postgresUser(home)
  mkdirSync(home, { recursive: true, mode: 0o700 })
  if (user !== undefined && statSync(home).uid !== user.uid) giveTo(home, user)
  closeToOthers(home)
  const binaries = await usableBinaries(home, user)
  const data = join(home, 'cluster')
  if (!existsSync(data)) await initialize(binaries, home, user, durable)
  const socketFolder = chooseSocketFolder(home, user)
  return {
    home,
    data,
    socketFolder,
    log: join(home, 'postgres.log'),
    connectionString:
      `postgresql:///postgres?host=${encodeURIComponent(socketFolder)}` +
      `&port=${PORT}&user=${SUPERUSER}&sslmode=disable`,
    binaries,
    user
  }
}

function closeToOthers(home: string): void {
  try {
    chmodSync(home, 0o700)
  } catch (error) {
    const { uid } = statSync(home)
    throw new StartError(
      `${home} belongs to another user (uid ${uid}); start the node as that user or as root, or give the folder and ` +
        'all in it to the user who runs the node.',
      { cause: error }
    )
  }
}

/** `postgres` in DATA_DIR; for root in a place that Postgres' user cannot reach, a link to a folder elsewhere. */
async function findHome(dataDirectory: string, logger: Logger): Promise<string> {
  const wanted = join(dataDirectory, 'postgres')
  if (lstatSync(wanted, { throwIfNoEntry: false })?.isSymbolicLink()) return readlink(wanted)
  const user = postgresUser(wanted)
  if (user === undefined) return wanted
  // Passing through is enough: the folder stays unreadable for others.
  if (barrier(wanted, user) === dataDirectory) chmodSync(dataDirectory, statSync(dataDirectory).mode | 0o011)
  const obstacle = barrier(wanted, user)
  if (obstacle === undefined) return wanted
  const elsewhere = join(PLACE_FOR_ROOT, randomUUID())
  if (existsSync(wanted) || barrier(elsewhere, user) !== undefined) {
    throw new StartError(
      `Postgres does not run as root, and the ordinary user it runs as (uid ${user.uid}) may not enter ${obstacle}; ` +
        `set DATA_DIR to a folder outside of it (for instance ${PLACE_FOR_ROOT}), start the node as an ordinary ` +
        'user, or set DATABASE_URL.'
    )
  }
  mkdirSync(PLACE_FOR_ROOT, { recursive: true, mode: 0o755 })
  await symlink(elsewhere, wanted)
  logger.warn(
    `only root may enter ${obstacle}, so the database lives in ${elsewhere} and ${wanted} points there`
  )
  return elsewhere
}

/**
 * The binaries as npm installed them; or a copy, if that is where Postgres' user cannot read, or they are incomplete
 * where this process cannot write.
 */
async function usableBinaries(home: string, user: SystemUser | undefined): Promise<PostgresBinaries> {
  const packaged = packagedBinaries()
  const isComplete = await restoreSymlinks(packaged)
  if (isComplete && (user === undefined || barrier(packaged.postgres, user) === undefined)) return packaged
  const { size, mtimeMs } = statSync(packaged.postgres)
  const copy = join(home, `binaries-${size}-${Math.trunc(mtimeMs)}`, 'native')
  if (!existsSync(copy)) {
    const unfinished = join(home, `copying-${randomUUID()}`)
    await cp(packaged.root, join(unfinished, 'native'), { recursive: true, verbatimSymlinks: true })
    await restoreSymlinks(binariesAt(join(unfinished, 'native')))
    if (user !== undefined) giveTo(unfinished, user)
    await moveIntoPlace(unfinished, dirname(copy))
  }
  return binariesAt(copy)
}

/** A killed initdb leaves nothing behind that looks finished, and of two at once one wins. */
async function initialize(
  binaries: PostgresBinaries,
  home: string,
  user: SystemUser | undefined,
  durable: boolean
): Promise<void> {
  await removeAbandoned(home)
  const unfinished = join(home, `initdb-${process.pid}-${randomUUID()}`)
  const arguments_ = [
    ...['--pgdata', unfinished, '--username', SUPERUSER],
    ...['--auth-local=trust', '--auth-host=reject'],
    ...['--encoding=UTF8', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C'],
    ...['--no-instructions', ...(durable ? [] : ['--no-sync'])]
  ]
  try {
    await run(binaries.initdb, arguments_, { ...user, cwd: home, env: POSTGRES_ENVIRONMENT })
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true })
    throw new StartError(`The bundled Postgres could not set up its folder ${home}: ${outputOf(error)}`, {
      cause: error
    })
  }
  await moveIntoPlace(unfinished, join(home, 'cluster'))
}

async function moveIntoPlace(unfinished: string, place: string): Promise<void> {
  try {
    await rename(unfinished, place)
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true })
    if (!existsSync(place)) throw error
  }
}

async function removeAbandoned(home: string): Promise<void> {
  for (const name of await readdir(home)) {
    const pid = /^initdb-(\d+)-/.exec(name)?.[1]
    if (pid !== undefined && !isRunning(Number(pid))) await rm(join(home, name), { recursive: true })
  }
}

/** True if a process with this id exists, whoever owns it. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

function chooseSocketFolder(home: string, user: SystemUser | undefined): string {
  if (Buffer.byteLength(join(home, `.s.PGSQL.${PORT}`)) <= MAX_SOCKET_PATH) return home
  const uid = user?.uid ?? process.getuid?.()
  const folder = `/tmp/peerserv-${uid}-${createHash('sha256').update(home).digest('hex').slice(0, 16)}`
  try {
    mkdirSync(folder, { mode: 0o700 })
    if (user !== undefined) chownSync(folder, user.uid, user.gid)
  } catch (error) {
    if (!existsSync(folder)) throw error
  }
  const status = lstatSync(folder)
  if (!status.isDirectory() || status.uid !== uid || (status.mode & 0o077) !== 0) {
    throw new StartError(
      `The path of DATA_DIR is too long for a socket, and ${folder} in its place belongs to somebody else or is ` +
        'open to others; remove that folder or set DATA_DIR to a shorter path.'
    )
  }
  return folder
}

function outputOf(error: unknown): string {
  const output = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : ''
  return output === '' ? String(error) : output.replaceAll(/\s+/g, ' ')
}
