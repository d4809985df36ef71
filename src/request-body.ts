import type { IncomingMessage } from 'node:http'
import { ApiError } from './errors.js'

/** Most bytes taken from somebody who has shown no sign of being known. */
export const STRANGER_BODY_LIMIT = 65_536

/** The slowest sender that is waited for. */
export interface MinimumRate {
  /** Bytes that must arrive … */
  readonly bytes: number
  /** … in each such time, ms. */
  readonly milliseconds: number
}

/** 1 KiB/s over 10 s. A body that is complete is never late. */
const MINIMUM_RATE: MinimumRate = { bytes: 10_240, milliseconds: 10_000 }

/** How long to wait for the rest of a body nobody wants, ms. */
const DISCARD_MILLISECONDS = 500

/** The client went away in the middle of its request: nobody is left to answer, and nothing is wrong here. */
export class RequestAborted extends Error {
  constructor() {
    super('the client closed the connection before its request was complete')
    this.name = 'RequestAborted'
  }
}

/**
 * Reads a request body, cutting it off as soon as it exceeds the limit: nothing beyond is kept, and a length that
 * is announced as too large is not read at all.
 *
 * @param limit bytes
 * @returns the body in the pieces it came in; no pieces for no body
 * @throws ApiError 415 ERR_UNSUPPORTED_ENCODING for a compressed body, 413 ERR_REQUEST_TOO_LARGE, 408
 * ERR_REQUEST_TIMEOUT for one that comes too slowly; RequestAborted
 */
export async function readBody(
  request: IncomingMessage,
  limit: number,
  minimumRate: MinimumRate = MINIMUM_RATE
): Promise<Buffer[]> {
  if (isEncoded(request)) {
    throw new ApiError(
      415,
      'ERR_UNSUPPORTED_ENCODING',
      'Send the body as it is, neither compressed nor encoded.'
    )
  }
  if (announcedLength(request) > limit) throw tooLarge(limit)
  if (!hasBody(request)) return []
  return collect(request, limit, minimumRate)
}

/** False if the headers say that no body follows. */
export function hasBody(request: IncomingMessage): boolean {
  return request.headers['transfer-encoding'] !== undefined || announcedLength(request) > 0
}

/**
 * Reads the rest of a body and forgets it, so that the connection can be used again.
 *
 * @returns false if too much is left or it comes too slowly: then the connection has to be closed
 */
export async function discardBody(request: IncomingMessage): Promise<boolean> {
  if (request.complete || !hasBody(request)) return true
  // Whoever began to read it and stopped has found it too long or too slow.
  const isUntouched = request.readableFlowing === null
  if (!isUntouched || announcedLength(request) > STRANGER_BODY_LIMIT) return false
  const minimumRate = { bytes: Number.POSITIVE_INFINITY, milliseconds: DISCARD_MILLISECONDS }
  try {
    await collect(request, STRANGER_BODY_LIMIT, minimumRate)
    return true
  } catch {
    return false
  }
}

function isEncoded({ headers }: IncomingMessage): boolean {
  const content = headers['content-encoding']?.toLowerCase() ?? 'identity'
  const transfer = headers['transfer-encoding']?.toLowerCase() ?? 'chunked'
  return content !== 'identity' || transfer !== 'chunked'
}

function announcedLength(request: IncomingMessage): number {
  return Number(request.headers['content-length'] ?? 0)
}

function collect(request: IncomingMessage, limit: number, minimumRate: MinimumRate): Promise<Buffer[]> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = []
    let length = 0
    let lengthBefore = 0

    const timer = setInterval(() => {
      if (length - lengthBefore < minimumRate.bytes) finish(tooSlow())
      lengthBefore = length
    }, minimumRate.milliseconds)

    function onData(piece: Buffer): void {
      length += piece.length
      if (length > limit) finish(tooLarge(limit))
      else pieces.push(piece)
    }
    function onEnd(): void {
      finish(undefined)
    }
    function onGone(): void {
      finish(new RequestAborted())
    }
    function finish(error: Error | undefined): void {
      clearInterval(timer)
      request.off('data', onData).off('end', onEnd).off('close', onGone).off('error', onGone)
      // Aborting emits an error after this; without a listener it would end the process.
      request.on('error', () => {})
      if (error === undefined) resolve(pieces)
      else {
        request.pause()
        reject(error)
      }
    }
    request.on('data', onData).on('end', onEnd).on('close', onGone).on('error', onGone)
    if (request.destroyed || request.readableEnded) onGone()
  })
}

function tooLarge(limit: number): ApiError {
  const description = `The request body is larger than the ${limit} bytes that are taken here.`
  return new ApiError(413, 'ERR_REQUEST_TOO_LARGE', description, { limit })
}

function tooSlow(): ApiError {
  return new ApiError(408, 'ERR_REQUEST_TIMEOUT', 'The request body came too slowly.')
}
