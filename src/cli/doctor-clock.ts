import { createOutboundDoor } from '../../federation/channel/guarded-fetch.js'
import type { Config, Configuration } from '../config.js'
import { systemClock } from '../context.js'
import { createLogger } from '../logger.js'
import { createDatabase, statement } from '../storage/database.js'
import { type Finding, failed, ok, skipped } from './finding.js'
import { duration } from './output.js'

/** A message further ahead than ten minutes is refused everywhere (protocol section 2); long before that, say so. */
const CLOCK_TOLERANCE = 60_000
const ANSWER_BYTES = 64 * 1024
const silent = createLogger('silent')
const NOW = statement('doctor-now', 'select (extract(epoch from clock_timestamp()) * 1000)::bigint as now')

/** Compares this machine's clock with those of the peers, or else of the database's machine. */
export async function checkClock({ config, secrets }: Configuration): Promise<Finding> {
  const offsets = await Promise.all(config.peers.map(peer => offsetOfHost(config, peer)))
  if (secrets.databaseUrl !== undefined) offsets.push(await offsetOfDatabase(secrets.databaseUrl))
  const known = offsets.filter(offset => offset !== undefined)
  if (known.length === 0) return skipped('clock', 'nothing to compare with: no PEERS that answer')
  const middle = known.sort((a, b) => a - b)[Math.floor(known.length / 2)]!
  const text = `${duration(Math.abs(middle))} ${middle > 0 ? 'behind' : 'ahead of'} ${known.length} other clock(s)`
  if (Math.abs(middle) <= CLOCK_TOLERANCE) return ok('clock', text)
  return failed('clock', text, 'let NTP set the clock: messages and sessions from the future are refused')
}

/** ms that the other clock is ahead of this one. */
async function offsetOfHost(config: Config, url: string): Promise<number | undefined> {
  const door = createOutboundDoor({ network: config.network, logger: silent })
  try {
    const answer = await door.request({
      url: `${url}/healthz`,
      method: 'GET',
      maximumAnswerBytes: ANSWER_BYTES
    })
    const date = Date.parse(answer.headers.date ?? '')
    // A Date header tells whole seconds, cut off.
    return Number.isNaN(date) ? undefined : date + 500 - systemClock.now()
  } catch {
    return undefined
  } finally {
    door.close()
  }
}

async function offsetOfDatabase(connectionString: string): Promise<number | undefined> {
  const database = createDatabase({ connectionString, logger: silent, maxConnections: 2 })
  try {
    const [row] = await database.query<{ now: number }>(NOW)
    return row === undefined ? undefined : row.now - systemClock.now()
  } catch {
    return undefined
  } finally {
    await database.close()
  }
}
