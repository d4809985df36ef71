/**
 * Thrown by the storage layer, and so by any handler: the same signed bytes came before (`replayed`), or the session
 * is older than the memory of replays reaches (`unknown`). Answered by the unsigned 401 at which an honest client
 * shakes hands again and signs anew.
 */
export class StaleSession extends Error {
  constructor(readonly reason: 'replayed' | 'unknown') {
    super(reason === 'replayed' ? 'these signed bytes were used before' : 'the session is no longer known')
    this.name = 'StaleSession'
  }
}
