import { createPrivateKey, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isObject } from '../../src/message.js'
import { StartError } from '../../src/start-error.js'

/** In whose name this node pushes at FCM. */
export interface ServiceAccount {
  readonly projectId: string
  readonly clientEmail: string
  readonly privateKey: KeyObject
  /** Where access tokens are given. */
  readonly tokenUrl: string
}

/**
 * Reads the JSON file that Google gives for a service account.
 *
 * @throws StartError that names FCM_SERVICE_ACCOUNT_FILE, and nothing of what is in it
 */
export function readServiceAccount(path: string): ServiceAccount {
  const fault = (reason: string) => new StartError(`FCM_SERVICE_ACCOUNT_FILE is ${path}, which ${reason}.`)
  let account: unknown
  try {
    account = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw fault(error instanceof SyntaxError ? 'is no JSON' : 'cannot be read')
  }
  const { project_id, client_email, private_key, token_uri } = isObject(account) ? account : {}
  if (typeof project_id !== 'string' || !/^[a-z\d:.-]{1,100}$/.test(project_id))
    throw fault('has no project_id')
  if (typeof client_email !== 'string') throw fault('has no client_email')
  if (typeof private_key !== 'string') throw fault('has no private_key')
  if (typeof token_uri !== 'string' || !URL.canParse(token_uri)) throw fault('has no token_uri')
  try {
    const privateKey = createPrivateKey(private_key)
    if (privateKey.asymmetricKeyType !== 'rsa') throw new TypeError('not RSA')
    return { projectId: project_id, clientEmail: client_email, privateKey, tokenUrl: token_uri }
  } catch {
    throw fault('has a private_key that is no RSA key in PEM')
  }
}
