import { randomBytes } from 'node:crypto'
import { identityKeyBytes } from '../../src/keys/identity-key.js'
import { exchange, jsonRequest, type RawAnswer, type RawRequest, TestUser } from './client.js'

export interface AuthriteSession {
  readonly version: string
  readonly nodeKey: string
  /** Base64. */
  readonly clientNonce: string
  readonly nodeNonce: string
}

export interface AuthriteAnswer extends RawAnswer {
  readonly json: Record<string, unknown>
  /** `valid`: signed by the node for this session, and under 0.1 for this request. */
  readonly signature: 'valid' | 'invalid' | 'absent'
}

const PROTOCOL = '2-authrite message signature-'

/** A user who signs requests as authrite-js does, and gives access to every part of them. */
export class AuthriteUser {
  readonly user: TestUser
  readonly version: string

  /** @param seed of the TestUser, who is the same person */
  constructor(seed: string, version = '0.2') {
    this.user = new TestUser(seed)
    this.version = version
  }

  async handshake(url: string, clientNonce = randomBytes(32).toString('base64')): Promise<AuthriteSession> {
    const answer = await exchange(url, jsonRequest('/authrite/initialRequest', this.greeting(clientNonce)))
    if (answer.status !== 200) throw new Error(`handshake refused: ${answer.status} ${answer.body}`)
    const { identityKey, nonce } = JSON.parse(answer.body.toString()) as Record<string, string>
    return { version: this.version, clientNonce, nodeNonce: String(nonce), nodeKey: String(identityKey) }
  }

  greeting(nonce: string): object {
    return {
      authrite: this.version,
      messageType: 'initialRequest',
      identityKey: this.user.identityKey,
      nonce,
      requestedCertificates: []
    }
  }

  /** The headers that sign these bytes in this session. */
  headers(
    session: AuthriteSession,
    signed: Uint8Array,
    nonce = randomBytes(32).toString('base64')
  ): [name: string, value: string][] {
    const invoiceNumber = `${PROTOCOL}${nonce} ${session.nodeNonce}`
    const signature = this.user.keys.sign(signed, invoiceNumber, identityKeyBytes(session.nodeKey))
    const headers: [string, string][] = [
      ['x-authrite', session.version],
      ['x-authrite-identity-key', this.user.identityKey],
      ['x-authrite-nonce', nonce],
      ['x-authrite-yournonce', session.nodeNonce],
      ['x-authrite-signature', signature.toString('hex')],
      ['x-authrite-certificates', '[]']
    ]
    if (session.version === '0.2') headers.push(['x-authrite-initialnonce', session.clientNonce])
    return headers
  }

  /** A POST of this JSON, or of these bytes. */
  post(session: AuthriteSession, target: string, body: unknown): RawRequest {
    const request = jsonRequest(target, body)
    return { ...request, headers: [...request.headers, ...this.headers(session, request.body)] }
  }

  /** Sends a request as it is, and checks the answer's signature. */
  async send(url: string, session: AuthriteSession, request: RawRequest): Promise<AuthriteAnswer> {
    const raw = await exchange(url, request)
    const json = raw.body.length > 0 ? (JSON.parse(raw.body.toString()) as Record<string, unknown>) : {}
    return { ...raw, json, signature: this.#check(session, request, raw) }
  }

  #check(session: AuthriteSession, request: RawRequest, { headers, body }: RawAnswer) {
    const told = (name: string): string => String(headers[`x-authrite${name}`] ?? '')
    if (told('-signature') === '') return 'absent'
    const requestNonce = request.headers.find(([name]) => name === 'x-authrite-nonce')?.[1]
    const yourNonce = session.version === '0.2' ? session.clientNonce : requestNonce
    const isOurs =
      told('') === session.version &&
      told('-identity-key') === session.nodeKey &&
      told('-yournonce') === yourNonce
    const isSigned = this.user.keys.verify(
      body,
      Buffer.from(told('-signature'), 'hex'),
      `${PROTOCOL}${yourNonce} ${told('-nonce')}`,
      identityKeyBytes(session.nodeKey)
    )
    return isOurs && isSigned ? 'valid' : 'invalid'
  }
}

/** The request with one header replaced, added, or left out (undefined). */
export function withAuthriteHeader(request: RawRequest, name: string, value: string | undefined): RawRequest {
  const headers = request.headers.filter(([other]) => other !== name)
  return { ...request, headers: value === undefined ? headers : [...headers, [name, value]] }
}
