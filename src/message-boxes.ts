import type { Caller } from './auth/caller.js'
import { StaleSession } from './auth/stale-session.js'
import type { Limits } from './config.js'
import type { Context, Forwarding, LocalContext } from './context.js'
import { ApiError, badRequest } from './errors.js'
import { type IdentityKey, identityKeyBytes } from './keys/identity-key.js'
import { verifyPortableSignature } from './keys/portable-signature.js'
import type { Arrival } from './live/arrivals.js'
import {
  CLOCK_TOLERANCE,
  isIntegerId,
  type Message,
  type MessageRecipient,
  shownMessageId,
  signedMessageText
} from './message.js'
import { ciphertextKey, clientMessageIdKey, messageName, publicInteger, rowKeyInTurns } from './names.js'
import { requireDues } from './payments/paid.js'
import { type Dues, paymentMissing } from './permissions/dues.js'
import type { MessageProof } from './storage/messages.js'
import { quotaReason } from './storage/quotas.js'
import type { SentMessage, SentOutcome, SentRecipient } from './storage/sent-messages.js'

export interface Acceptance {
  readonly recipient: IdentityKey
  /** A number where this host assigned it. */
  readonly messageId: string | number
  readonly delivery: 'local' | 'parked' | 'forwarding'
  readonly forwardable: boolean
}

/**
 * Takes a message of this node's own user: judges all recipients, stores it for those who are at home here or have no
 * known host, plans deliveries to other hosts; all in one commit, or nothing at all. Resolves after the commit.
 *
 * @returns one entry per recipient, in the order of the request
 * @throws StaleSession for a replay; ApiError 400 (signature, time, payment), 403 ERR_DELIVERY_BLOCKED,
 * ERR_ORIGIN_UNPROVABLE, 409 ERR_DUPLICATE_MESSAGE, ERR_RECIPIENT_ELSEWHERE, 429
 * ERR_SENDER_QUOTA_EXCEEDED, 507 ERR_INBOX_QUOTA_EXCEEDED
 */
export async function acceptSentMessage(
  context: LocalContext,
  caller: Caller,
  message: Message
): Promise<Acceptance[]> {
  const now = context.clock.now()
  const sorted = message.recipients
    .map(recipient => namedRecipient(context, caller, message, recipient, now))
    .sort((a, b) => Buffer.compare(a.recipient, b.recipient))
  const body = Buffer.from(message.body)
  const sent = {
    sender: caller.identityKeyBytes,
    messageBox: message.messageBox,
    body,
    wrapped: message.wrapped,
    paymentDigest:
      message.paymentTransaction === undefined ? undefined : await rowKeyInTurns(message.paymentTransaction),
    ciphertextKey:
      message.ciphertext === undefined ? undefined : ciphertextKey(caller.identityKey, message.ciphertext),
    envelope: caller.envelope,
    recipients: sorted
  }
  const outcomes = await acceptPaid(context, caller, message, sent, now)
  throwRefusal(outcomes, sorted, caller.envelope.carriesAuthorization, context.config.limits)
  const domains = outcomes.flatMap(outcome => outcome.domains ?? [])
  if (domains.length > 0) context.forwarding.nudge(domains)
  context.arrivals.announce(arrivalsOf(outcomes, sorted, message.messageBox))
  const byRecipient = new Map(
    outcomes.map(outcome => [sorted[outcome.recipient_index - 1]!.recipient.toString('hex'), outcome])
  )
  return message.recipients.map(({ recipient }) => {
    const outcome = byRecipient.get(recipient)!
    return {
      recipient,
      messageId: shownMessageId(outcome.shown_id),
      delivery: outcome.delivery,
      forwardable: outcome.forwardable
    }
  })
}

/**
 * Where something is due, the payment is compared with it, and the request is judged once more by what it pays. What is paid
 * without being due is the recipient's all the same; a payment that is no good does not matter then.
 */
async function acceptPaid(
  context: LocalContext,
  caller: Caller,
  message: Message,
  sent: SentMessage,
  now: number
): Promise<readonly SentOutcome[]> {
  const { replay } = caller
  const deliveryFee = context.deliveryFees.get(message.messageBox) ?? 0
  const recipients = message.recipients.map(({ recipient }) => recipient)
  const found = await context.payments.find(message.payment, caller.identityKey, recipients)
  const payment = found instanceof ApiError ? undefined : found
  const accept = (paid?: readonly number[]) =>
    matchingExpressions(context.forwarding, message.messageBox, matches =>
      context.sentMessages.accept({ replay, message: sent, matches, now, deliveryFee, paid, payment })
    )
  let outcomes = await accept()
  // Again only if a recipient asks for more meanwhile, which the same payment has to pay.
  while (outcomes.every(({ outcome }) => outcome === 'due')) {
    const fees = feesOf(outcomes, sent.recipients)
    const dues: Dues = {
      deliveryFee,
      recipients: recipients.map(recipient => ({ recipient, fee: fees.get(recipient) ?? 0 }))
    }
    if (payment === undefined) throw found ?? paymentMissing(dues)
    requireDues(payment, dues)
    outcomes = await accept(sent.recipients.map(({ recipient }) => fees.get(recipient.toString('hex')) ?? 0))
  }
  return outcomes
}

/** What is due to whom. */
function feesOf(
  outcomes: readonly SentOutcome[],
  recipients: readonly SentRecipient[]
): ReadonlyMap<IdentityKey, number> {
  return new Map(
    outcomes
      .filter(outcome => outcome.recipient_index > 0)
      .map(({ recipient_index, fee }) => [
        recipients[recipient_index - 1]!.recipient.toString('hex'),
        fee ?? 0
      ])
  )
}

/** What has come into boxes of this host. */
function arrivalsOf(
  outcomes: readonly SentOutcome[],
  recipients: readonly SentRecipient[],
  messageBox: string
): Arrival[] {
  return outcomes
    .filter(({ outcome, delivery }) => outcome === 'accepted' && delivery !== 'forwarding')
    .map(({ recipient_index }) => ({
      recipient: recipients[recipient_index - 1]!.recipient.toString('hex') as IdentityKey,
      messageBox
    }))
}

/**
 * Box expressions are matched here, in linear time, not by Postgres. The statement is run without them first: most
 * recipients have none.
 */
export async function matchingExpressions<Outcome extends { outcome: string; expressions: string[] | null }>(
  forwarding: Forwarding,
  messageBox: string,
  run: (matches: ReadonlyMap<string, boolean>) => Promise<readonly Outcome[]>
): Promise<readonly Outcome[]> {
  const matches = new Map<string, boolean>()
  for (;;) {
    const outcomes = await run(matches)
    if (outcomes[0]?.outcome !== 'match') return outcomes
    for (const expression of outcomes[0].expressions ?? []) {
      matches.set(expression, forwarding.matches(expression, messageBox))
    }
  }
}

function namedRecipient(
  context: Context,
  caller: Caller,
  message: Message,
  { recipient, messageId, signature }: MessageRecipient,
  now: number
): SentRecipient {
  const { identityKey: sender, envelope } = caller
  const recipientBytes = identityKeyBytes(recipient)
  let proof: MessageProof | undefined
  let signedText: string | undefined
  if (signature !== undefined) {
    const createdAt = message.createdAt!
    checkTime(createdAt, context.config.limits.timeToLive, now)
    signedText = signedMessageText(recipient, message.messageBox, messageId, message.body, createdAt)
    if (!verifyPortableSignature(context.curve, sender, signedText, signature)) {
      throw badRequest(
        'ERR_INVALID_SIGNATURE',
        `The signature for ${recipient} is not the sender's over this message.`
      )
    }
    proof = { signature, createdAt, messageId: messageId ?? null }
  }
  const name = messageName(sender, message.messageBox, message.ciphertext, signedText, envelope.id)
  return {
    recipient: recipientBytes,
    name,
    integer: publicInteger(name, recipientBytes),
    clientId: messageId === undefined || isIntegerId(messageId) ? undefined : messageId,
    idKey:
      messageId === undefined
        ? undefined
        : clientMessageIdKey(recipient, sender, message.messageBox, messageId),
    proof,
    expiresAt: (proof?.createdAt ?? now) + context.config.limits.timeToLive * 1000
  }
}

function checkTime(createdAt: number, timeToLive: number, now: number): void {
  if (createdAt > now + CLOCK_TOLERANCE) {
    throw badRequest('ERR_MESSAGE_EARLY', '"createdAt" lies more than ten minutes ahead of this node.')
  }
  if (createdAt + timeToLive * 1000 <= now) {
    throw badRequest('ERR_MESSAGE_EXPIRED', `The message is older than ${timeToLive} seconds.`)
  }
}

const REFUSALS = {
  blocked: {
    status: 403,
    code: 'ERR_DELIVERY_BLOCKED',
    description: 'A recipient takes no messages of yours in this box. Only he can change that.'
  },
  unprovable: {
    status: 403,
    code: 'ERR_ORIGIN_UNPROVABLE',
    description:
      'The message must go to another host, and nothing would prove there who sent it. Authorize this host to send for you (POST /authorizeSending), sign the message (message.signature), or encrypt the body.'
  },
  duplicate: {
    status: 409,
    code: 'ERR_DUPLICATE_MESSAGE',
    description: 'Another message with this messageId is in the box. Choose a new id for a new message.'
  },
  elsewhere: {
    status: 409,
    code: 'ERR_RECIPIENT_ELSEWHERE',
    description:
      'The recipient reads at another host, which takes no messages from this one. Send to him there: "recipients" names the host.'
  },
  full: {
    status: 507,
    code: 'ERR_INBOX_QUOTA_EXCEEDED',
    description: 'There is no room'
  }
} as const

const TOO_MANY_OF_SENDER = {
  status: 429,
  code: 'ERR_SENDER_QUOTA_EXCEEDED',
  description: 'There is no room for another message of yours'
} as const

type Refusal = SentOutcome & { readonly outcome: keyof typeof REFUSALS }

function throwRefusal(
  outcomes: readonly SentOutcome[],
  recipients: readonly SentRecipient[],
  withheld: boolean,
  limits: Limits
): void {
  const first = outcomes[0]!.outcome
  if (first === 'replayed' || first === 'unknown') throw new StaleSession(first)
  const refusals = outcomes.filter(isRefusal)
  const [decisive] = refusals.toSorted(
    (a, b) => PRECEDENCE.indexOf(a.outcome) - PRECEDENCE.indexOf(b.outcome)
  )
  if (decisive === undefined) return
  const { outcome, exceeded } = decisive
  const refusal = refusalOf(decisive)
  if (outcome === 'unprovable' && withheld) {
    throw badRequest(
      'ERR_AUTHORIZATION_HEADER',
      'The request signs an "authorization" header, which would be shown to every host it is passed to. Send it without.'
    )
  }
  const description =
    exceeded === null
      ? refusal.description
      : `${refusal.description}: ${quotaReason(exceeded)}. Try again later.`
  const keyOf = ({ recipient_index }: SentOutcome) =>
    recipients[recipient_index - 1]!.recipient.toString('hex')
  const blocked = refusals.filter(({ outcome }) => outcome === 'blocked').map(keyOf)
  throw new ApiError(refusal.status, refusal.code, description, {
    recipients: refusals.map(refused => ({
      recipient: keyOf(refused),
      code: refusalOf(refused).code,
      ...(refused.exceeded === null ? {} : { limit: refused.exceeded }),
      ...(refused.outcome === 'elsewhere' && { host: refused.domains?.[0] })
    })),
    ...(blocked.length === 0 ? {} : { blockedRecipients: blocked }),
    // Which limit, and how much it is: deployed servers say it so.
    ...(exceeded === null ? {} : { resource: exceeded, limit: limits[exceeded] })
  })
}

/** Deployed servers tell a sender who has sent too much from a box that is full. */
function refusalOf({ outcome, exceeded }: Refusal) {
  return exceeded === 'messagesPerSender' ? TOO_MANY_OF_SENDER : REFUSALS[outcome]
}

/** The first of these that is among the refusals is told for the request; stock clients look for blocks. */
const PRECEDENCE = Object.keys(REFUSALS)

/** What is due beside a refusal is not spoken of: nothing is to be paid for what is refused anyway. */
function isRefusal(outcome: SentOutcome): outcome is Refusal {
  return outcome.outcome in REFUSALS
}
