import { isObject } from '../src/message.js'
import { BenchError } from './bench-error.js'
import { type Connections, jsonOf, type Session, type SignedRequest } from './client.js'
import type { SendRequest, Target } from './requests.js'
import type { Volley } from './volley.js'

/*
 * Whether the node has done what it says: what was measured is not taken on trust.
 */

/** Ids of all messages in a box, page by page. */
export async function idsIn(
  connections: Connections,
  user: Session,
  messageBox: string
): Promise<Set<unknown>> {
  const ids = new Set<unknown>()
  for (let cursor: unknown; ; ) {
    const page = await user.post(connections, '/listMessages', { messageBox, cursor })
    for (const message of messagesOf(page)) ids.add(message.messageId)
    if (page.hasMore !== true) return ids
    cursor = page.nextCursor
  }
}

export function messagesOf(page: Readonly<Record<string, unknown>>): Record<string, unknown>[] {
  const messages = Array.isArray(page.messages) ? page.messages : []
  return messages.filter(isObject).map(message => ({ ...message }))
}

export function checkSamples(volley: Volley<SignedRequest>): void {
  for (const { request, answer } of volley.samples) {
    request.session.check(request, answer)
    if (jsonOf(answer).status !== 'success') throw new BenchError('An answer is no success.')
  }
}

/** Requests by whom they are for. */
export function byRecipient(sent: readonly SendRequest[]): Map<Session, SendRequest[]> {
  const groups = new Map<Session, SendRequest[]>()
  for (const request of sent) {
    const group = groups.get(request.recipient)
    if (group === undefined) groups.set(request.recipient, [request])
    else group.push(request)
  }
  return groups
}

/** Every message that was accepted is in its box. */
export async function checkArrived({ connections }: Target, sent: readonly SendRequest[]): Promise<void> {
  for (const [recipient, requests] of byRecipient(sent)) {
    const ids = await idsIn(connections, recipient, requests[0]!.messageBox)
    const missing = requests.filter(({ messageId }) => !ids.has(messageId)).length
    if (missing > 0) throw new BenchError(`${missing} messages were accepted and are not in the box.`)
  }
}

export function checkLists(volley: Volley<SignedRequest>, size: number): void {
  checkSamples(volley)
  for (const { answer } of volley.samples) {
    const { length } = messagesOf(jsonOf(answer))
    if (length !== size) throw new BenchError(`A list has ${length} messages and not ${size}.`)
  }
}
