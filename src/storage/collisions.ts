import { hasSqlState } from './database-errors.js'

const UNIQUE_VIOLATION = '23505'

/** Runs the work again, at most three times, after two with one id have passed all checks at once. */
export async function retryingCollisions<T>(work: () => Promise<T>): Promise<T> {
  for (let retries = 0; ; retries++) {
    try {
      return await work()
    } catch (error) {
      // Run again, it sees what the other one did.
      if (retries === 3 || !hasSqlState(error, UNIQUE_VIOLATION)) throw error
    }
  }
}
