import { type Logger, pino } from 'pino'

export type { Logger }

/** Paths that are never written, whatever object they are logged in. */
const REDACTED = [
  'privateKey',
  '*.privateKey',
  'password',
  '*.password',
  'headers.authorization',
  '*.headers.authorization',
  'body',
  '*.body'
]

/**
 * The process's logger: JSON lines on standard error, one object per line, so that standard output stays free
 * for what a person or a script reads.
 *
 * @param level pino's levels, or `silent`
 */
export function createLogger(level: string): Logger {
  const destination = pino.destination({ fd: 2, sync: false })
  return pino({ level, base: null, redact: { paths: REDACTED, censor: '[redacted]' } }, destination)
}
