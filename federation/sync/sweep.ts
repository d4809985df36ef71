import { identityKeyFromBytes } from '../../src/keys/identity-key.js'
import { dueReconciliations, requestAllReconciliations } from '../storage/reconciliations.js'
import { dueStatementDomains, pruneStatements } from '../storage/statements.js'
import type { SyncContext } from './context.js'

/** Between two sweeps, ms; half of it is random, so that processes do not sweep in step. */
const INTERVAL = 2_000
/** Subjects that one sweep hands to the queue; the next one goes on. */
const BATCH = 1_000

/**
 * Finds statements and comparisons that are due and have no job, and deletes what nobody needs any more. Begins with
 * comparing with everybody: this node was away.
 */
export function startSyncSweep(context: SyncContext): { stop(): Promise<void> } {
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> = Promise.resolve()
  const next = () => {
    if (stopped) return
    timer = setTimeout(run, INTERVAL / 2 + (INTERVAL / 2) * context.random())
  }
  const run = () => {
    if (stopped) return
    running = sweep(context)
      .catch(error => context.logger.warn({ err: error }, 'a sweep of statements failed'))
      .finally(next)
  }
  running = requestAllReconciliations(context.database, context.clock.now())
    .catch(error => context.logger.warn({ err: error }, 'comparisons could not be requested'))
    .finally(run)
  return {
    async stop() {
      stopped = true
      clearTimeout(timer)
      await running
    }
  }
}

async function sweep({ config, clock, database, queue }: SyncContext): Promise<void> {
  const now = clock.now()
  for (const domain of await dueStatementDomains(database, now, BATCH)) queue.add('statements', domain)
  for (const host of await dueReconciliations(database, now, BATCH)) {
    queue.add('reconcile', identityKeyFromBytes(host))
  }
  await pruneStatements(database, now, now - config.giveUpMilliseconds, BATCH)
}
