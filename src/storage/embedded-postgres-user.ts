import { chownSync, lstatSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Whom Postgres runs as when the node runs as root, which Postgres refuses to. */
export interface SystemUser {
  readonly uid: number
  readonly gid: number
}

const NOBODY = { uid: 65534, gid: 65534 }

/**
 * @param folder that Postgres has or will have; its owner is kept if that is an ordinary user
 * @returns undefined if the node itself runs as an ordinary user, as whom Postgres then runs too
 */
export function postgresUser(folder: string): SystemUser | undefined {
  if (process.getuid?.() !== 0) return undefined
  const owner = statSync(folder, { throwIfNoEntry: false })
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid }
  return nobody()
}

function nobody(): SystemUser {
  try {
    const entry = /^nobody:[^:]*:(\d+):(\d+):/m.exec(readFileSync('/etc/passwd', 'utf8'))
    if (entry !== null) return { uid: Number(entry[1]), gid: Number(entry[2]) }
  } catch {
    // No such file where users are kept elsewhere.
  }
  return NOBODY
}

/**
 * The topmost folder above `path` that the user may not enter, by mode bits (access lists are not looked at);
 * undefined if none stands in the way. Folders that do not exist yet do not.
 */
export function barrier(path: string, user: SystemUser): string | undefined {
  const parent = dirname(path)
  if (parent !== path) {
    const above = barrier(parent, user)
    if (above !== undefined) return above
  }
  const status = statSync(parent, { throwIfNoEntry: false })
  if (status === undefined) return undefined
  const shift = status.uid === user.uid ? 6 : status.gid === user.gid ? 3 : 0
  return ((status.mode >> shift) & 1) === 1 ? undefined : parent
}

/** Gives a folder and all in it to the user. */
export function giveTo(path: string, user: SystemUser): void {
  const status = lstatSync(path)
  if (status.isSymbolicLink()) return
  if (status.uid !== user.uid || status.gid !== user.gid) chownSync(path, user.uid, user.gid)
  if (!status.isDirectory()) return
  for (const name of readdirSync(path)) giveTo(join(path, name), user)
}
