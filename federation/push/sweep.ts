import { duePushHosts, markMissedDevices, pruneDevices } from '../storage/pushes.js'
import type { PushContext } from './context.js'

/** Between two sweeps, ms; half of it is random, so that processes do not sweep in step. */
const INTERVAL = 2_000
/** Push services that one sweep looks at; the next one goes on behind them, as strangers can name any number. */
const HOSTS = 1_000
/** Devices forgotten at once. */
const BATCH = 1_000
/** Devices that one sweep looks at for what was missed: a walk over all of them that never ends. */
const DEVICES = 200

/** Finds what is due and has no job, and what a process that died did not mark. */
export function startPushSweep(context: PushContext): { stop(): Promise<void> } {
  const { database, clock, queue, logger, pushRules, random } = context
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  let lastDevice: number | undefined = 0
  let lastHost = ''
  let running: Promise<void> = Promise.resolve()
  const sweep = async (): Promise<void> => {
    const now = clock.now()
    lastDevice = await markMissedDevices(database, lastDevice ?? 0, DEVICES, pushRules, now)
    const hosts = await duePushHosts(database, lastHost, now, HOSTS)
    for (const { host, is_due } of hosts) if (is_due) queue.add('push', host)
    lastHost = hosts.length === HOSTS ? hosts.at(-1)!.host : ''
    await pruneDevices(database, now, BATCH)
  }
  const run = (): void => {
    running = sweep()
      .catch(error => logger.warn({ err: error }, 'a sweep of devices failed'))
      .finally(() => {
        if (!stopped) timer = setTimeout(run, INTERVAL / 2 + (INTERVAL / 2) * random())
      })
  }
  run()
  return {
    async stop() {
      stopped = true
      clearTimeout(timer)
      await running
    }
  }
}
