import type { IncomingMessage } from 'node:http'
import { type IdentityKey, identityKeyBytes, parseIdentityKey } from '../keys/identity-key.js'
import { envelopeId, envelopeIdInTurns } from '../names.js'
import { sha256, sha256InTurns } from '../sha256.js'
import {
  authriteBadNonce,
  authriteBadSignature,
  authriteHeader,
  authriteVersionMismatch
} from './auth-errors.js'
import { decodeBase64 } from './base64.js'
import { type AuthContext, DER_HEX, IDENTITY_KEY, LONG_BYTES } from './brc104.js'
import { type Caller, type OpenedRequest, REMEMBERED_FOR_GOOD } from './caller.js'
import { randomNonce } from './nonce.js'
import type { RequestTarget } from './request-target.js'
import {
  AUTHRITE_SESSIONS,
  checkSessionNonce,
  NONCE_LEAST,
  NONCE_MOST,
  type Session
} from './session-nonce.js'

/*
 * BRC-31 as deployed (authrite-js, authrite-express), over HTTP. A signature covers the body and nothing else, or the whole
 * URL where there can be none (GET, HEAD): neither method, headers nor path are bound to a body. So a body means the same at
 * every call or nothing, and the memory of replays takes the same signed bytes once in all.
 */

/** The latest one first: it is what the node calls its own. */
const VERSIONS: readonly unknown[] = ['0.2', '0.1']

export type AuthriteVersion = '0.2' | '0.1'

/** What clients sign where they send no body. */
const NO_BODY = Buffer.from('{}')
const NOTHING = Buffer.alloc(0)

/** Every signature of Authrite is made under this invoice number (BRC-43). */
export function authriteInvoiceNumber(keyID: string): string {
  return `2-authrite message signature-${keyID}`
}

export function isAuthriteVersion(value: unknown): value is AuthriteVersion {
  return VERSIONS.includes(value)
}

/** What the `x-authrite` headers say: the session is this node's and of that identity, nothing else is proven. */
export interface AuthriteClaim {
  readonly version: AuthriteVersion
  readonly identityKey: IdentityKey
  readonly session: Session
  readonly sessionNonce: string
  /** The request's own nonce, base64 as sent. */
  readonly nonce: string
  readonly signature: Buffer
}

/**
 * Reads the headers of a request or of a socket's event.
 *
 * @param headers by lower-case name; anybody's
 * @throws ApiError 400 ERR_AUTHRITE_VERSION_MISMATCH, ERR_AUTHRITE_MISSING_HEADERS; 401 ERR_AUTHRITE_BAD_SERVER_NONCE
 */
export function readAuthriteClaim(
  auth: AuthContext,
  headers: Readonly<Record<string, unknown>>
): AuthriteClaim {
  const version = headers['x-authrite']
  if (!isAuthriteVersion(version)) throw authriteVersionMismatch(version)
  const identityKey = readIdentityKey(auth, headers['x-authrite-identity-key'])
  const nonce = headers['x-authrite-nonce']
  if (typeof nonce !== 'string' || decodeBase64(nonce, NONCE_LEAST, NONCE_MOST) === undefined) {
    throw authriteHeader('x-authrite-nonce', `base64 of ${NONCE_LEAST} to ${NONCE_MOST} bytes`)
  }
  const sessionNonce = headers['x-authrite-yournonce']
  if (typeof sessionNonce !== 'string' || sessionNonce === '') {
    throw authriteHeader('x-authrite-yournonce', 'the nonce of the initial response')
  }
  const signature = headers['x-authrite-signature']
  if (typeof signature !== 'string' || !DER_HEX.test(signature)) {
    throw authriteHeader('x-authrite-signature', 'a DER signature in hex')
  }
  const session = checkSessionNonce(auth.keys, sessionNonce, identityKey, auth.clock.now(), AUTHRITE_SESSIONS)
  if (session === undefined) throw authriteBadNonce()
  // 0.1 does not send it.
  if (version === '0.2' && headers['x-authrite-initialnonce'] !== session.initialNonce) {
    throw authriteHeader('x-authrite-initialnonce', 'the nonce that this session began with')
  }
  return { version, identityKey, session, sessionNonce, nonce, signature: Buffer.from(signature, 'hex') }
}

/** Compressed ones need not be points: no other was ever given a session. */
function readIdentityKey(auth: AuthContext, value: unknown): IdentityKey {
  const text = typeof value === 'string' ? value.toLowerCase() : ''
  const key = IDENTITY_KEY.test(text) ? text : parseIdentityKey(auth.curve, text)
  if (key === undefined) throw authriteHeader('x-authrite-identity-key', '66 hex characters')
  return key
}

/**
 * Proves that the claim's identity signed these bytes.
 *
 * @throws ApiError 401 ERR_AUTHRITE_INVALID_SIGNATURE
 */
export async function proveAuthrite(
  auth: AuthContext,
  claim: AuthriteClaim,
  signedBytes: Buffer
): Promise<Caller> {
  const { identityKey, nonce, sessionNonce, signature, session } = claim
  const keyID = `${nonce} ${sessionNonce}`
  const isLong = signedBytes.length > LONG_BYTES
  const sender = identityKeyBytes(identityKey)
  const digest = isLong ? await sha256InTurns(signedBytes) : sha256(signedBytes)
  if (!auth.keys.verifyDigest(digest, signature, authriteInvoiceNumber(keyID), sender)) {
    throw authriteBadSignature()
  }
  const id = isLong
    ? await envelopeIdInTurns(identityKey, 'authrite', keyID, signedBytes)
    : envelopeId(identityKey, 'authrite', keyID, signedBytes)
  return {
    identityKey,
    identityKeyBytes: sender,
    scheme: 'authrite',
    envelope: {
      id,
      sender: identityKey,
      format: 'authrite',
      keyID,
      signedBytes,
      signature,
      carriesAuthorization: false
    },
    replay: {
      digest: id.subarray(0, 16),
      issuedAt: REMEMBERED_FOR_GOOD,
      expiresAt: session.expiresAt
    }
  }
}

/** The headers that sign an answer, or an event to a client. */
export function authriteSignature(
  { keys }: AuthContext,
  claim: Pick<AuthriteClaim, 'version' | 'identityKey' | 'session' | 'nonce'>,
  body: Uint8Array
): Record<string, string> {
  const nonce = randomNonce(32).toString('base64')
  const yourNonce = claim.version === '0.2' ? claim.session.initialNonce : claim.nonce
  const invoiceNumber = authriteInvoiceNumber(`${yourNonce} ${nonce}`)
  const signature = keys.signDigest(sha256(body), invoiceNumber, identityKeyBytes(claim.identityKey))
  return {
    'x-authrite': claim.version,
    'x-authrite-identity-key': keys.identityKey,
    'x-authrite-nonce': nonce,
    'x-authrite-yournonce': yourNonce,
    'x-authrite-signature': signature.toString('hex'),
    'x-authrite-certificates': '[]'
  }
}

/** One HTTP request under Authrite 0.2 or 0.1. */
export class AuthriteRequest implements OpenedRequest {
  readonly scheme = 'authrite'
  readonly #auth: AuthContext
  readonly #request: IncomingMessage
  readonly #claim: AuthriteClaim

  /** @throws ApiError as `readAuthriteClaim` */
  constructor(auth: AuthContext, request: IncomingMessage) {
    this.#auth = auth
    this.#request = request
    this.#claim = readAuthriteClaim(auth, request.headers)
  }

  get sessionNonce(): string {
    return this.#claim.sessionNonce
  }

  async verify(
    target: RequestTarget,
    pieces: readonly Uint8Array[]
  ): Promise<{ readonly caller: Caller; readonly body: Buffer }> {
    if (this.#hasNoBody) return { caller: await this.#proveUrl(target), body: NOTHING }
    const sent = pieces.length === 0 ? NO_BODY : Buffer.concat(pieces)
    return { caller: await proveAuthrite(this.#auth, this.#claim, sent), body: sent }
  }

  sign(_status: number, _headers: unknown, body: Uint8Array): Record<string, string> {
    return authriteSignature(this.#auth, this.#claim, this.#request.method === 'HEAD' ? NOTHING : body)
  }

  get #hasNoBody(): boolean {
    return this.#request.method === 'GET' || this.#request.method === 'HEAD'
  }

  /** The client signed the URL as its app wrote it; the scheme does not reach a server behind a proxy. */
  async #proveUrl({ path, query }: RequestTarget): Promise<Caller> {
    const rest = `://${this.#request.headers.host ?? ''}${path}${query}`
    const [secure, plain] = ['https', 'http'].map(scheme => Buffer.from(`${scheme}${rest}`))
    return proveAuthrite(this.#auth, this.#claim, secure!).catch(() =>
      proveAuthrite(this.#auth, this.#claim, plain!)
    )
  }
}
