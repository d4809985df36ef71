import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createOutboundDoor } from '../../federation/channel/guarded-fetch.js'
import { OutboundError } from '../../federation/channel/outbound-error.js'
import { createPeerClient } from '../../federation/channel/peer-client.js'
import { PeerError } from '../../federation/channel/peer-error.js'
import { type Configuration, readConfiguration } from '../config.js'
import { systemClock } from '../context.js'
import { KeyDeriver } from '../keys/key-deriver.js'
import { KEY_FILE, loadIdentityKey } from '../keys/key-file.js'
import { createLogger } from '../logger.js'
import { isObject } from '../message.js'
import { CommandError, type Surroundings, UsageError } from './command.js'
import { curve } from './curve.js'
import { accepted, type JsonObject } from './node-client.js'

/** Options of every command that steers a running node. */
export const OPERATOR_OPTIONS = {
  'admin-port': {
    type: 'string',
    value: '<port>',
    help: 'the admin port of the node on this machine (default: ADMIN_PORT)'
  }
} as const

const ANSWER_BYTES = 16 * 1024 * 1024
/** Longer than a handler takes, ms. */
const MILLISECONDS = 30_000

/** Calls of the admin port of the node that the environment configures. */
export interface OperatorClient {
  /**
   * @param path of a call for the operator
   * @returns the answer of a request that succeeded
   * @throws CommandError with the node's own code and description where it refused
   */
  post(path: string, body: object): Promise<JsonObject>
}

/**
 * Does something at the running node, as its operator: signed with the node's own key, which is read as the node reads it.
 *
 * @throws StartError for a configuration or a key that the node would not start with; CommandError if the node does not run
 */
export async function asOperator<T>(
  values: { readonly 'admin-port'?: string | undefined },
  { environment }: Surroundings,
  work: (client: OperatorClient) => Promise<T>
): Promise<T> {
  const configuration = readConfiguration(environment)
  const keys = operatorKeys(configuration)
  const port = portOf(values['admin-port'], configuration)
  const url = `http://127.0.0.1:${port}`
  const logger = createLogger('silent')
  const door = createOutboundDoor({ network: 'local', logger })
  const peer = createPeerClient({ keys, door, clock: systemClock, logger })
  const host = { domain: `127.0.0.1:${port}`, operatorKey: keys.identityKey }
  const options = {
    maximumAnswerBytes: ANSWER_BYTES,
    timeouts: { headers: MILLISECONDS, total: MILLISECONDS }
  }
  try {
    return await work({
      async post(path, body) {
        const answer = await peer.post(host, path, body, options).catch((error: unknown) => {
          throw explained(error, url, keys)
        })
        return accepted(answer.status, answer.body, url)
      }
    })
  } finally {
    door.close()
  }
}

/** The objects of an array in an answer. */
export function objectsOf(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : []
}

function operatorKeys({ config, secrets }: Configuration): KeyDeriver {
  const isConfigured = secrets.privateKey !== undefined || secrets.privateKeyFile !== undefined
  // The first start of a node makes a key; a command must not.
  if (!isConfigured && !existsSync(join(config.dataDirectory, KEY_FILE))) {
    throw new CommandError(
      'ERR_NO_KEY',
      `There is no key of a node in ${config.dataDirectory}; give this command the environment of the node (DATA_DIR, SERVER_PRIVATE_KEY_FILE).`
    )
  }
  return new KeyDeriver(curve, loadIdentityKey(curve, secrets, config.dataDirectory).privateKey)
}

function portOf(given: string | undefined, { config }: Configuration): number {
  const port = given === undefined ? config.adminPort : Number(given)
  if (!Number.isSafeInteger(port) || port < 0 || port > 65_535) {
    throw new UsageError(`--admin-port is a port, not '${given}'`)
  }
  if (port === 0) {
    throw new UsageError('ADMIN_PORT is 0, so only the node knows its port: name it with --admin-port')
  }
  return port
}

function explained(error: unknown, url: string, keys: KeyDeriver): unknown {
  if (error instanceof OutboundError) {
    return new CommandError(
      'ERR_NODE_UNREACHABLE',
      `No node answers at ${url} (${error.message}). Start it, or give this command its environment (ADMIN_PORT).`,
      { cause: error }
    )
  }
  if (!(error instanceof PeerError)) return error
  const reason =
    error.shownKey === undefined
      ? `What answers at ${url} is no admin port of a node (${error.message}).`
      : `The node at ${url} has another key, ${error.shownKey}; this command read ${keys.identityKey}. Give it the environment of that node.`
  return new CommandError('ERR_NODE_UNAUTHENTICATED', reason, { cause: error })
}
