import { ApiError } from '../errors.js'

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
    'This call needs mutual authentication: BRC-103 over BRC-104 (x-bsv-auth-* headers).'
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
