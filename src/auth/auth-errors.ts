import { ApiError, badRequest } from '../errors.js'

/*
 * Every one of these is answered unsigned. `message` repeats the description because clients of the stock middleware
 * read that. Codes: BRC-104 says none; these are the ones deployed servers use.
 */

function refused(code: string, description: string): ApiError {
  return new ApiError(401, code, description, { message: description })
}

/** 401: the request carries no authentication of any scheme. */
export function authRequired(): ApiError {
  return refused(
    'ERR_AUTH_REQUIRED',
    'This call needs mutual authentication: BRC-103 over BRC-104 (x-bsv-auth-* headers), or Authrite (x-authrite-*).'
  )
}

/** 401: something that the scheme requires is not there. */
export function unauthorized(description: string): ApiError {
  return refused('UNAUTHORIZED', description)
}

/** 401: what is there does not prove anybody. */
export function authFailed(description: string): ApiError {
  return refused('ERR_AUTH_FAILED', description)
}

/**
 * 401: the session is unknown, foreign, expired, or these signed bytes came before. Stock clients shake hands again
 * and repeat the request if they find the first five words in an unsigned answer, and only then.
 */
export function sessionNotFound(): ApiError {
  return authFailed(
    'Session not found for nonce: unknown, expired, used by another identity, or replayed. Shake hands again.'
  )
}

/** 400: the client speaks another Authrite than this node. */
export function authriteVersionMismatch(clientVersion: unknown): ApiError {
  return badRequest('ERR_AUTHRITE_VERSION_MISMATCH', 'This node speaks Authrite 0.2, and 0.1.', {
    serverVersion: '0.2',
    clientVersion: typeof clientVersion === 'string' ? clientVersion.slice(0, 16) : null
  })
}

/** 400: a header of Authrite is missing or malformed. */
export function authriteHeader(name: string, form: string): ApiError {
  return badRequest('ERR_AUTHRITE_MISSING_HEADERS', `Header ${name} must be ${form}.`)
}

/** 401: the session is unknown, foreign, expired or another identity's. Authrite clients have to be started anew. */
export function authriteBadNonce(): ApiError {
  return refused(
    'ERR_AUTHRITE_BAD_SERVER_NONCE',
    'The session is unknown, expired or of another identity. Shake hands again.'
  )
}

/** 401: the signature does not fit. */
export function authriteBadSignature(): ApiError {
  return refused('ERR_AUTHRITE_INVALID_SIGNATURE', 'The signature does not fit this request.')
}
