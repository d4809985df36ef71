import { TestUser } from './client.js'
import { json, type ReceivedRequest, type Script, ScriptedHost } from './peer.js'
import { ServerHalf } from './server-half.js'

const AUTH = 'POST /.well-known/auth'
const QUOTE = 'GET /permissions/quote'
const PROPAGATE = 'POST /propagateMessage'

/** A host that proves its key and answers every message in one way. */
export interface FakeHost {
  readonly operator: TestUser
  readonly domain: string
  /** How often it was asked to take a message. */
  readonly asked: number
  /** How often it was asked to prove its key. */
  readonly greeted: number
  /** What it answers from now on, signed. */
  answers(status: number, body: object): void
  /** Lets each call be answered by the script chosen for it; `signed` makes one. */
  answersBy(choose: (message: HandedOn) => Script): void
  signed(status: number, body: object): Script
  /** How it answers when it is asked what a message costs; like a plain host, if nothing is said. */
  quotesBy(script: Script): void
  /** Connections accepted so far. */
  readonly connections: number
  /** From now on cuts every connection at once, until the function that it answers is called. */
  cutsConnections(): () => void
  close(): Promise<void>
}

/** A message as it was handed on. */
export interface HandedOn {
  readonly messageId: string
  readonly messageBox: string
}

/** As a plain BRC-34 host answers who has taken a message. */
export const TAKEN = { status: 'success' }

export async function startFakeHost(name: string, status = 200, body: object = TAKEN): Promise<FakeHost> {
  const operator = new TestUser(`operator ${name}`)
  const half = new ServerHalf(operator.privateKey.toString('hex'))
  const host = await ScriptedHost.start()
  let answer: Script = half.signed(status, body)
  host.always(AUTH, half.handshake())
  host.always(PROPAGATE, (request, response) => answer(request, response))
  // A plain BRC-34 host, without a document.
  host.always('GET /.well-known/peerserv', json(404, {}))
  host.always(QUOTE, half.signed(404, {}))
  // It says nothing of its tokens.
  host.always('POST /lookup', half.signed(503, {}))
  return {
    operator,
    domain: host.domain,
    get asked() {
      return host.count('/propagateMessage')
    },
    get greeted() {
      return host.count('/.well-known/auth')
    },
    answers(nextStatus, nextBody) {
      answer = half.signed(nextStatus, nextBody)
    },
    answersBy(choose) {
      answer = (request, response) => choose(messageOf(request))(request, response)
    },
    quotesBy: script => void host.always(QUOTE, script),
    signed: (signedStatus, signedBody) => half.signed(signedStatus, signedBody),
    cutsConnections: () => host.cutConnections(),
    get connections() {
      return host.connections
    },
    close: () => host.close()
  }
}

function messageOf({ body }: ReceivedRequest): HandedOn {
  const { signedMessage } = JSON.parse(body.toString()) as { signedMessage: string }
  const signed = Buffer.from(signedMessage, 'base64').toString()
  const { message } = JSON.parse(signed.slice(signed.indexOf('{"message"'))) as { message: HandedOn }
  return message
}
