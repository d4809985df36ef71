import { createHash, hash, randomBytes } from 'node:crypto'
import { Pool } from 'undici'
import { AUTH_VERSION, authInvoiceNumber } from '../src/auth/brc104.js'
import { requestPreimage, responsePreimageHead, signedResponseHeaders } from '../src/auth/preimage.js'
import { loadCurve } from '../src/curve/load.js'
import { parseJson } from '../src/json.js'
import { type IdentityKey, identityKeyBytes, parseIdentityKey } from '../src/keys/identity-key.js'
import { KeyDeriver } from '../src/keys/key-deriver.js'
import { isObject } from '../src/message.js'
import { BenchError } from './bench-error.js'

const curve = loadCurve()
/** A connection is given up before the node closes it: a request put on a dying one would be an error. */
const IDLE_MILLISECONDS = 4_000
const ANSWER_MILLISECONDS = 30_000
const ANSWER_JSON = { depth: 32, members: 1_000_000 }

/** Ready to be sent: nothing is left to be computed. */
export interface PreparedRequest {
  readonly path: string
  /** Names and values in turn. */
  readonly headers: readonly string[]
  readonly body: Buffer
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: Buffer
}

/** Keep-alive connections to one node, each with one request at a time. */
export class Connections {
  readonly #pool: Pool

  constructor(
    url: string,
    readonly concurrency: number
  ) {
    this.#pool = new Pool(new URL(url).origin, {
      connections: concurrency,
      pipelining: 1,
      keepAliveTimeout: IDLE_MILLISECONDS,
      headersTimeout: ANSWER_MILLISECONDS,
      bodyTimeout: ANSWER_MILLISECONDS
    })
  }

  async send({ path, headers, body }: PreparedRequest): Promise<HttpAnswer> {
    const answer = await this.#pool.request({ path, method: 'POST', headers: headers as string[], body })
    const bytes = Buffer.from(await answer.body.arrayBuffer())
    return { status: answer.statusCode, headers: answer.headers, body: bytes }
  }

  close(): Promise<void> {
    return this.#pool.close()
  }
}

/** The first message of BRC-103, with what checking its answer needs. */
export interface HandshakeRequest extends PreparedRequest {
  readonly initialNonce: string
}

/** A user of the node. */
export class Client {
  readonly keys: KeyDeriver

  /** @param seed the same seed is the same user */
  constructor(seed: string) {
    this.keys = new KeyDeriver(curve, hash('sha256', `peerserv bench ${seed}`, 'buffer'))
  }

  get identityKey(): IdentityKey {
    return this.keys.identityKey
  }

  handshakeRequest(): HandshakeRequest {
    // 48 bytes, as stock clients take: their base64 has no padding.
    const initialNonce = randomBytes(48).toString('base64')
    const body = {
      version: AUTH_VERSION,
      messageType: 'initialRequest',
      identityKey: this.identityKey,
      initialNonce,
      requestedCertificates: { certifiers: [], types: {} }
    }
    return { ...jsonRequest('/.well-known/auth', body), initialNonce }
  }

  /** @throws BenchError unless the node has answered with its signature */
  session({ initialNonce }: HandshakeRequest, answer: HttpAnswer): Session {
    const { identityKey, initialNonce: nodeNonce, yourNonce, signature } = jsonOf(answer)
    const nodeKey = parseIdentityKey(curve, identityKey)
    if (answer.status !== 200 || nodeKey === undefined || typeof nodeNonce !== 'string') {
      throw new BenchError(`The handshake is refused: ${summaryOf(answer)}`)
    }
    const signed = Buffer.concat([Buffer.from(initialNonce, 'base64'), Buffer.from(nodeNonce, 'base64')])
    const der = Buffer.from(Array.isArray(signature) ? signature.map(Number) : [])
    const invoiceNumber = authInvoiceNumber(`${initialNonce} ${nodeNonce}`)
    if (
      yourNonce !== initialNonce ||
      !this.keys.verify(signed, der, invoiceNumber, identityKeyBytes(nodeKey))
    ) {
      throw new BenchError("The node's signature under the handshake is not good.")
    }
    return new Session(this, nodeKey, initialNonce, nodeNonce)
  }

  async open(connections: Connections): Promise<Session> {
    const request = this.handshakeRequest()
    return this.session(request, await connections.send(request))
  }
}

/** A request that a session has signed. */
export interface SignedRequest extends PreparedRequest {
  readonly session: Session
  /** Base64. */
  readonly requestId: string
}

/** One user's session with one node. */
export class Session {
  constructor(
    readonly client: Client,
    readonly nodeKey: IdentityKey,
    readonly clientNonce: string,
    readonly nodeNonce: string
  ) {}

  /** Signs a POST as stock clients do (BRC-104). */
  sign(path: string, content: object): SignedRequest {
    const { headers, body } = jsonRequest(path, content)
    const requestId = randomBytes(32)
    const nonce = randomBytes(32).toString('base64')
    const signature = this.client.keys.sign(
      requestPreimage({
        requestId,
        method: 'POST',
        path,
        query: '',
        headers: [{ name: 'content-type', value: 'application/json' }],
        body: [body]
      }),
      authInvoiceNumber(`${nonce} ${this.nodeNonce}`),
      identityKeyBytes(this.nodeKey)
    )
    const auth = {
      version: AUTH_VERSION,
      'identity-key': this.client.identityKey,
      nonce,
      'your-nonce': this.nodeNonce,
      'request-id': requestId.toString('base64'),
      signature: signature.toString('hex')
    }
    const authHeaders = Object.entries(auth).flatMap(([name, value]) => [`x-bsv-auth-${name}`, value])
    return {
      path,
      headers: [...headers, ...authHeaders],
      body,
      session: this,
      requestId: requestId.toString('base64')
    }
  }

  /** @throws BenchError unless the node has signed this answer to this request */
  check(request: SignedRequest, answer: HttpAnswer): void {
    const told = (name: string): string => String(answer.headers[`x-bsv-auth-${name}`] ?? '')
    const head = responsePreimageHead(
      Buffer.from(request.requestId, 'base64'),
      answer.status,
      signedResponseHeaders(answer.headers),
      answer.body.length
    )
    const isSigned =
      told('identity-key') === this.nodeKey &&
      told('request-id') === request.requestId &&
      told('your-nonce') === this.clientNonce &&
      this.client.keys.verifyDigest(
        createHash('sha256').update(head).update(answer.body).digest(),
        Buffer.from(told('signature'), 'hex'),
        authInvoiceNumber(`${told('nonce')} ${this.clientNonce}`),
        identityKeyBytes(this.nodeKey)
      )
    if (!isSigned) throw new BenchError(`An answer is not signed as it must be: ${summaryOf(answer)}`)
  }

  /** Signs, sends, checks; for what is not measured. */
  async post(connections: Connections, path: string, content: object): Promise<Record<string, unknown>> {
    const request = this.sign(path, content)
    const answer = await connections.send(request)
    if (answer.status !== 200) throw new BenchError(`${path} is refused: ${summaryOf(answer)}`)
    this.check(request, answer)
    return jsonOf(answer)
  }
}

/** The same request with a signature that does not fit it. */
export function withBadSignature(request: SignedRequest): SignedRequest {
  const headers = [...request.headers]
  const at = headers.indexOf('x-bsv-auth-signature') + 1
  const der = Buffer.from(headers[at]!, 'hex')
  der[der.length - 1]! ^= 1
  headers[at] = der.toString('hex')
  return { ...request, headers }
}

/** A POST that nobody signs. */
export function jsonRequest(path: string, content: object): PreparedRequest {
  return {
    path,
    headers: ['content-type', 'application/json'],
    body: Buffer.from(JSON.stringify(content))
  }
}

/** The object in an answer; an empty one where there is none. */
export function jsonOf(answer: HttpAnswer): Record<string, unknown> {
  if (!String(answer.headers['content-type']).startsWith('application/json')) return {}
  const value = parseJson(answer.body, ANSWER_JSON)
  return isObject(value) ? { ...value } : {}
}

/** For messages to a person. */
export function summaryOf({ status, body }: HttpAnswer): string {
  return `${status} ${body.subarray(0, 200)}`
}
