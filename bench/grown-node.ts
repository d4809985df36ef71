import { join } from 'node:path'
import { authorizeRouting } from '../src/cli/authorizations.js'
import { NodeClient } from '../src/cli/node-client.js'
import { createLogger } from '../src/logger.js'
import { startEmbeddedPostgres } from '../src/storage/embedded-postgres.js'
import { migrate } from '../src/storage/migrate.js'
import { BuiltNode, makeFolder } from './built-node.js'
import { keepTrack } from './cleanup.js'
import { bytesPerMessage, type GrowthRows, loadedIds, loadRows } from './growth-rows.js'
import { openTarget, usersOf } from './measure.js'
import { Meter } from './meter.js'
import type { Target } from './requests.js'

/** Users who are measured; with them the requests touch many boxes and not always the same few. */
const USERS = 128

/** Users of whom each node has a real token, which a lookup can answer. */
export const LOOKED_UP = usersOf('looked up', 32)

/** A node with its database, ready to be measured. */
export interface GrownNode {
  readonly target: Target
  /** Of messages to acknowledge, by the key of their recipient; used up from the end. */
  readonly ids: Map<string, string[]>
  readonly bytesPerMessage: number
  readonly meter: Meter | undefined
  stop(): Promise<void>
}

/**
 * Makes a node with these rows in its database.
 *
 * @param folder not there yet
 * @param rows undefined for an empty node
 */
export async function grow(
  folder: string,
  rows: GrowthRows | undefined,
  say: (text: string) => void
): Promise<GrownNode> {
  const dataDirectory = makeFolder(folder)
  const users = usersOf('owner', USERS)
  const logger = createLogger('warn')
  const loading = await startEmbeddedPostgres({ dataDirectory, logger, durable: false })
  const stopLoading = keepTrack(() => loading.stop())
  try {
    await migrate(loading.connectionString, logger)
    await loadRows(loading.connectionString, users, rows, say)
  } finally {
    await stopLoading()
  }

  const postgres = await startEmbeddedPostgres({ dataDirectory, logger })
  const stopPostgres = keepTrack(() => postgres.stop())
  let node: BuiltNode | undefined
  const stop = async (): Promise<void> => {
    await node?.stop()
    await stopPostgres()
  }
  try {
    const ids = await loadedIds(postgres.connectionString)
    const bytes = await bytesPerMessage(postgres.connectionString)
    node = await BuiltNode.start({
      dataDirectory: join(folder, 'node'),
      databaseUrl: postgres.connectionString
    })
    await makeTokens(node.url)
    const target = await openTarget(node.url, users)
    return { target, ids, bytesPerMessage: bytes, meter: Meter.of([node.pid, postgres.pid]), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function makeTokens(url: string): Promise<void> {
  for (const { keys } of LOOKED_UP) {
    const client = new NodeClient(url, keys)
    try {
      await authorizeRouting(client, undefined)
    } finally {
      client.close()
    }
  }
}
