import { judgeOrigin, type ProvenMessage, type ProvenRecipient } from '../../federation/origin/proof.js'
import { parsePropagatedMessage } from '../../federation/origin/propagated-message.js'
import type { Limits } from '../../src/config.js'
import type { Curve } from '../../src/curve/curve.js'
import { ApiError } from '../../src/errors.js'
import type { Accepted, AcceptedRecipient, Refused } from './origin-cases.js'

/** What the code under test says of a /propagateMessage body, in the words of the cases. */
export interface Verdict {
  readonly answer: Accepted | Refused
  /** Undefined where it did not come so far. */
  readonly proven: ProvenMessage | undefined
}

/** Anything but an ApiError is thrown on: nothing else may come out. */
export function verdictOf(curve: Curve, limits: Limits, body: unknown, now: number): Verdict {
  try {
    const propagated = parsePropagatedMessage(curve, limits.recipientsPerSend, body)
    const proven = judgeOrigin(curve, limits, propagated, now)
    return { answer: answerOf(proven), proven }
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    const { httpStatus, code, details } = error
    return { answer: refused(httpStatus, code, details.check), proven: undefined }
  }
}

function answerOf(proven: ProvenMessage): Accepted | Refused {
  const { message, format, recipients } = proven
  const first = recipients.find(({ verdict }) => verdict.ok)?.verdict
  if (first === undefined || !first.ok) {
    const { verdict } = recipients[0]!
    if (verdict.ok) throw new Error('nobody is refused')
    return refused(verdict.httpStatus, verdict.code, verdict.check)
  }
  return {
    accept: true,
    origin: first.origin,
    format,
    messageBox: message.messageBox,
    text: message.body,
    recipients: recipients.map(answerFor)
  }
}

function answerFor({ recipient, messageId, verdict }: ProvenRecipient): Accepted['recipients'][number] {
  if (verdict.ok) {
    const { origin, time } = verdict
    return { recipient, messageId: messageId ?? null, origin, time } satisfies AcceptedRecipient
  }
  const { accept, ...refusal } = refused(verdict.httpStatus, verdict.code, verdict.check)
  return { recipient, ...refusal }
}

function refused(httpStatus: number, code: string, check: unknown): Refused {
  const named = typeof check === 'string' ? { check: check as NonNullable<Refused['check']> } : {}
  return { accept: false, httpStatus, code, ...named }
}
