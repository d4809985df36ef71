import { BenchError } from './bench-error.js'
import { byRecipient, checkArrived, checkLists, checkSamples, idsIn } from './checks.js'
import {
  type Connections,
  type HandshakeRequest,
  type PreparedRequest,
  type Session,
  type SignedRequest,
  withBadSignature
} from './client.js'
import {
  acknowledgeRequest,
  listRequests,
  MESSAGE_BYTES,
  newName,
  type SendRequest,
  sendRequest,
  sendRequests,
  type Target
} from './requests.js'
import { fire, fireQuietly, type Volley } from './volley.js'

export const OPERATION_NAMES = [
  'send',
  'list-100',
  'list-1',
  'ack',
  'handshake',
  'bad-signature',
  'send-1MiB'
] as const
export type OperationName = (typeof OPERATION_NAMES)[number]

const MEBIBYTE = 2 ** 20

/** One kind of request: how to prepare many of them, and how to see that the node has done what it says. */
export interface Operation<Request extends PreparedRequest> {
  /** The status of every answer. */
  readonly status: number
  /** @returns requests ready to be sent */
  prepare(target: Target, count: number): Promise<Request[]>
  /** @throws BenchError if the answers are not signed or not right, or the node's boxes are not as they must be */
  verify(target: Target, volley: Volley<Request>, requests: readonly Request[]): Promise<void>
}

/** The box exists before anything is measured. */
async function makeBoxes({ connections, users }: Target, messageBox: string): Promise<void> {
  const first = users.map(user => sendRequest(user, user, messageBox, 'first'))
  await fireQuietly(connections, first)
  await fireQuietly(connections, first.map(acknowledgeRequest))
}

function sending(bytes: number): Operation<SendRequest> {
  return {
    status: 200,
    async prepare(target, count) {
      const messageBox = newName()
      await makeBoxes(target, messageBox)
      return sendRequests(target.users, target.users, messageBox, count, bytes)
    },
    async verify(target, volley, requests) {
      checkSamples(volley)
      await checkArrived(target, requests.slice(0, volley.fired))
    }
  }
}

/** Filled once per node; all rounds list the same boxes. */
const filled = new WeakMap<Connections, Map<number, string>>()

async function filledBox(target: Target, size: number): Promise<string> {
  const boxes = filled.get(target.connections) ?? new Map<number, string>()
  filled.set(target.connections, boxes)
  let messageBox = boxes.get(size)
  if (messageBox === undefined) {
    messageBox = newName()
    const count = size * target.users.length
    await fireQuietly(target.connections, sendRequests(target.users, target.users, messageBox, count))
    boxes.set(size, messageBox)
  }
  return messageBox
}

function listing(size: number): Operation<SignedRequest> {
  return {
    status: 200,
    async prepare(target, count) {
      return listRequests(target.users, await filledBox(target, size), count)
    },
    async verify(_target, volley) {
      checkLists(volley, size)
    }
  }
}

const acknowledging: Operation<SignedRequest & { readonly sent: SendRequest }> = {
  status: 200,
  async prepare({ connections, users }, count) {
    const sent = sendRequests(users, users, newName(), count)
    await fireQuietly(connections, sent)
    return sent.map(request => ({ ...acknowledgeRequest(request), sent: request }))
  },
  async verify({ connections }, volley, requests) {
    checkSamples(volley)
    const gone = requests.slice(0, volley.fired).map(({ sent }) => sent)
    for (const [recipient, sent] of byRecipient(gone)) {
      const ids = await idsIn(connections, recipient, sent[0]!.messageBox)
      if (sent.some(({ messageId }) => ids.has(messageId))) {
        throw new BenchError('A message that was acknowledged is still in the box.')
      }
    }
  }
}

const handshaking: Operation<HandshakeRequest & { readonly user: Session }> = {
  status: 200,
  async prepare({ users }, count) {
    return Array.from({ length: count }, (_, i) => {
      const user = users[i % users.length]!
      return { ...user.client.handshakeRequest(), user }
    })
  },
  async verify(_target, volley) {
    for (const { request, answer } of volley.samples) request.user.client.session(request, answer)
  }
}

const refusing: Operation<SendRequest> = {
  status: 401,
  async prepare({ users }, count) {
    return sendRequests(users, users, newName(), count).map(request => ({
      ...request,
      ...withBadSignature(request)
    }))
  },
  async verify({ connections, users }, _volley, requests) {
    for (const user of users) {
      if ((await idsIn(connections, user, requests[0]!.messageBox)).size > 0) {
        throw new BenchError('A message with a bad signature is in a box.')
      }
    }
  }
}

/** One operation with its requests, whatever their type. */
export interface Prepared {
  fire(options: Omit<Parameters<typeof fire>[2], 'status'>): Promise<Volley<PreparedRequest>>
}

/** Prepares, and later fires and verifies. */
async function prepared<Request extends PreparedRequest>(
  operation: Operation<Request>,
  target: Target,
  count: number
): Promise<Prepared> {
  const requests = await operation.prepare(target, count)
  return {
    async fire(options) {
      const volley = await fire(target.connections, requests, { ...options, status: operation.status })
      await operation.verify(target, volley, requests)
      return volley
    }
  }
}

/** @returns requests of this operation, signed and ready */
export function prepareOperation(name: OperationName, target: Target, count: number): Promise<Prepared> {
  switch (name) {
    case 'send':
      return prepared(sending(MESSAGE_BYTES), target, count)
    case 'send-1MiB':
      return prepared(sending(MEBIBYTE), target, count)
    case 'list-100':
      return prepared(listing(100), target, count)
    case 'list-1':
      return prepared(listing(1), target, count)
    case 'ack':
      return prepared(acknowledging, target, count)
    case 'handshake':
      return prepared(handshaking, target, count)
    case 'bad-signature':
      return prepared(refusing, target, count)
  }
}
