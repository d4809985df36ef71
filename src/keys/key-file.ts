import { randomBytes, randomUUID } from 'node:crypto'
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync
} from 'node:fs'
import { dirname, join } from 'node:path'
import type { ConfiguredSecrets } from '../config.js'
import type { Curve } from '../curve/curve.js'
import { ensureDataDirectory } from '../data-directory.js'
import { StartError } from '../start-error.js'

export const KEY_FILE = 'identity.key'

export interface LoadedKey {
  /** 32 bytes, in range. */
  readonly privateKey: Uint8Array
  /** Where it came from, for the summary at start: a name of a setting, or a path. */
  readonly origin: string
  /** True if it was made just now. */
  readonly isNew: boolean
  /** For a person, one sentence each. */
  readonly warnings: readonly string[]
}

/** More than any spelling of a key, so that a wrong path to something large is not read. */
const MOST_BYTES = 1_024
const HEX_KEY = /^[0-9a-fA-F]{64}$/
const OTHERS = 0o077

/**
 * The node's identity key: from SERVER_PRIVATE_KEY, from SERVER_PRIVATE_KEY_FILE, or from `identity.key` in DATA_DIR,
 * where the first start makes it.
 *
 * @throws StartError if the key is not valid, or others may read the one in DATA_DIR
 */
export function loadIdentityKey(curve: Curve, secrets: ConfiguredSecrets, dataDirectory: string): LoadedKey {
  if (secrets.privateKey !== undefined) {
    const privateKey = inRange(curve, secrets.privateKey, 'SERVER_PRIVATE_KEY')
    return { privateKey, origin: 'SERVER_PRIVATE_KEY', isNew: false, warnings: [] }
  }
  if (secrets.privateKeyFile !== undefined) return configuredFile(curve, secrets.privateKeyFile)
  ensureDataDirectory(dataDirectory)
  const file = join(dataDirectory, KEY_FILE)
  const isNew = statSync(file, { throwIfNoEntry: false }) === undefined && writeNewKey(curve, file)
  if (isOpenToOthers(file)) {
    throw new StartError(
      `Others may read the identity key in ${file}; nobody but its owner may: chmod 600 ${file}`
    )
  }
  return { privateKey: readKey(curve, file, file), origin: file, isNew, warnings: [] }
}

/** Secrets that a container gets as files are often readable for more than their owner, hence no refusal. */
function configuredFile(curve: Curve, file: string): LoadedKey {
  const privateKey = readKey(curve, file, `SERVER_PRIVATE_KEY_FILE ${file}`)
  const warnings = isOpenToOthers(file) ? [`others may read SERVER_PRIVATE_KEY_FILE ${file}; chmod 600`] : []
  return { privateKey, origin: file, isNew: false, warnings }
}

function readKey(curve: Curve, file: string, name: string): Uint8Array {
  let text: string
  try {
    if (statSync(file).size > MOST_BYTES) throw new StartError(`${name} is too large for a key.`)
    text = readFileSync(file, 'utf8').trim()
  } catch (error) {
    if (error instanceof StartError) throw error
    const reason = error instanceof Error && 'code' in error ? error.code : error
    throw new StartError(`${name} cannot be read (${reason}).`, { cause: error })
  }
  if (!HEX_KEY.test(text))
    throw new StartError(`${name} does not hold a private key as 64 hexadecimal digits.`)
  return inRange(curve, Buffer.from(text, 'hex'), name)
}

function inRange(curve: Curve, key: Uint8Array, name: string): Uint8Array {
  if (curve.isPrivateKey(key)) return key
  throw new StartError(`${name} is no private key: it is zero or not below the order of secp256k1.`)
}

function isOpenToOthers(file: string): boolean {
  return process.platform !== 'win32' && (statSync(file).mode & OTHERS) !== 0
}

/**
 * The file appears whole and written through, or not at all: a node that lost its key lost its name.
 *
 * @returns false if another process was faster; its key counts then
 */
function writeNewKey(curve: Curve, file: string): boolean {
  let key = randomBytes(32)
  while (!curve.isPrivateKey(key)) key = randomBytes(32)
  const unfinished = `${file}.${randomUUID()}`
  try {
    const descriptor = openSync(unfinished, 'wx', 0o600)
    fchmodSync(descriptor, 0o600)
    writeSync(descriptor, `${key.toString('hex')}\n`)
    fsyncSync(descriptor)
    closeSync(descriptor)
    // Unlike a rename, a link never replaces a key.
    linkSync(unfinished, file)
    syncFolder(dirname(file))
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw new StartError(`The identity key cannot be written to ${file} (${String(error)}).`, {
      cause: error
    })
  } finally {
    rmSync(unfinished, { force: true })
  }
}

function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r')
  fsyncSync(descriptor)
  closeSync(descriptor)
}
