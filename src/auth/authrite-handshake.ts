import type { Endpoint } from '../endpoint.js'
import { badRequest } from '../errors.js'
import { type IdentityKey, identityKeyBytes, parseIdentityKey } from '../keys/identity-key.js'
import { isObject } from '../message.js'
import { STRANGER_BODY_LIMIT } from '../request-body.js'
import { authriteVersionMismatch } from './auth-errors.js'
import { type AuthriteVersion, authriteInvoiceNumber, isAuthriteVersion } from './authrite.js'
import { decodeBase64 } from './base64.js'
import type { AuthContext } from './brc104.js'
import { AUTHRITE_SESSIONS, mintSessionNonce, NONCE_LEAST, NONCE_MOST } from './session-nonce.js'

/** Who wants a session, and under which version. */
export interface AuthriteGreeting {
  readonly version: AuthriteVersion
  readonly identityKey: IdentityKey
  /** The client's initial nonce: base64 of 16 to 128 bytes. */
  readonly nonce: string
}

/**
 * POST /authrite/initialRequest (BRC-31): a client shakes hands. Nothing is stored and no database is asked.
 *
 * Body: `{authrite: "0.2" | "0.1", messageType: "initialRequest", identityKey, nonce, requestedCertificates?}`. Answers
 * `{authrite, messageType: "initialResponse", identityKey, nonce, certificates: [], requestedCertificates, signature}`: the
 * node's signature over both nonces, and no wish for certificates.
 *
 * Errors: 400 ERR_BAD_REQUEST_BODY, ERR_MISSING_AUTHRITE_VERSION, ERR_AUTHRITE_VERSION_MISMATCH,
 * ERR_AUTHRITE_MISSING_INITIAL_REQUEST_PARAMS, ERR_INVALID_JSON.
 */
export const authriteHandshake: Endpoint<AuthContext> = {
  method: 'POST',
  path: '/authrite/initialRequest',
  authenticated: false,
  bodyLimit: () => STRANGER_BODY_LIMIT,
  handler: async (request, auth) => {
    const body = request.json()
    if (!isObject(body)) throw badRequest('ERR_BAD_REQUEST_BODY', 'The body must be a JSON object.')
    return { body: authriteInitialResponse(auth, readGreeting(auth, body)) }
  }
}

/**
 * Reads who wants a session out of a handshake's body, or out of what a socket's first headers say.
 *
 * @throws ApiError 400 as the endpoint
 */
export function readGreeting(
  { curve }: AuthContext,
  { authrite, messageType, identityKey, nonce }: Readonly<Record<string, unknown>>
): AuthriteGreeting {
  if (authrite === undefined || authrite === null || authrite === '') {
    throw badRequest('ERR_MISSING_AUTHRITE_VERSION', '"authrite" must be "0.2" or "0.1".')
  }
  if (!isAuthriteVersion(authrite)) throw authriteVersionMismatch(authrite)
  if (messageType !== 'initialRequest') throw malformed('"messageType" must be "initialRequest".')
  const key = parseIdentityKey(curve, identityKey)
  if (key === undefined) throw malformed('"identityKey" must be a public key in hex.')
  if (typeof nonce !== 'string' || decodeBase64(nonce, NONCE_LEAST, NONCE_MOST) === undefined) {
    throw malformed(`"nonce" must be base64 of ${NONCE_LEAST} to ${NONCE_MOST} bytes.`)
  }
  return { version: authrite, identityKey: key, nonce }
}

/** The answer to a greeting; its `nonce` is the session. */
export function authriteInitialResponse(
  auth: AuthContext,
  { version, identityKey, nonce }: AuthriteGreeting
): { readonly nonce: string } & Readonly<Record<string, unknown>> {
  const sessionNonce = mintSessionNonce(
    auth.keys,
    { identityKey, initialNonce: nonce, issuedAt: auth.clock.now() },
    AUTHRITE_SESSIONS
  )
  // The texts of the nonces, not the bytes they stand for.
  const signature = auth.keys.sign(
    Buffer.from(nonce + sessionNonce),
    authriteInvoiceNumber(`${nonce} ${sessionNonce}`),
    identityKeyBytes(identityKey)
  )
  return {
    authrite: version,
    messageType: 'initialResponse',
    identityKey: auth.keys.identityKey,
    nonce: sessionNonce,
    certificates: [],
    requestedCertificates: { certifiers: [], types: {} },
    signature: signature.toString('hex')
  }
}

function malformed(description: string): Error {
  return badRequest('ERR_AUTHRITE_MISSING_INITIAL_REQUEST_PARAMS', description)
}
