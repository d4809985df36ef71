import { createHash, hash, randomBytes } from 'node:crypto'
import http from 'node:http'
import {
  requestPreimage,
  responsePreimageHead,
  signedRequestHeaders,
  signedResponseHeaders
} from '../../src/auth/preimage.js'
import { loadCurve } from '../../src/curve/load.js'
import { identityKeyBytes } from '../../src/keys/identity-key.js'
import { KeyDeriver } from '../../src/keys/key-deriver.js'

export const curve = loadCurve()
/** Idle connections do not keep the test process alive. */
const agent = new http.Agent({ keepAlive: true })

/** One HTTP request, every part open to tampering. */
export interface RawRequest {
  method: string
  /** Path and query. */
  target: string
  /** Sent as they are, in this order, repeated ones too; `host` and `content-length` are added. */
  headers: [name: string, value: string][]
  body: Buffer
}

export interface RawAnswer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: Buffer
}

export interface Answer extends RawAnswer {
  /** The parsed body. */
  readonly json: Record<string, unknown>
  /** `valid`: signed by the node for this session and this request. */
  readonly signature: 'valid' | 'invalid' | 'absent'
  /** What was sent, to be sent again. */
  readonly request: RawRequest
}

export interface ClientSession {
  readonly nodeKey: string
  /** Base64. */
  readonly clientNonce: string
  readonly nodeNonce: string
}

/** What a request body may be given as: bytes, text, anything for JSON.stringify, or undefined for none. */
export type RequestBody = unknown

/** A user who signs requests as stock clients do (BRC-103 over BRC-104), and gives access to every part of them. */
export class TestUser {
  readonly keys: KeyDeriver
  readonly privateKey: Buffer
  readonly identityKey: string
  /** How long it waits for an answer, ms; undefined: for ever. */
  patience: number | undefined
  readonly #sessions = new Map<string, ClientSession>()

  /** @param seed the same seed is the same user; 32 bytes are the private key itself */
  constructor(seed: string | Uint8Array) {
    this.privateKey =
      typeof seed === 'string' ? hash('sha256', `test user ${seed}`, 'buffer') : Buffer.from(seed)
    this.keys = new KeyDeriver(curve, this.privateKey)
    this.identityKey = this.keys.identityKey
  }

  post(url: string, path: string, body?: RequestBody, headers: Record<string, string> = {}): Promise<Answer> {
    const bytes = bytesOf(body)
    const type: Record<string, string> = bytes.length > 0 ? { 'content-type': 'application/json' } : {}
    return this.request(url, 'POST', path, { ...type, ...headers }, bytes)
  }

  get(url: string, target: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.request(url, 'GET', target, headers, Buffer.alloc(0))
  }

  /** Signs and sends; shakes hands first if need be, and again, as stock clients do, if the session is gone. */
  async request(
    url: string,
    method: string,
    target: string,
    headers: Record<string, string>,
    body: Buffer
  ): Promise<Answer> {
    const answer = await this.send(url, this.sign(await this.session(url), { method, target, headers, body }))
    if (answer.signature !== 'absent' || !answer.body.includes('Session not found for nonce')) return answer
    return this.send(url, this.sign(await this.handshake(url), { method, target, headers, body }))
  }

  /** The current session with the node at this URL; made if there is none. */
  async session(url: string): Promise<ClientSession> {
    return this.#sessions.get(url) ?? (await this.handshake(url))
  }

  /** Makes a new session and keeps it for later requests. */
  async handshake(url: string): Promise<ClientSession> {
    const clientNonce = randomBytes(48).toString('base64')
    const answer = await exchange(url, handshakeRequest(this.identityKey, clientNonce), this.patience)
    if (answer.status !== 200) throw new Error(`handshake refused: ${answer.status} ${answer.body}`)
    const { identityKey, initialNonce } = JSON.parse(answer.body.toString()) as Record<string, string>
    const session = { clientNonce, nodeNonce: String(initialNonce), nodeKey: String(identityKey) }
    this.#sessions.set(url, session)
    return session
  }

  /** Builds a request and signs it; what the options leave out is as a stock client does it. */
  sign(
    session: ClientSession,
    request: { method: string; target: string; headers?: Record<string, string>; body?: Buffer },
    options: { requestId?: Buffer; nonce?: string } = {}
  ): RawRequest {
    const { method, target, headers = {}, body = Buffer.alloc(0) } = request
    const { requestId = randomBytes(32), nonce = randomBytes(32).toString('base64') } = options
    const mark = target.indexOf('?')
    const preimage = requestPreimage({
      requestId,
      method,
      path: mark < 0 ? target : target.slice(0, mark),
      query: mark < 0 ? '' : target.slice(mark),
      headers: signedRequestHeaders(Object.entries(headers).flat()) ?? [],
      body: [body]
    })
    const invoiceNumber = `2-auth message signature-${nonce} ${session.nodeNonce}`
    const signature = this.keys.sign(preimage, invoiceNumber, identityKeyBytes(session.nodeKey))
    return {
      method,
      target,
      headers: [
        ...Object.entries(headers),
        ['x-bsv-auth-version', '0.1'],
        ['x-bsv-auth-identity-key', this.identityKey],
        ['x-bsv-auth-nonce', nonce],
        ['x-bsv-auth-your-nonce', session.nodeNonce],
        ['x-bsv-auth-request-id', requestId.toString('base64')],
        ['x-bsv-auth-signature', signature.toString('hex')]
      ],
      body
    }
  }

  /** Sends a request as it is, however it was tampered with, and checks the answer's signature. */
  async send(url: string, request: RawRequest): Promise<Answer> {
    const raw = await exchange(url, request, this.patience)
    const json = raw.body.length > 0 ? (JSON.parse(raw.body.toString()) as Record<string, unknown>) : {}
    return { ...raw, json, request, signature: this.#check(url, request, raw) }
  }

  #check(url: string, request: RawRequest, answer: RawAnswer): Answer['signature'] {
    const told = (name: string): string => String(answer.headers[`x-bsv-auth-${name}`] ?? '')
    const session = this.#sessions.get(url)
    if (told('signature') === '' || session === undefined) return 'absent'
    const requestId = request.headers.find(([name]) => name === 'x-bsv-auth-request-id')?.[1] ?? ''
    const isOurs =
      told('version') === '0.1' &&
      told('identity-key') === session.nodeKey &&
      told('your-nonce') === session.clientNonce &&
      told('request-id') === requestId
    const head = responsePreimageHead(
      Buffer.from(requestId, 'base64'),
      answer.status,
      signedResponseHeaders(answer.headers),
      answer.body.length
    )
    const digest = createHash('sha256').update(head).update(answer.body).digest()
    const isSigned = this.keys.verifyDigest(
      digest,
      Buffer.from(told('signature'), 'hex'),
      `2-auth message signature-${told('nonce')} ${session.clientNonce}`,
      identityKeyBytes(session.nodeKey)
    )
    return isOurs && isSigned ? 'valid' : 'invalid'
  }
}

/** The first message of a handshake, as stock clients send it. */
export function handshakeRequest(identityKey: string, initialNonce: string): RawRequest {
  return jsonRequest('/.well-known/auth', {
    version: '0.1',
    messageType: 'initialRequest',
    identityKey,
    initialNonce,
    requestedCertificates: { certifiers: [], types: {} }
  })
}

/** An unauthenticated POST. */
export function jsonRequest(target: string, body: RequestBody): RawRequest {
  return { method: 'POST', target, headers: [['content-type', 'application/json']], body: bytesOf(body) }
}

/** One exchange over HTTP; rejects if the connection, or the patience (ms), ends without an answer. */
export function exchange(url: string, request: RawRequest, patience?: number): Promise<RawAnswer> {
  const { hostname, port, host } = new URL(url)
  const { method, target, body } = request
  const headers = [...request.headers, ['host', host]]
  if (body.length > 0) headers.push(['content-length', String(body.length)])
  return new Promise((resolve, reject) => {
    const signal = patience === undefined ? undefined : AbortSignal.timeout(patience)
    const options = { agent, hostname, port, method, path: target, headers: headers.flat(), signal }
    const outgoing = http.request(options, incoming => {
      const pieces: Buffer[] = []
      incoming.on('data', (piece: Buffer) => pieces.push(piece)).on('error', reject)
      incoming.on('end', () => {
        resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(pieces) })
      })
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

function bytesOf(body: RequestBody): Buffer {
  if (body === undefined) return Buffer.alloc(0)
  if (Buffer.isBuffer(body)) return body
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
}
