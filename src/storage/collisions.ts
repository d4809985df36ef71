import { hasSqlState } from './database-errors.js'

const UNIQUE_VIOLATION = '23505'
/** Of our own, raised by `store_message`. */
const BOX_FULL = 'PS507'

/**
 * True for what happens when two requests with one name, one id or the last free place of a box pass all checks at once:
 * one of them then fails on a key or the quota. Run again, it sees what the other one did.
 */
export function isCollision(error: unknown): boolean {
  return hasSqlState(error, UNIQUE_VIOLATION) || hasSqlState(error, BOX_FULL)
}

/** Runs the work again, at most three times, after a collision. */
export async function retryingCollisions<T>(work: () => Promise<T>): Promise<T> {
  for (let retries = 0; ; retries++) {
    try {
      return await work()
    } catch (error) {
      if (retries === 3 || !isCollision(error)) throw error
    }
  }
}
