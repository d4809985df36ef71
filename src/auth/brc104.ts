import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Context } from '../context.js'
import { type IdentityKey, identityKeyBytes } from '../keys/identity-key.js'
import { envelopeId, envelopeIdInTurns } from '../names.js'
import { sha256, sha256InTurns } from '../sha256.js'
import { authFailed, sessionNotFound, unauthorized } from './auth-errors.js'
import { decodeBase64 } from './base64.js'
import type { Caller, OpenedRequest } from './caller.js'
import { randomNonce } from './nonce.js'
import {
  REQUEST_ID_LENGTH,
  requestPreimage,
  responsePreimageHead,
  type SignedHeader,
  signedRequestHeaders,
  signedResponseHeaders
} from './preimage.js'
import type { RequestTarget } from './request-target.js'
import { type SessionEpoch, sessionTime } from './session-epoch.js'
import { checkSessionNonce, NONCE_LEAST, NONCE_MOST, type Session } from './session-nonce.js'

/** What authentication needs of the node. */
export interface AuthContext extends Pick<Context, 'keys' | 'curve' | 'clock'> {
  readonly epoch: SessionEpoch
}

/** The version on the wire (BRC-103), whatever BRC-104's examples say. */
export const AUTH_VERSION = '0.1'

export const IDENTITY_KEY = /^0[23][0-9a-f]{64}$/
export const DER_HEX = /^(?:[0-9a-fA-F]{2}){8,72}$/
const NO_BODY = Buffer.alloc(0)

/** Longer ones are hashed in several turns of the event loop. */
export const LONG_BYTES = 2_097_152

/** BRC-103: every signature of the protocol is made under this invoice number (BRC-43). */
export function authInvoiceNumber(keyID: string): string {
  return `2-auth message signature-${keyID}`
}

/**
 * One request under BRC-103 over BRC-104, in three steps: what its headers say is checked when it is made, before
 * the body is read; `verify` proves the sender; `sign` signs the answer for the session of this very request.
 */
export class Brc104Request implements OpenedRequest {
  readonly scheme = 'brc104'
  readonly #auth: AuthContext
  readonly #method: string
  readonly #claim: Claim
  readonly #session: Session
  readonly #identityKeyBytes: Buffer

  /**
   * @throws ApiError 401 UNAUTHORIZED if a header is missing, ERR_AUTH_FAILED if one is malformed, and the same with
   * the text that makes stock clients shake hands again if the session is not this identity key's
   */
  constructor(auth: AuthContext, request: IncomingMessage) {
    this.#auth = auth
    this.#method = request.method ?? ''
    this.#claim = readClaim(request)
    const { sessionNonce, identityKey } = this.#claim
    const session = checkSessionNonce(auth.keys, sessionNonce, identityKey, sessionTime(auth))
    if (session === undefined) throw sessionNotFound()
    this.#session = session
    this.#identityKeyBytes = identityKeyBytes(identityKey)
  }

  /** The one this node gave to the identity of the request; base64. */
  get sessionNonce(): string {
    return this.#claim.sessionNonce
  }

  /**
   * @param body in the pieces it came in
   * @throws ApiError 401 ERR_AUTH_FAILED if the signature is not the session's identity over exactly this request
   */
  async verify(
    target: RequestTarget,
    body: readonly Uint8Array[]
  ): Promise<{ readonly caller: Caller; readonly body: Buffer }> {
    const { requestId, headers, nonce, sessionNonce, signature, identityKey } = this.#claim
    const signedBytes = requestPreimage({ requestId, method: this.#method, ...target, headers, body })
    const keyID = `${nonce} ${sessionNonce}`
    const isLong = signedBytes.length > LONG_BYTES
    const digest = isLong ? await sha256InTurns(signedBytes) : sha256(signedBytes)
    const invoiceNumber = authInvoiceNumber(keyID)
    if (!this.#auth.keys.verifyDigest(digest, signature, invoiceNumber, this.#identityKeyBytes)) {
      throw authFailed('The signature does not fit this request.')
    }
    const id = isLong
      ? await envelopeIdInTurns(identityKey, 'brc104', keyID, signedBytes)
      : envelopeId(identityKey, 'brc104', keyID, signedBytes)
    let bodyLength = 0
    for (const piece of body) bodyLength += piece.length
    const caller: Caller = {
      identityKey,
      identityKeyBytes: this.#identityKeyBytes,
      scheme: 'brc104',
      envelope: {
        id,
        sender: identityKey,
        format: 'brc104',
        keyID,
        signedBytes,
        signature,
        carriesAuthorization: headers.some(({ name }) => name === 'authorization')
      },
      replay: {
        digest: id.subarray(0, 16),
        issuedAt: this.#session.issuedAt,
        expiresAt: this.#session.expiresAt
      }
    }
    // A view, so that a large body is in memory once.
    return { caller, body: signedBytes.subarray(signedBytes.length - bodyLength) }
  }

  /**
   * @param headers of the answer by lower-case name; those that count are signed, `x-bsv-auth*` must not be there
   * @param body exactly as it will be sent
   * @returns the headers to add
   */
  sign(status: number, headers: Readonly<Record<string, unknown>>, body: Uint8Array): Record<string, string> {
    const { keys } = this.#auth
    const nonce = randomNonce(32).toString('base64')
    // An answer to HEAD has no body on the wire, so none is signed.
    const sent = this.#method === 'HEAD' ? NO_BODY : body
    const signed = signedResponseHeaders(headers)
    const digest = sha256(responsePreimageHead(this.#claim.requestId, status, signed, sent.length), sent)
    const invoiceNumber = authInvoiceNumber(`${nonce} ${this.#session.initialNonce}`)
    return {
      'x-bsv-auth-version': AUTH_VERSION,
      'x-bsv-auth-identity-key': keys.identityKey,
      'x-bsv-auth-nonce': nonce,
      'x-bsv-auth-your-nonce': this.#session.initialNonce,
      'x-bsv-auth-request-id': this.#claim.requestId.toString('base64'),
      'x-bsv-auth-signature': keys.signDigest(digest, invoiceNumber, this.#identityKeyBytes).toString('hex')
    }
  }
}

/** What the headers say; nothing of it is proven. */
interface Claim {
  readonly identityKey: IdentityKey
  /** The request's own nonce, base64 as sent. */
  readonly nonce: string
  readonly sessionNonce: string
  readonly requestId: Buffer
  readonly signature: Buffer
  /** The headers that are signed. */
  readonly headers: readonly SignedHeader[]
}

function readClaim(request: IncomingMessage): Claim {
  const version = authHeader(request.headers, 'version')
  const identityKey = authHeader(request.headers, 'identity-key').toLowerCase()
  const nonce = authHeader(request.headers, 'nonce')
  const sessionNonce = authHeader(request.headers, 'your-nonce')
  const requestId = decodeBase64(
    authHeader(request.headers, 'request-id'),
    REQUEST_ID_LENGTH,
    REQUEST_ID_LENGTH
  )
  const signature = authHeader(request.headers, 'signature')

  if (version !== AUTH_VERSION) throw malformed('version', `${AUTH_VERSION}`)
  if (!IDENTITY_KEY.test(identityKey)) throw malformed('identity-key', '66 hex characters')
  if (decodeBase64(nonce, NONCE_LEAST, NONCE_MOST) === undefined) {
    throw malformed('nonce', `base64 of ${NONCE_LEAST} to ${NONCE_MOST} bytes`)
  }
  if (requestId === undefined) throw malformed('request-id', `base64 of ${REQUEST_ID_LENGTH} bytes`)
  if (!DER_HEX.test(signature)) throw malformed('signature', 'a DER signature in hex')
  const headers = signedRequestHeaders(request.rawHeaders)
  if (headers === undefined) throw authFailed('A header that is signed occurs twice.')
  return { identityKey, nonce, sessionNonce, requestId, signature: Buffer.from(signature, 'hex'), headers }
}

/** Node joins repeated headers with commas; no form checked here allows one. */
function authHeader(headers: IncomingHttpHeaders, name: string): string {
  const value = headers[`x-bsv-auth-${name}`]
  if (typeof value !== 'string' || value === '') throw unauthorized(`Header x-bsv-auth-${name} is missing.`)
  return value
}

function malformed(name: string, form: string): Error {
  return authFailed(`Header x-bsv-auth-${name} must be ${form}.`)
}
