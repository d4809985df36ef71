import { StaleSession } from '../../src/auth/stale-session.js'
import type { AuthenticatedEndpoint } from '../../src/endpoint.js'
import { ApiError } from '../../src/errors.js'
import { identityKeyBytes } from '../../src/keys/identity-key.js'
import { isIntegerId } from '../../src/message.js'
import { matchingExpressions } from '../../src/message-boxes.js'
import { ciphertextKey, publicInteger } from '../../src/names.js'
import { sumOf } from '../../src/payments/paid.js'
import type { CheckedPayment } from '../../src/payments/payment-check.js'
import type { QuotaName } from '../../src/storage/quotas.js'
import type { FederationContext } from '../context.js'
import {
  judgeOrigin,
  type OriginCheck,
  originUnproven,
  type ProvenMessage,
  type ProvenOrigin,
  type ProvenRecipient
} from '../origin/proof.js'
import { type PropagatedMessage, parsePropagatedMessage } from '../origin/propagated-message.js'
import { parseSignedInTurns } from '../origin/signed-message.js'
import type { ReceivedMessage, ReceivedOutcome, ReceivedRecipient } from '../storage/propagated.js'
import { Handovers } from './handovers.js'
import { requireServedDomain } from './served-domain.js'

/** What one recipient alone would have been answered. */
interface RecipientResult {
  readonly recipient: string
  readonly status: 'success' | 'error'
  readonly code?: string
  readonly httpStatus?: number
  readonly retryAfter?: number
  readonly check?: OriginCheck
  /** The limit that was reached, as the node document calls it. */
  readonly limit?: QuotaName
  /** What the recipient wants for the message, satoshis. */
  readonly recipientFee?: number
}

/** Seconds after which a full box is worth another attempt. */
const FULL_RETRY_AFTER = 60

/**
 * POST /propagateMessage (BRC-34; protocol section 4): another host hands on a message for recipients at home here.
 *
 * Body: see propagated-message.ts. Answers 200 with `results`, one per recipient, as soon as one of them was judged: what
 * came before is `success` again and changes nothing. A recipient to whom this sender has sent too much in this minute is
 * `error` with 429 ERR_RATE_LIMITED; the others have theirs. The recipient's rules hold: 403 ERR_DELIVERY_BLOCKED, 400
 * ERR_MISSING_PAYMENT_TX and the other codes of payments, 409 ERR_PAYMENT_REPLAYED, each with his `recipientFee`.
 *
 * Errors: 400 ERR_INVALID_PROPAGATION, 403 ERR_BLOCKED (the host or the sender), 403 ERR_ORIGIN_UNPROVEN (`check` names what failed), 403 ERR_NOT_HOME where none of
 * the recipients is at home here; 429 ERR_RATE_LIMITED where the calling host asks too often.
 */
export const propagateMessage: AuthenticatedEndpoint<FederationContext> = {
  method: 'POST',
  path: '/propagateMessage',
  authenticated: true,
  forHosts: true,
  bodyLimit: limits => Math.ceil((limits.requestBytes * 4) / 3) + 64 * 1024,
  async handler(request, context) {
    const { curve, clock, config, operatorLists, receivedMessages } = context
    context.waitingHosts.heard(request.caller.identityKey)
    const propagated = parsePropagatedMessage(curve, config.limits.recipientsPerSend, request.json())
    const { originalSender } = propagated
    const host = request.caller.identityKey
    if (operatorLists.blocksIdentity(originalSender)) throw operatorLists.refusal('identity')
    await requireServedDomain(context, host)
    const now = clock.now()
    const parse = await parseSignedInTurns(propagated.signedMessage)
    const judged = judgeOrigin(curve, config.limits, propagated, now, parse)
    const all = judged.recipients.filter(isProven)
    const results = judged.recipients.filter(recipient => !recipient.verdict.ok).map(refusalOf)
    if (all.length === 0) throw onlyRefusal(results)
    const proven = all.filter(({ recipient }) => operatorLists.servesIdentity(recipient))
    if (proven.length < all.length) {
      context.metrics.blocked('identity')
      results.push(...all.filter(recipient => !proven.includes(recipient)).map(blocked))
    }
    const handovers = await Handovers.count(context.rates, host, originalSender, proven)
    results.push(...handovers.refused.map(tooOften))
    if (handovers.counted.length === 0) return { body: { status: 'success', results } }
    const received = receivedMessage(context, propagated, judged, handovers.counted, now)
    const stored = new Set<string>()
    try {
      const recipients = judged.message.recipients.map(({ recipient }) => recipient)
      const found = await context.payments.find(judged.message.payment, originalSender, recipients)
      const payment = found instanceof ApiError ? undefined : found
      const outcomes = await matchingExpressions(context.forwarding, judged.message.messageBox, matches =>
        receivedMessages.accept({ caller: request.caller, message: received, matches, now, payment })
      )
      const first = outcomes[0]!.outcome
      if (first === 'replayed' || first === 'unknown') throw new StaleSession(first)
      for (const judgment of outcomes) {
        const recipient = received.recipients[judgment.recipient_index - 1]!.recipient.toString('hex')
        if (judgment.outcome === 'accepted') stored.add(recipient)
        results.push(resultOf(recipient, judgment, found))
      }
    } finally {
      handovers.undoAllBut(stored)
    }
    const { messageBox } = judged.message
    context.arrivals.announce([...stored].map(recipient => ({ recipient, messageBox })))
    if (results.every(result => result.code === 'ERR_NOT_HOME')) {
      throw new ApiError(
        403,
        'ERR_NOT_HOME',
        'None of the recipients has authorized this host to take his messages.'
      )
    }
    return { body: { status: 'success', results } }
  }
}

type Proven = ProvenRecipient & { readonly verdict: ProvenOrigin }

function isProven(recipient: ProvenRecipient): recipient is Proven {
  return recipient.verdict.ok
}

function receivedMessage(
  { config }: FederationContext,
  propagated: PropagatedMessage,
  { message, envelopeId, format }: ProvenMessage,
  proven: readonly Proven[],
  now: number
): ReceivedMessage {
  const { senderAuthorization, hostAttestation } = propagated
  const attested = proven.find(recipient => recipient.verdict.origin === 'home-host')
  return {
    sender: identityKeyBytes(propagated.originalSender),
    messageBox: message.messageBox,
    body: Buffer.from(message.body),
    wrapped: message.wrapped,
    ciphertextKey:
      message.ciphertext === undefined
        ? undefined
        : ciphertextKey(propagated.originalSender, message.ciphertext),
    envelopeId,
    format,
    keyID: propagated.keyID,
    signedBytes: propagated.signedMessage,
    signature: propagated.senderSignature,
    keyLinkage: propagated.keyLinkage,
    // Only what was verified is passed on.
    proof:
      attested !== undefined && senderAuthorization !== undefined && hostAttestation !== undefined
        ? { senderAuthorization, hostAttestation }
        : undefined,
    receivedAt: attested?.verdict.time ?? now,
    recipients: proven
      .map((recipient): ReceivedRecipient => {
        const key = identityKeyBytes(recipient.recipient)
        const { messageId, signature, name, verdict } = recipient
        return {
          recipient: key,
          name,
          integer: publicInteger(name, key),
          clientId: messageId === undefined || isIntegerId(messageId) ? undefined : messageId,
          origin: verdict.origin,
          proof:
            verdict.origin === 'signature' && signature !== undefined
              ? { signature, createdAt: verdict.time, messageId: messageId ?? null }
              : undefined,
          reflectionKey:
            message.ciphertext === undefined
              ? undefined
              : ciphertextKey(recipient.recipient, message.ciphertext),
          firstSeen: verdict.origin === 'sealed' ? verdict.time : now,
          expiresAt: verdict.time + config.limits.timeToLive * 1000
        }
      })
      .sort((a, b) => Buffer.compare(a.recipient, b.recipient))
  }
}

function refusalOf({ recipient, verdict }: ProvenRecipient): RecipientResult {
  if (verdict.ok) return { recipient, status: 'success' }
  const { code, httpStatus, check } = verdict
  return { recipient, status: 'error', code, httpStatus, ...(check === undefined ? {} : { check }) }
}

function blocked({ recipient }: ProvenRecipient): RecipientResult {
  return { recipient, status: 'error', code: 'ERR_BLOCKED', httpStatus: 403 }
}

function tooOften({ recipient, retryAfter }: Handovers<Proven>['refused'][number]): RecipientResult {
  return { recipient, status: 'error', code: 'ERR_RATE_LIMITED', httpStatus: 429, retryAfter }
}

/** Where no recipient is proven, nothing was judged: the request as a whole is refused with the first reason. */
function onlyRefusal(results: readonly RecipientResult[]): ApiError {
  const { code, httpStatus, check } = results[0]!
  if (check !== undefined) return originUnproven(check)
  return new ApiError(httpStatus!, code!, 'The time that this message states is too late or too early.')
}

/** @param found what came with the message to pay for it */
function resultOf(
  recipient: string,
  { outcome, exceeded, fee }: ReceivedOutcome,
  found: CheckedPayment | ApiError | undefined
): RecipientResult {
  switch (outcome) {
    case 'accepted':
    case 'repeat':
      return { recipient, status: 'success' }
    case 'void':
      return unproven(recipient, 'sender-authorization-void')
    case 'reflected':
      return unproven(recipient, 'reflected')
    case 'boxed-again':
    case 'unsealed-only':
      return unproven(recipient, outcome)
    case 'blocked':
      return { recipient, status: 'error', code: 'ERR_DELIVERY_BLOCKED', httpStatus: 403 }
    case 'due':
      return {
        recipient,
        status: 'error',
        ...unpaid(recipient, fee ?? 0, found),
        ...(fee === null ? {} : { recipientFee: fee })
      }
    case 'full':
      return {
        recipient,
        status: 'error',
        code: 'ERR_INBOX_QUOTA_EXCEEDED',
        httpStatus: 507,
        retryAfter: FULL_RETRY_AFTER,
        ...(exceeded === null ? {} : { limit: exceeded })
      }
    default:
      return { recipient, status: 'error', code: 'ERR_NOT_HOME', httpStatus: 403 }
  }
}

/** Why a payment does not pay what a recipient wants. None of this gets better by waiting. */
function unpaid(
  recipient: string,
  fee: number,
  found: CheckedPayment | ApiError | undefined
): Pick<RecipientResult, 'code' | 'httpStatus'> {
  if (found === undefined) return { code: 'ERR_MISSING_PAYMENT_TX', httpStatus: 400 }
  if (found instanceof ApiError) return { code: found.code, httpStatus: 400 }
  const paid = sumOf(found.recipients.get(recipient))
  if (paid === 0) return { code: 'ERR_MISSING_RECIPIENT_OUTPUTS', httpStatus: 400 }
  if (paid < fee) return { code: 'ERR_INSUFFICIENT_RECIPIENT_PAYMENT', httpStatus: 400 }
  return { code: 'ERR_PAYMENT_REPLAYED', httpStatus: 409 }
}

function unproven(recipient: string, check: OriginCheck): RecipientResult {
  return { recipient, status: 'error', code: 'ERR_ORIGIN_UNPROVEN', httpStatus: 403, check }
}
