import type { Context } from './context.js'
import { pruneMessageBoxes } from './storage/messages.js'
import { prunePaidRequests } from './storage/paid-requests.js'

/** Between two rounds while there is nothing to do, ms. */
const INTERVAL = 60_000
/** Between two steps while there is, ms: room for others. */
const PAUSE = 100
/** Rows of each kind in one step, so that no lock lasts long. */
const STEP = 1_000

async function prune(database: Context['database'], now: number): Promise<number> {
  const requests = await prunePaidRequests(database, now, STEP)
  return requests + (await pruneMessageBoxes(database, now, STEP))
}

/** Deletes what has expired, in small steps, as long as the node runs. */
export function startPruning({ database, clock, logger }: Context): { stop(): Promise<void> } {
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> = Promise.resolve()
  const next = (milliseconds: number) => {
    if (!stopped) timer = setTimeout(step, milliseconds)
  }
  const step = () => {
    running = prune(database, clock.now())
      .then(count => next(count > 0 ? PAUSE : INTERVAL))
      .catch(error => {
        logger.warn({ err: error }, 'pruning failed')
        next(INTERVAL)
      })
  }
  next(INTERVAL)
  return {
    async stop() {
      stopped = true
      clearTimeout(timer)
      await running
    }
  }
}
