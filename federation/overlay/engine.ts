import { Console } from 'node:console'
import { Writable } from 'node:stream'
import { Engine, type LookupService, type Storage, type TopicManager } from '@bsv/overlay'
import type { ChainTracker } from '@bsv/sdk'
import type { Logger } from '../../src/logger.js'

export interface EngineParts {
  readonly managers: Record<string, TopicManager>
  readonly services: Record<string, LookupService>
  readonly storage: Storage
  /** `scripts only` believes every Merkle path: what may carry one is for the caller to say. */
  readonly chainTracker: ChainTracker | 'scripts only'
  readonly logger: Logger
}

/**
 * The overlay engine of @bsv/overlay, for one submission or one lookup; it holds no state of its own.
 *
 * Without advertiser, broadcaster and sync, it never calls out by itself: the library would do that with the global
 * fetch, past this node's one door.
 */
export function createEngine({ managers, services, storage, chainTracker, logger }: EngineParts): Engine {
  const syncConfiguration = Object.fromEntries(Object.keys(managers).map(topic => [topic, false as const]))
  return new Engine(
    managers,
    services,
    storage,
    chainTracker,
    undefined, // hosting URL
    undefined, // SHIP trackers
    undefined, // SLAP trackers
    undefined, // broadcaster
    undefined, // advertiser
    syncConfiguration,
    false, // log times
    '',
    false, // throw on broadcast failure
    undefined, // facilitator
    consoleOf(logger)
  )
}

const consoles = new WeakMap<Logger, Console>()

/** The library writes to a console. What it reports as errors is thrown or recorded elsewhere as well. */
function consoleOf(logger: Logger): Console {
  let adapted = consoles.get(logger)
  if (adapted === undefined) {
    const lines = new Writable({
      write(chunk: Buffer, _encoding, done) {
        logger.debug({ source: '@bsv/overlay' }, chunk.toString('utf8').trimEnd())
        done()
      }
    })
    adapted = new Console({ stdout: lines, stderr: lines })
    consoles.set(logger, adapted)
  }
  return adapted
}
