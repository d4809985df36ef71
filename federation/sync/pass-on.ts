import { identityKeyFromBytes } from '../../src/keys/identity-key.js'
import { blameHost } from '../delivery/host-failure.js'
import { type Attempt, judgeAnswer, judgeFailure } from '../delivery/outcome.js'
import { waitAfter } from '../delivery/retry-policy.js'
import { servesHost } from '../delivery/settle.js'
import { renewStatementClaims } from '../storage/claims.js'
import { clearFailures } from '../storage/destinations.js'
import { requestReconciliations } from '../storage/reconciliations.js'
import {
  claimStatements,
  type DueStatement,
  deferStatements,
  endStatements,
  retargetStatement,
  tellNewHosts
} from '../storage/statements.js'
import type { SyncContext } from './context.js'
import { callsFor, type StatementCall } from './statement-calls.js'

/** Statements claimed at once. */
const CLAIMED_AT_ONCE = 100
/** Calls to one domain at once. */
const CALLS_AT_ONCE = 4

/**
 * Passes on what is due at a domain until nothing is, or the domain fails. Like `drain` for messages: any number of
 * workers may do so at once, and a failure belongs to the host.
 */
export async function passOnStatements(context: SyncContext, domain: string): Promise<void> {
  const { claimMilliseconds, clock, database } = context
  for (;;) {
    const now = clock.now()
    const claimed = await claimStatements(database, domain, now, now + claimMilliseconds, CLAIMED_AT_ONCE)
    if (claimed.length === 0) return
    const renewal = setInterval(() => void renew(context, claimed), claimMilliseconds / 4)
    try {
      const due = await stillDue(context, domain, claimed)
      if (due.length > 0 && !(await passOn(context, domain, due))) return
    } finally {
      clearInterval(renewal)
    }
  }
}

/** Claims are short, so that those of a process that was killed soon end. */
async function renew(context: SyncContext, claimed: readonly DueStatement[]): Promise<void> {
  const { claimMilliseconds, clock, database, logger } = context
  try {
    await renewStatementClaims(database, claimed, clock.now() + claimMilliseconds)
  } catch (error) {
    logger.debug({ err: error }, 'claims could not be renewed')
  }
}

/** Plans what was said here for hosts that are new to a recipient, and a comparison with them. */
export async function tellNew(context: SyncContext, recipient: string): Promise<void> {
  const { clock, config, database, forwarding, keys } = context
  const key = Buffer.from(recipient, 'hex')
  const now = clock.now()
  forwarding.nudgeStatements(await tellNewHosts(database, key, keys.publicKey, config.limits.timeToLive, now))
  await requestReconciliations(database, key, keys.publicKey, now)
}

/** Passes over hosts that the recipient's live tokens no longer name, and those that are blocked. */
async function stillDue(
  context: SyncContext,
  domain: string,
  claimed: readonly DueStatement[]
): Promise<DueStatement[]> {
  const { database, operatorLists, queue, tokens } = context
  const due: DueStatement[] = []
  const gone: DueStatement[] = []
  for (const statement of claimed) {
    const { host_key: host, live_domain: liveDomain } = statement
    if (liveDomain === null || !servesHost(operatorLists, host, liveDomain)) gone.push(statement)
    else if (liveDomain !== domain) {
      await retargetStatement(database, statement, liveDomain)
      queue.add('statements', liveDomain)
    } else if (!(await tokens.holds({ ...statement, live_domain: domain }))) {
      // The index has been put right: what it says now decides.
      await retargetStatement(database, statement, domain)
    } else due.push(statement)
  }
  if (gone.length > 0) await endStatements(database, gone)
  return due
}

/** False if the host is failing. */
async function passOn(context: SyncContext, domain: string, due: readonly DueStatement[]): Promise<boolean> {
  const beganAt = context.clock.now()
  let calls: readonly StatementCall[]
  try {
    calls = await understood(context, domain, callsFor(due))
  } catch (error) {
    await settle(context, domain, due, beganAt, judgeFailure(error))
    return false
  }
  for (let at = 0; at < calls.length; at += CALLS_AT_ONCE) {
    const answered = await Promise.all(
      calls.slice(at, at + CALLS_AT_ONCE).map(async call => {
        const beganAt = context.clock.now()
        return settle(context, domain, call.due, beganAt, await makeCall(context, domain, call))
      })
    )
    if (answered.includes(false)) {
      const rest = calls.slice(at + CALLS_AT_ONCE).flatMap(call => call.due)
      await deferStatements(context.database, rest, context.clock.now())
      return false
    }
  }
  return true
}

/**
 * The calls that the host knows. A plain BRC-34 host would understand nothing, an older one not all.
 *
 * @throws OutboundError where it cannot be asked
 */
async function understood(
  { clock, database, extensions, random }: SyncContext,
  domain: string,
  calls: readonly StatementCall[]
): Promise<StatementCall[]> {
  const known: StatementCall[] = []
  for (const call of calls) {
    const understands = await extensions.has(domain, call.extension)
    if (understands === true) known.push(call)
    else if (understands === false) await endStatements(database, call.due)
    else {
      const wait = waitAfter(call.due[0].attempts, undefined, random())
      await deferStatements(database, call.due, clock.now() + wait)
    }
  }
  return known
}

async function makeCall(
  { keys, peers }: SyncContext,
  domain: string,
  { due, path, body }: StatementCall
): Promise<Attempt> {
  const host = { domain, operatorKey: identityKeyFromBytes(due[0].host_key) }
  try {
    return judgeAnswer(await peers.post(host, path, body(keys)))
  } catch (error) {
    return judgeFailure(error)
  }
}

/** False if the host is failing. */
async function settle(
  context: SyncContext,
  domain: string,
  due: readonly DueStatement[],
  beganAt: number,
  attempt: Attempt
): Promise<boolean> {
  const { clock, database, logger, random } = context
  const now = clock.now()
  if (attempt.host === 'failing') {
    const { answer } = attempt
    const operatorKey = due[0]!.host_key
    const failures = await blameHost(context, { domain, operatorKey, beganAt, attempt })
    await deferStatements(database, due, now)
    logger.info({ domain, answer, failures }, 'a host could not be told')
    return false
  }
  if (attempt.host === 'impostor') {
    await endStatements(database, due)
    return true
  }
  if (due.some(({ failing }) => failing)) await clearFailures(database, domain)
  const [{ recipient, attempts }] = due as StatementCall['due']
  const outcome = attempt.outcomeOf(identityKeyFromBytes(recipient))
  if (outcome.state === 'deferred') {
    await deferStatements(database, due, now + waitAfter(attempts, outcome.retryAfter, random()))
  } else await endStatements(database, due)
  return true
}
