import { isObject } from '../../src/message.js'
import { OutboundError } from '../channel/outbound-error.js'
import { PeerError } from '../channel/peer-error.js'
import { type Meaning, meaningOfFailure, meaningOfResult, meaningOfStatus } from './meanings.js'

/*
 * What the answer to an attempt means (docs/delivery.md). A failure belongs to the host or to the message, never to both: a
 * host that is away delays all of its mail and spoils none of it.
 */

/** What became of one recipient's message at one host. */
export type Outcome =
  | { readonly state: 'delivered'; readonly answer: string }
  /** The host said no to this message for good. */
  | { readonly state: 'refused'; readonly answer: string }
  /** Not now; the host is well. `lane`: whatever the sender has for this box would be answered the same. */
  | {
      readonly state: 'deferred'
      readonly answer: string
      readonly retryAfter: number | undefined
      readonly waits: 'message' | 'lane'
    }

/** What an attempt says of the host as a whole. */
export type Attempt =
  | { readonly host: 'answered'; readonly outcomeOf: (recipient: string) => Outcome }
  /** Nothing can be had there now; seconds, if it said how long. */
  | {
      readonly host: 'failing'
      readonly answer: string
      readonly retryAfter: number | undefined
      /** The host had proven its key and got the message: that may be to blame. */
      readonly suspect: boolean
    }
  /** The domain belongs to another key than the token says; the domain itself is not to blame. */
  | { readonly host: 'impostor'; readonly answer: 'wrong-identity' | 'other-key-known' }

/** The part of an answer that its meaning depends on. */
export interface AnswerToJudge {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  json(): unknown
}

const LONGEST_RETRY_AFTER = 60 * 60

/** Judges the signed answer to a /propagateMessage call. */
export function judgeAnswer(answer: AnswerToJudge): Attempt {
  if (answer.status === 200) return judgeResults(answer)
  const retryAfter = retryAfterSeconds(answer.headers['retry-after'])
  return attemptOf(meaningOfStatus(answer.status), describe(answer), retryAfter)
}

/** Judges an attempt that brought no answer of the host. */
export function judgeFailure(error: unknown): Attempt {
  if (error instanceof PeerError) {
    const { kind, answer } = error
    const text = answer === undefined ? kind : `${kind}: HTTP ${answer.status}`
    return attemptOf(
      meaningOfFailure(kind, answer?.status),
      text,
      retryAfterSeconds(answer?.headers['retry-after'])
    )
  }
  if (error instanceof OutboundError) {
    return attemptOf(meaningOfFailure(error.kind, error.phase), error.kind, undefined)
  }
  throw error
}

function judgeResults(answer: AnswerToJudge): Attempt {
  const body = bodyOf(answer)
  if (!isObject(body) || body.status !== 'success') {
    return { host: 'failing', answer: 'not this protocol', retryAfter: undefined, suspect: false }
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
  const none: Outcome = { state: 'deferred', answer: 'no result', retryAfter: undefined, waits: 'message' }
  return { host: 'answered', outcomeOf: recipient => results.get(recipient) ?? none }
}

function judgeResult(result: Record<string, unknown>): Outcome {
  if (result.status === 'success') return { state: 'delivered', answer: 'success' }
  const status = typeof result.httpStatus === 'number' ? result.httpStatus : 400
  const retryAfter = typeof result.retryAfter === 'number' ? limited(result.retryAfter) : undefined
  return outcomeOf(meaningOfResult(status), codeText(result.code) ?? `HTTP ${status}`, retryAfter)
}

function attemptOf(meaning: Meaning, answer: string, retryAfter: number | undefined): Attempt {
  switch (meaning) {
    case 'not that host':
      return { host: 'impostor', answer: answer === 'other-key-known' ? answer : 'wrong-identity' }
    case 'host fails':
      return { host: 'failing', answer, retryAfter, suspect: false }
    case 'host or message':
      return { host: 'failing', answer, retryAfter, suspect: true }
    default: {
      const outcome = outcomeOf(meaning, answer, retryAfter)
      return { host: 'answered', outcomeOf: () => outcome }
    }
  }
}

function outcomeOf(meaning: Meaning, answer: string, retryAfter: number | undefined): Outcome {
  if (meaning === 'delivered') return { state: 'delivered', answer }
  if (meaning === 'refused') return { state: 'refused', answer }
  return { state: 'deferred', answer, retryAfter, waits: meaning === 'lane waits' ? 'lane' : 'message' }
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
