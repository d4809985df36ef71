import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { type IdentityKey, parseIdentityKey } from '../keys/identity-key.js'
import { KeyDeriver } from '../keys/key-deriver.js'
import { CommandError, type Surroundings, UsageError } from './command.js'
import { curve } from './curve.js'

/** Who a command acts for: a user of nodes, not a node. */
export interface User {
  readonly keys: KeyDeriver
  /** 32 bytes. */
  readonly privateKey: Uint8Array
  readonly keyFile: string
}

export const USER_OPTIONS = {
  as: { type: 'string', value: '<name>', help: 'the user: a name given to keygen (default: default)' },
  key: {
    type: 'string',
    value: '<file>',
    help: 'a key file elsewhere, instead of --as (or PEERSERV_KEY_FILE)'
  }
} as const

type Environment = Surroundings['environment']

const NAME = /^[\w.-]{1,64}$/
const KEY = /^[0-9a-fA-F]{64}$/
const SUFFIX = '.key'
/** Bits of a file's mode that let others in. */
const OTHERS = 0o077

/** Where keys are kept by name: PEERSERV_KEYS, or `.peerserv` in the home folder. */
export function keyFolder(environment: Environment): string {
  return resolve(environment.PEERSERV_KEYS || join(homedir(), '.peerserv'))
}

/**
 * The file that the options mean; it need not be there.
 *
 * @throws UsageError for a name that is none
 */
export function keyFileOf(
  { as, key }: { readonly as?: string | undefined; readonly key?: string | undefined },
  environment: Environment
): string {
  if (as !== undefined && key !== undefined) throw new UsageError('--as and --key name two different users')
  if (key !== undefined) return resolve(key)
  if (as !== undefined) return namedKeyFile(as, environment)
  const configured = environment.PEERSERV_KEY_FILE
  return configured ? resolve(configured) : namedKeyFile('default', environment)
}

/**
 * The user that the options mean.
 *
 * @throws CommandError if there is no such key, it is none, or others may read it
 */
export function loadUser(
  values: { readonly as?: string | undefined; readonly key?: string | undefined },
  environment: Environment
): User {
  const keyFile = keyFileOf(values, environment)
  const status = statSync(keyFile, { throwIfNoEntry: false })
  if (status === undefined) {
    const how =
      values.key === undefined
        ? `keygen${values.as === undefined ? '' : ` ${values.as}`}`
        : `keygen --key ${values.key}`
    throw new CommandError('ERR_NO_KEY', `There is no key in ${keyFile}; make one: npx peerserv ${how}`)
  }
  if (process.platform !== 'win32' && (status.mode & OTHERS) !== 0) {
    throw new CommandError('ERR_KEY_EXPOSED', `Others may read the key in ${keyFile}: chmod 600 ${keyFile}`)
  }
  return readUser(keyFile)
}

/**
 * Makes a key, in a file of mode 0600.
 *
 * @throws CommandError if the file is there already, or cannot be written
 */
export function createUser(keyFile: string): User {
  const privateKey = randomPrivateKey()
  try {
    mkdirSync(dirname(keyFile), { recursive: true, mode: 0o700 })
    writeFileSync(keyFile, `${privateKey.toString('hex')}\n`, { mode: 0o600, flag: 'wx', flush: true })
  } catch (error) {
    if (codeOf(error) === 'EEXIST') {
      throw new CommandError('ERR_KEY_EXISTS', `${keyFile} is there already, and a key is never replaced.`)
    }
    throw new CommandError(
      'ERR_KEY_NOT_WRITTEN',
      `The key cannot be written to ${keyFile} (${codeOf(error)}).`
    )
  }
  return { keys: new KeyDeriver(curve, privateKey), privateKey, keyFile }
}

/** Keys of nobody in particular, for calls that have to come from somebody. */
export function createAnonymous(): KeyDeriver {
  return new KeyDeriver(curve, randomPrivateKey())
}

/**
 * An identity key as it was given, or that of a key kept by name.
 *
 * @throws UsageError if it is neither
 */
export function resolveIdentityKey(text: string, environment: Environment): IdentityKey {
  const identityKey = parseIdentityKey(curve, text)
  if (identityKey !== undefined) return identityKey
  if (NAME.test(text)) {
    const keyFile = namedKeyFile(text, environment)
    if (statSync(keyFile, { throwIfNoEntry: false }) !== undefined) return readUser(keyFile).keys.identityKey
  }
  throw new UsageError(
    `'${text}' is no identity key (66 hex characters), and no name of a key in ${keyFolder(environment)}`
  )
}

/** Names of the keys that are kept by name, to show instead of keys. */
export function knownNames(environment: Environment): ReadonlyMap<IdentityKey, string> {
  const names = new Map<IdentityKey, string>()
  const folder = keyFolder(environment)
  for (const file of statSync(folder, { throwIfNoEntry: false })?.isDirectory() ? readdirSync(folder) : []) {
    if (!file.endsWith(SUFFIX)) continue
    try {
      names.set(readUser(join(folder, file)).keys.identityKey, file.slice(0, -SUFFIX.length))
    } catch (error) {
      // What cannot be read has no name; whoever uses it is told.
      if (!(error instanceof CommandError)) throw error
    }
  }
  return names
}

function randomPrivateKey(): Buffer {
  let privateKey = randomBytes(32)
  while (!curve.isPrivateKey(privateKey)) privateKey = randomBytes(32)
  return privateKey
}

function namedKeyFile(name: string, environment: Environment): string {
  if (!NAME.test(name) || name.startsWith('.')) {
    throw new UsageError(`'${name}' is no name: letters, digits, '-', '_' and '.'`)
  }
  return join(keyFolder(environment), name + SUFFIX)
}

function readUser(keyFile: string): User {
  let text: string
  try {
    text = readFileSync(keyFile, 'utf8').trim()
  } catch (error) {
    throw new CommandError('ERR_KEY_NOT_READ', `The key in ${keyFile} cannot be read (${codeOf(error)}).`)
  }
  const privateKey = Buffer.from(KEY.test(text) ? text : '', 'hex')
  if (!curve.isPrivateKey(privateKey)) {
    throw new CommandError(
      'ERR_INVALID_KEY',
      `${keyFile} does not hold a private key as 64 hexadecimal digits.`
    )
  }
  return { keys: new KeyDeriver(curve, privateKey), privateKey, keyFile }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}
