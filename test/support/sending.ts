import { scheduler } from 'node:timers/promises'
import { signPortably } from '../../src/keys/portable-signature.js'
import { signedMessageText } from '../../src/message.js'
import type { Answer, TestUser } from './client.js'
import type { FaultSender } from './fault-users.js'
import type { Oracle } from './oracle.js'
import type { PlannedRequest } from './traffic.js'

/** Between two tries, ms. */
const RETRY_MILLISECONDS = 50
/** Who gets no answer waits no longer than this, ms. */
const PATIENCE = 4_000
/** A request that is not taken for so long is given up, ms. */
const LONGEST_MILLISECONDS = 60_000

/**
 * Every sender sends what is planned for him, one request after the other, again while he is told nothing or "later", and
 * tells the oracle.
 *
 * @param onAttempt called whenever a request was answered or failed
 */
export async function sendAll(
  senders: readonly FaultSender[],
  traffic: readonly (readonly PlannedRequest[])[],
  oracle: Oracle,
  onAttempt: () => void
): Promise<void> {
  await Promise.all(
    senders.map(async (sender, i) => {
      sender.user.patience = PATIENCE
      for (const request of traffic[i]!) await send(sender, request, oracle, onAttempt)
      sender.user.patience = undefined
    })
  )
}

async function send(
  { user, host }: FaultSender,
  request: PlannedRequest,
  oracle: Oracle,
  onAttempt: () => void
): Promise<void> {
  const { messages, tries } = request
  for (const message of messages) oracle.sending(message)
  const body = { message: wireMessage(user, request) }
  const end = performance.now() + LONGEST_MILLISECONDS
  for (let attempt = 1; ; attempt++) {
    const answer: Answer | undefined = await user.post(host.url, '/sendMessage', body).catch(() => undefined)
    if (answer?.status === 200) for (const message of messages) oracle.answered(message)
    else if (answer !== undefined && isFinal(answer)) {
      for (const message of messages) oracle.refused(message, `${answer.status} ${answer.body}`)
    }
    onAttempt()
    if (answer !== undefined && (answer.status === 200 || isFinal(answer))) return
    if (attempt >= tries || performance.now() > end) return
    await scheduler.wait(RETRY_MILLISECONDS)
  }
}

/** Nothing that goes by itself: a request that was right is wrong now. */
function isFinal({ status }: Answer): boolean {
  return status < 500 && status !== 401 && status !== 408 && status !== 425 && status !== 429
}

function wireMessage(user: TestUser, { messages, proof }: PlannedRequest): object {
  const { messageBox, body } = messages[0]!
  const createdAt = Date.now()
  const signed =
    proof === 'signature'
      ? {
          createdAt,
          signatures: messages.map(({ recipient, messageId }) =>
            signPortably(user.keys, signedMessageText(recipient, messageBox, messageId, body, createdAt))
          )
        }
      : {}
  return {
    recipients: messages.map(({ recipient }) => recipient),
    messageId: messages.map(({ messageId }) => messageId),
    messageBox,
    body,
    ...signed
  }
}
