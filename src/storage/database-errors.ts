import { type ApiError, unavailable } from '../errors.js'

/**
 * SQLSTATE codes, or their two-character classes, that say "Postgres cannot serve now, later it may".
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const AWAY = new Set([
  '08', // connection exception
  '53', // insufficient resources: too many connections, disk full, out of memory
  '57P01', // admin shutdown, or the backend was terminated
  '57P02', // crash shutdown
  '57P03', // starting up, or shutting down
  '57P05', // idle session timeout
  '57014', // cancelled by statement_timeout
  '55P03', // cancelled by lock_timeout
  '25006', // read only: a standby answers after a failover
  '25P03' // idle in transaction timeout; the connection is gone
])

/** Postgres undid the work and expects it to be tried again. */
const CONFLICT = new Set(['40001', '40P01'])

interface PostgresError extends Error {
  readonly code: string
  readonly routine?: string
}

/** True for what Postgres itself reported: such errors carry a SQLSTATE of five characters. */
export function isPostgresError(error: unknown): error is PostgresError {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return false
  return 'severity' in error && error.code.length === 5
}

/** True if Postgres reported exactly this SQLSTATE, for instance `23505` (unique violation). */
export function hasSqlState(error: unknown, code: string): boolean {
  return isPostgresError(error) && error.code === code
}

/** True if Postgres reported that it cannot serve now. */
export function saysAway(error: unknown): boolean {
  return isPostgresError(error) && (AWAY.has(error.code) || AWAY.has(error.code.slice(0, 2)))
}

/** Nobody knows whether the statement was carried out; its connection is of no use any more. */
export class NeverAnswered extends Error {
  constructor() {
    super('Postgres has not answered a statement in time')
    this.name = 'NeverAnswered'
  }
}

/** True for a serialization failure or a deadlock: nothing of the transaction happened, run it again. */
export function isConflict(error: unknown): boolean {
  return isPostgresError(error) && CONFLICT.has(error.code)
}

/**
 * True if a statement prepared before a migration met the tables after it. Postgres refuses it on that
 * connection for ever; on a new connection it runs.
 */
export function isStalePlan(error: unknown): boolean {
  return isPostgresError(error) && error.code === '0A000' && error.routine === 'RevalidateCachedQuery'
}

/** The 503 a client sees while Postgres is away; what really happened is its `cause`, for the log. */
export function databaseUnavailable(cause: unknown): ApiError {
  const error = unavailable(
    'ERR_DATABASE_UNAVAILABLE',
    'The database of this node cannot be reached now; nothing was changed by this request unless an earlier copy of it succeeded. Try again shortly.'
  )
  error.cause = cause
  return error
}
