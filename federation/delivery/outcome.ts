import { isObject } from '../../src/message.js'
import { OutboundError } from '../channel/outbound-error.js'
import { PeerError } from '../channel/peer-error.js'

/*
 * What the answer to an attempt means (docs/protocol.md, section 6, has the table). A failure belongs to the host or to the message,
 * never to both: a host that is away delays all of its mail and spoils none of it.
 */

/** What became of one recipient's message at one host. */
export type Outcome =
  | { readonly state: 'delivered'; readonly answer: string }
  /** The host said no to this message for good. */
  | { readonly state: 'refused'; readonly answer: string }
  /** Not now; the message alone waits. */
  | { readonly state: 'deferred'; readonly answer: string; readonly retryAfter: number | undefined }

/** What an attempt says of the host as a whole. */
export type Attempt =
  | { readonly host: 'answered'; readonly outcomeOf: (recipient: string) => Outcome }
  /** Nothing can be had there now; seconds, if it said how long. */
  | { readonly host: 'failing'; readonly answer: string; readonly retryAfter: number | undefined }
  /** The domain belongs to another key than the token says; the domain itself is not to blame. */
  | { readonly host: 'impostor'; readonly answer: 'wrong-identity' | 'other-key-known' }

/** The part of an answer that its meaning depends on. */
export interface AnswerToJudge {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  json(): unknown
}

/** Statuses that say "later" about one message: too early, rate, a full box, a dependency that is away. */
const LATER = new Set([408, 425, 429, 503, 507])
const LONGEST_RETRY_AFTER = 60 * 60

/** Judges the signed answer to a /propagateMessage call. */
export function judgeAnswer(answer: AnswerToJudge): Attempt {
  const { status } = answer
  const retryAfter = retryAfterSeconds(answer.headers['retry-after'])
  if (status >= 500 && status !== 507) return { host: 'failing', answer: `HTTP ${status}`, retryAfter }
  if (status === 429 || status === 401 || status === 404) {
    return { host: 'failing', answer: describe(answer), retryAfter }
  }
  if (status === 200) return judgeResults(answer)
  const outcome = judgeStatus(status, describe(answer), retryAfter)
  return { host: 'answered', outcomeOf: () => outcome }
}

/** Judges an attempt that brought no answer of the host. */
export function judgeFailure(error: unknown): Attempt {
  if (error instanceof PeerError) {
    if (error.kind === 'wrong-identity' || error.kind === 'other-key-known') {
      return { host: 'impostor', answer: error.kind }
    }
    return {
      host: 'failing',
      answer: error.answer === undefined ? error.kind : `${error.kind}: HTTP ${error.answer.status}`,
      retryAfter: retryAfterSeconds(error.answer?.headers['retry-after'])
    }
  }
  if (error instanceof OutboundError) return { host: 'failing', answer: error.kind, retryAfter: undefined }
  throw error
}

function judgeResults(answer: AnswerToJudge): Attempt {
  const body = bodyOf(answer)
  if (!isObject(body) || body.status !== 'success') {
    return { host: 'failing', answer: 'not this protocol', retryAfter: undefined }
  }
  // A plain BRC-34 host: its answer counts for all recipients.
  if (!Array.isArray(body.results)) {
    return { host: 'answered', outcomeOf: () => ({ state: 'delivered', answer: 'success' }) }
  }
  const results = new Map<string, Outcome>()
  for (const result of body.results) {
    if (isObject(result) && typeof result.recipient === 'string') {
      results.set(result.recipient, judgeResult(result))
    }
  }
  return {
    host: 'answered',
    outcomeOf: recipient =>
      results.get(recipient) ?? { state: 'deferred', answer: 'no result', retryAfter: undefined }
  }
}

function judgeResult(result: Record<string, unknown>): Outcome {
  if (result.status === 'success') return { state: 'delivered', answer: 'success' }
  const status = typeof result.httpStatus === 'number' ? result.httpStatus : 400
  const retryAfter = typeof result.retryAfter === 'number' ? limited(result.retryAfter) : undefined
  return judgeStatus(status, codeText(result.code) ?? `HTTP ${status}`, retryAfter)
}

function judgeStatus(status: number, answer: string, retryAfter: number | undefined): Outcome {
  if (LATER.has(status) || status >= 500) return { state: 'deferred', answer, retryAfter }
  return { state: 'refused', answer }
}

function describe(answer: AnswerToJudge): string {
  const body = bodyOf(answer)
  return (isObject(body) ? codeText(body.code) : undefined) ?? `HTTP ${answer.status}`
}

/** Codes are shown to operators and senders: nothing but a code passes. */
function codeText(code: unknown): string | undefined {
  return typeof code === 'string' && /^[A-Z_]{1,64}$/.test(code) ? code : undefined
}

function bodyOf(answer: AnswerToJudge): unknown {
  try {
    return answer.json()
  } catch {
    return undefined
  }
}

function retryAfterSeconds(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,9}$/.test(header) ? limited(Number(header)) : undefined
}

function limited(seconds: number): number {
  return Math.min(Math.max(seconds, 0), LONGEST_RETRY_AFTER)
}
