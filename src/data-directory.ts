import { accessSync, constants, existsSync, mkdirSync } from 'node:fs'
import { StartError } from './start-error.js'

/**
 * Makes sure that DATA_DIR is there and can be written.
 *
 * @param path absolute
 * @throws StartError
 */
export function ensureDataDirectory(path: string): void {
  try {
    // Root's Postgres runs as somebody else, who must be able to pass through to its own folder.
    mkdirSync(path, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 })
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    throw new StartError(
      `DATA_DIR ${path} cannot be ${existsSync(path) ? 'used' : 'made'} (${reason}); ` +
        'it must be a folder that the user who runs the node can read and write.',
      { cause: error }
    )
  }
}
