import { randomBytes } from 'node:crypto'
import { AUTH_VERSION } from '../src/auth/brc104.js'
import { loadCurve } from '../src/curve/load.js'
import {
  Client,
  Connections,
  jsonRequest,
  type PreparedRequest,
  type Session,
  withBadSignature
} from './client.js'
import { sendRequest } from './requests.js'

const curve = loadCurve()

/** Of the attackers, as a proxy would tell it; the node under test trusts what comes from its own machine. */
function from(address: string, request: PreparedRequest): PreparedRequest {
  return { ...request, headers: [...request.headers, 'x-forwarded-for', address] }
}

/** A different one each time, as if a thousand machines were at work: no limit of one address stops them. */
function anyAddress(): string {
  const [a, b, c] = randomBytes(3)
  return `100.${(a! % 64) + 64}.${b}.${c}`
}

/** A handshake of a key that nobody has, and that was never seen before. */
export function strangersHandshake(): PreparedRequest {
  let key: Buffer
  do key = Buffer.concat([Buffer.of(2), randomBytes(32)])
  while (!curve.isPublicKey(key))
  const body = {
    version: AUTH_VERSION,
    messageType: 'initialRequest',
    identityKey: key.toString('hex'),
    initialNonce: randomBytes(48).toString('base64')
  }
  return from(anyAddress(), jsonRequest('/.well-known/auth', body))
}

/** @returns makes requests in good sessions whose signatures do not fit; the dearest ones to refuse */
export async function forgedSends(url: string, sessions: number): Promise<() => PreparedRequest> {
  const connections = new Connections(url, 4)
  const forged: PreparedRequest[] = []
  for (let i = 0; i < sessions; i++) {
    const session = await new Client(`forger ${i}`).open(connections)
    forged.push(withBadSignature(sendRequest(session, session, 'forged', 'x')))
  }
  await connections.close()
  let next = 0
  return () => from(anyAddress(), forged[next++ % forged.length]!)
}

/** Has as many hosts as he likes: tokens are free. */
export const MANY_HOSTS = new Client('of many hosts')

/** @returns makes messages to a recipient of 10,000 hosts, by senders who are proven */
export async function sendsToMany(url: string, senders: number): Promise<() => PreparedRequest> {
  const connections = new Connections(url, 4)
  const recipient = await MANY_HOSTS.open(connections)
  const sessions: Session[] = []
  for (let i = 0; i < senders; i++) sessions.push(await new Client(`sender to many ${i}`).open(connections))
  await connections.close()
  let next = 0
  return () => {
    // It goes to other hosts, so it has to look sealed.
    const body = JSON.stringify({ encryptedMessage: randomBytes(60).toString('base64') })
    return from(anyAddress(), sendRequest(sessions[next++ % senders]!, recipient, 'many', body))
  }
}

/** Of one address that has nothing left to spend. */
export function limitedRequest(): PreparedRequest {
  return from('198.51.100.7', jsonRequest('/nowhere', {}))
}
